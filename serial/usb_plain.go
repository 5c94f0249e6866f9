//go:build darwin && !cgo

package serial

import "go.bug.st/serial"

// listPorts knows the ports' names only: what is plugged into USB is told by a
// framework of the system that takes cgo to call.
func listPorts(string) ([]Info, error) {
	names, err := serial.GetPortsList()
	if err != nil {
		return nil, err
	}
	var ports []Info
	for _, name := range names {
		ports = append(ports, Info{Name: name, Path: name})
	}
	return ports, nil
}
