package serialtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Adapter is a USB serial adapter as sysfs shows it.
type Adapter struct {
	Name      string // of the tty, as "ttyUSB0" or "ttyACM0"
	PortPath  string // socket, as "1-1.3"
	Interface string // as "00"
	VID, PID  string
	Serial    string
	Product   string
	// ACM leaves out the directory that usb-serial drivers have between the
	// interface and the tty.
	ACM bool
}

// Tree is a directory with dev and sys as the kernel lays them out.
type Tree struct {
	t    testing.TB
	root string
}

// NewTree returns a tree without any adapter, in the test's own directory.
func NewTree(t testing.TB) *Tree {
	t.Helper()
	tree := &Tree{t: t, root: t.TempDir()}
	for _, dir := range []string{"dev", "sys/class/tty", "sys/devices/virtual/tty/tty0"} {
		tree.mkdir(dir)
	}
	tree.link("../../devices/virtual/tty/tty0", "sys/class/tty/tty0")
	return tree
}

// Root returns the directory, for serial.Config.Root.
func (r *Tree) Root() string { return r.root }

// Plug adds the adapter. Its node is a link to target, as a Device's Path; ""
// makes no node.
func (r *Tree) Plug(a Adapter, target string) {
	r.t.Helper()
	usb := filepath.Join("sys/devices/pci0000:00/usb1", a.PortPath)
	iface := filepath.Join(usb, a.PortPath+":1."+string(a.Interface[len(a.Interface)-1]))
	device := iface
	if !a.ACM {
		device = filepath.Join(iface, a.Name)
	}
	tty := filepath.Join(device, "tty", a.Name)
	r.mkdir(tty)
	r.write(filepath.Join(iface, "bInterfaceNumber"), a.Interface)
	for name, value := range map[string]string{
		"idVendor": a.VID, "idProduct": a.PID, "serial": a.Serial, "product": a.Product,
	} {
		if value != "" { // as the kernel does: no string, no file
			r.write(filepath.Join(usb, name), value)
		}
	}
	r.link(filepath.Join(r.root, device), filepath.Join(tty, "device"))
	r.link(filepath.Join(r.root, tty), filepath.Join("sys/class/tty", a.Name))
	if target != "" {
		r.link(target, filepath.Join("dev", a.Name))
	}
}

// Unplug removes an adapter's tty and node by the tty's name.
func (r *Tree) Unplug(name string) {
	r.t.Helper()
	class := filepath.Join(r.root, "sys/class/tty", name)
	tty, err := os.Readlink(class)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, path := range []string{tty, class, filepath.Join(r.root, "dev", name)} {
		if err := os.RemoveAll(path); err != nil {
			r.t.Error(err)
		}
	}
}

func (r *Tree) mkdir(dir string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Join(r.root, dir), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func (r *Tree) write(name, value string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.root, name), []byte(value+"\n"), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *Tree) link(target, name string) {
	r.t.Helper()
	if err := os.Symlink(target, filepath.Join(r.root, name)); err != nil {
		r.t.Fatal(err)
	}
}
