package emulator

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// Board is what differs between QEMU's models.
type Board struct {
	Machine, QEMU string
	Kernel, Tree  string // names in the slot
	Console       string
	Append        string // for QEMU's sake
}

// The boards that there are images for.
var (
	Raspi3 = Board{"raspi3b", "qemu-system-aarch64", "kernel8.img", "bcm2710-rpi-3-b.dtb", "ttyS0", "dwc_otg.fiq_fsm_enable=0"}
	Raspi0 = Board{"raspi0", "qemu-system-arm", "kernel.img", "bcm2708-rpi-zero.dtb", "ttyAMA0", "initcall_blacklist=bcm2835_power_driver_init"}
)

// Options are how a card is booted.
type Options struct {
	Slot   int      // the partition: slots.SlotA.Number or SlotB's
	Ports  []int    // of the guest, reachable at Machine.Address
	Append string   // more of the kernel's command line
	Trace  bool     // whether Tryboot must be known
	QEMU   []string // more of its arguments
	Drive  string   // QEMU's -drive in place of the card's, as for a recording; empty otherwise
}

// Machine is a board that runs.
type Machine struct {
	cmd   *exec.Cmd
	dir   string
	ports map[int]int
	ended chan struct{}
}

// Card copies an image to a card of its own, of size bytes: a power of two,
// as QEMU wants it, and larger than the image.
func Card(image, card string, size int64) error {
	if out, err := exec.Command("cp", "--sparse=always", image, card).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	return os.Truncate(card, size)
}

// Boot starts a card's slot. It returns once QEMU runs.
func (b Board) Boot(card string, o Options) (*Machine, error) {
	dir, err := os.MkdirTemp("", "emulator")
	if err != nil {
		return nil, err
	}
	m := &Machine{dir: dir, ports: map[int]int{}, ended: make(chan struct{})}
	if err := m.start(b, card, o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return m, nil
}

func (m *Machine) start(b Board, card string, o Options) error {
	at := slots.SlotA.Offset()
	if o.Slot == slots.SlotB.Number {
		at = slots.SlotB.Offset()
	}
	args := []string{"-nQ", "-i", fmt.Sprintf("%s@@%d", card, at)}
	for _, name := range []string{b.Kernel, b.Tree, "initrd.gz", "cmdline.txt"} {
		args = append(args, "::"+name)
	}
	if out, err := exec.Command("mcopy", append(args, m.dir)...).CombinedOutput(); err != nil {
		return fmt.Errorf("slot %d: %w: %s", o.Slot, err, out)
	}
	line, err := os.ReadFile(m.path("cmdline.txt"))
	if err != nil {
		return err
	}
	kernel := strings.ReplaceAll(strings.TrimSpace(string(line)), "serial0", b.Console) +
		fmt.Sprintf(" dunlin.slot=%d dunlin.watchdog=off %s %s", o.Slot, b.Append, o.Append)
	network, err := m.forward(o.Ports)
	if err != nil {
		return err
	}
	drive := o.Drive
	if drive == "" {
		drive = "if=sd,format=raw,file=" + card
	}
	// Cores wait for the kernel in a loop that QEMU lets spin: on one thread they
	// give way to the one that works, and a start takes a third of the time.
	args = []string{"-M", b.Machine, "-accel", "tcg,thread=single", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", m.path(b.Kernel), "-initrd", m.path("initrd.gz"), "-dtb", m.path(b.Tree), "-append", kernel,
		"-drive", drive, "-device", "usb-net,netdev=n0", "-netdev", network}
	if b.Console == "ttyS0" { // the second, "mini" UART
		args = append(args, "-serial", "null")
	}
	args = append(args, "-serial", "file:"+m.path("console"))
	if o.Trace {
		args = append(args, "-trace", "bcm2835_mbox_property", "-D", m.path("trace"))
	}
	m.cmd = exec.Command(b.QEMU, append(args, o.QEMU...)...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	go func() { // ends with QEMU: Kill, or the machine's own end
		m.cmd.Wait()
		close(m.ended)
	}()
	return nil
}

// forward makes QEMU's network: a port here for each of the guest's.
func (m *Machine) forward(ports []int) (string, error) {
	network := "user,id=n0"
	for _, port := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		m.ports[port] = l.Addr().(*net.TCPAddr).Port
		l.Close()
		network += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", m.ports[port], port)
	}
	return network, nil
}

func (m *Machine) path(name string) string { return filepath.Join(m.dir, name) }

// Said is what the console has said so far.
func (m *Machine) Said() string {
	text, _ := os.ReadFile(m.path("console")) // before it is there, nothing is said
	return strings.ReplaceAll(string(text), "\r", "")
}

// Lines are those lines of the console that begin with a text.
func (m *Machine) Lines(prefix string) (lines []string) {
	for line := range strings.Lines(m.Said()) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// Says waits until the console has said a text.
func (m *Machine) Says(text string, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if strings.Contains(m.Said(), text) {
			return nil
		}
		select {
		case <-m.ended:
			return fmt.Errorf("the machine ended without saying %q", text)
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("the machine did not say %q within %v", text, patience)
		}
	}
}

// Connected waits until the board has its address: QEMU takes connections before
// that, and these hang.
func (m *Machine) Connected(patience time.Duration) error { return m.Says("10.0.2.15/24", patience) }

// Address is where a port of the guest is reached.
func (m *Machine) Address(port int) string { return fmt.Sprintf("127.0.0.1:%d", m.ports[port]) }

// Ended is closed when the machine has ended: a restart, a panic, Kill.
func (m *Machine) Ended() <-chan struct{} { return m.ended }

// Tryboot tells, of a machine that was traced, whether it asked the firmware
// to start the other slot once: by the call SET_REBOOT_FLAGS.
func (m *Machine) Tryboot() bool {
	trace, err := os.ReadFile(m.path("trace"))
	return err == nil && bytes.Contains(trace, []byte("tag:0x00038064"))
}

// Kill is a power cut. It may come twice.
func (m *Machine) Kill() {
	m.cmd.Process.Kill()
	<-m.ended
}

// Close ends the machine, and removes what was kept of it but what it said.
func (m *Machine) Close() error {
	m.Kill()
	return os.RemoveAll(m.dir)
}
