package serial

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// listPorts walks /sys/class/tty. udev is not needed, and nothing is opened.
func listPorts(root string) ([]Info, error) {
	root = filepath.Join("/", root)
	class := filepath.Join(root, "sys/class/tty")
	entries, err := os.ReadDir(class)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without ttys, or a container without sysfs
	}
	if err != nil {
		return nil, err
	}
	var ports []Info
	for _, e := range entries {
		name := e.Name()
		if isConsole(name) {
			continue
		}
		tty := filepath.Join(class, name)
		// Virtual terminals have no device; neither have ports that go away
		// while this looks.
		device, err := filepath.EvalSymlinks(filepath.Join(tty, "device"))
		if err != nil || attr(tty, "type") == "0" { // type 0: no UART found
			continue
		}
		p := Info{Name: name, Path: filepath.Join(root, "dev", name)}
		identify(&p, device)
		ports = append(ports, p)
	}
	nameByID(ports, filepath.Join(root, "dev/serial/by-id"))
	return ports, nil
}

// isConsole reports whether name is tty, tty0 to tty63, console or ptmx: most
// of the directory, and never a port.
func isConsole(name string) bool {
	return name == "console" || name == "ptmx" || strings.TrimRight(name, "0123456789") == "tty"
}

// maxDepth bounds the walk up from a port to its USB device. usb-serial
// drivers have one directory between port and interface, cdc_acm has none.
const maxDepth = 4

// identify fills in what the USB interface and device above dir say, if there
// are any.
func identify(p *Info, dir string) {
	iface := ""
	for range maxDepth {
		if n := attr(dir, "bInterfaceNumber"); n != "" && iface == "" {
			iface = n
		}
		if vid := attr(dir, "idVendor"); vid != "" {
			p.USB = USBID{
				VID:       strings.ToLower(vid),
				PID:       strings.ToLower(attr(dir, "idProduct")),
				Serial:    attr(dir, "serial"),
				Interface: iface,
				PortPath:  filepath.Base(dir),
			}
			p.Manufacturer = attr(dir, "manufacturer")
			p.Product = attr(dir, "product")
			return
		}
		dir = filepath.Dir(dir)
	}
}

// attr returns a sysfs attribute without its line end, "" when there is none.
func attr(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// nameByID adds the links that udev made, where it runs.
func nameByID(ports []Info, dir string) {
	links, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, l := range links {
		link := filepath.Join(dir, l.Name())
		target, err := os.Readlink(link)
		if err != nil {
			continue
		}
		for i := range ports {
			if filepath.Base(target) == ports[i].Name {
				ports[i].ByID = link
			}
		}
	}
}
