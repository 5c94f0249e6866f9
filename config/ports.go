package config

import "strings"

// Ports warns of serial ports by a name that goes to whoever is plugged in first,
// and of what two devices have that one can have.
func (c *Config) Ports() (found Errors) { return c.root.tree().ports(c.twins()).sorted() }

func (n *node) ports(found Errors) Errors {
	name, usb := strings.CutPrefix(strings.TrimPrefix(n.text, "serial:"), "/dev/tty")
	if usb && (strings.HasPrefix(name, "USB") || strings.HasPrefix(name, "ACM")) {
		e := n.at()
		e.Warning = true
		e.Msg = n.text + " may be another device after the next start or replug"
		e.Hint = "name the adapter: {usb: {vid: ..., pid: ..., serial: ...}}, as dunlin scan prints it, or a path below /dev/serial/by-id"
		found = append(found, e)
	}
	if n.branch != nil {
		for _, e := range n.entries {
			found = e.value.ports(found)
		}
		for _, item := range n.items {
			found = item.ports(found)
		}
	}
	return found
}
