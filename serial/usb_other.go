//go:build !linux && (!darwin || cgo)

package serial

import "go.bug.st/serial/enumerator"

// listPorts asks the enumerator. It knows no interface and no socket.
func listPorts(string) ([]Info, error) {
	found, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, err
	}
	var ports []Info
	for _, d := range found {
		p := Info{Name: d.Name, Path: d.Name}
		if d.IsUSB {
			p.USB = USBID{VID: d.VID, PID: d.PID, Serial: d.SerialNumber}
			p.Manufacturer, p.Product = d.Manufacturer, d.Product
		}
		ports = append(ports, p)
	}
	return ports, nil
}
