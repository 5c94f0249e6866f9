package serial_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

var (
	meter = serialtest.Adapter{Name: "ttyUSB0", PortPath: "1-1.3", Interface: "00",
		VID: "0403", PID: "6001", Serial: "A50285BI", Product: "FT232R USB UART"}
	scale = serialtest.Adapter{Name: "ttyUSB1", PortPath: "1-1.4", Interface: "00", VID: "067b", PID: "2303"}
	twin  = serialtest.Adapter{Name: "ttyUSB2", PortPath: "1-1.1", Interface: "00", VID: "067b", PID: "2303"}
	board = serialtest.Adapter{Name: "ttyACM0", PortPath: "1-1.2", Interface: "00",
		VID: "2e8a", PID: "000a", Serial: "E6614C311B4A9F2B", ACM: true}
	dualA = serialtest.Adapter{Name: "ttyUSB3", PortPath: "1-2", Interface: "00", VID: "10c4", PID: "ea70", Serial: "01"}
	dualB = serialtest.Adapter{Name: "ttyUSB4", PortPath: "1-2", Interface: "01", VID: "10c4", PID: "ea70", Serial: "01"}
)

func TestResolve(t *testing.T) {
	tree := serialtest.NewTree(t)
	for _, a := range []serialtest.Adapter{meter, scale, twin, board, dualA, dualB} {
		tree.Plug(a, "")
	}
	for _, tt := range []struct {
		name string
		usb  serial.USBID
		want string // the node's name, or "" for an error
		kind error
		says []string
	}{
		{"by vendor and product", serial.USBID{VID: "0403", PID: "6001"}, "ttyUSB0", nil, nil},
		{"in capitals", serial.USBID{VID: "2E8A", PID: "000A"}, "ttyACM0", nil, nil},
		{"by serial number alone", serial.USBID{Serial: "E6614C311B4A9F2B"}, "ttyACM0", nil, nil},
		{"by socket alone", serial.USBID{PortPath: "1-1.1"}, "ttyUSB2", nil, nil},
		{"twins by socket", serial.USBID{VID: "067b", PID: "2303", PortPath: "1-1.4"}, "ttyUSB1", nil, nil},
		{"one port of two", serial.USBID{VID: "10c4", PID: "ea70", Interface: "1"}, "ttyUSB4", nil, nil},
		{"twins", serial.USBID{VID: "067b", PID: "2303"}, "", serial.ErrAmbiguous,
			[]string{"ttyUSB1", "ttyUSB2", "1-1.1", "1-1.4", "add port_path"}},
		{"both ports", serial.USBID{VID: "10c4", PID: "ea70"}, "", serial.ErrAmbiguous, []string{"add interface"}},
		{"another serial number", serial.USBID{VID: "0403", PID: "6001", Serial: "X"}, "", serial.ErrNotFound,
			[]string{"usb 0403:6001 serial X", "ttyUSB0 (usb 0403:6001 serial A50285BI", "at 1-1.3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serial.DefaultConfig()
			c.USB, c.Root = tt.usb, tree.Root()
			got, err := serial.Resolve(c)
			if !errors.Is(err, tt.kind) {
				t.Fatalf("%v, want %v", err, tt.kind)
			}
			if tt.want != "" && got != filepath.Join(tree.Root(), "dev", tt.want) {
				t.Errorf("found %q", got)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
		})
	}
}

func TestList(t *testing.T) {
	tree := serialtest.NewTree(t)
	if ports, err := serial.List(tree.Root()); len(ports) != 0 || err != nil {
		t.Fatalf("nothing plugged in: %v, %v", ports, err)
	}
	tree.Plug(board, "")
	tree.Plug(meter, "")
	byID := filepath.Join(tree.Root(), "dev/serial/by-id")
	link := filepath.Join(byID, "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0")
	if err := errors.Join(os.MkdirAll(byID, 0o755), os.Symlink("../../ttyUSB0", link)); err != nil {
		t.Fatal(err)
	}
	ports, err := serial.List(tree.Root())
	if err != nil || len(ports) != 2 {
		t.Fatal(ports, err)
	}
	want := serial.Info{
		Name: "ttyUSB0", Path: filepath.Join(tree.Root(), "dev/ttyUSB0"), ByID: link, Product: "FT232R USB UART",
		USB: serial.USBID{VID: "0403", PID: "6001", Serial: "A50285BI", Interface: "00", PortPath: "1-1.3"},
	}
	if ports[1] != want || ports[0].Name != "ttyACM0" {
		t.Errorf("%+v", ports)
	}
	if ports, err := serial.List(t.TempDir()); len(ports) != 0 || err != nil {
		t.Errorf("without sysfs: %v, %v", ports, err)
	}
}

func TestReplugUnderAnotherName(t *testing.T) {
	tree, d := serialtest.NewTree(t), serialtest.Pty(t)
	c := serial.DefaultConfig()
	c.USB, c.Root = serial.USBID{VID: "0403", PID: "6001", Serial: "A50285BI"}, tree.Root()
	tree.Plug(meter, d.Path())
	p := open(t, c)
	d.Unplug()
	tree.Unplug("ttyUSB0")
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, serial.ErrUnplugged) {
		t.Error(err)
	}
	if _, err := serial.Open(c); !errors.Is(err, serial.ErrNotFound) || !strings.Contains(err.Error(), "no USB serial port") {
		t.Error(err)
	}
	back := make(chan error, 1)
	go func() { back <- serial.WaitFor(t.Context(), c) }()
	d.Replug()
	again := meter
	again.Name, again.PortPath = "ttyUSB5", "1-1.2"
	tree.Plug(again, d.Path())
	select {
	case err := <-back:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(soon):
		t.Fatal("WaitFor did not see the adapter under its new name")
	}
	p = open(t, c)
	d.Send("on")
	b := make([]byte, 4)
	if n, err := p.Read(b); err != nil || string(b[:n]) != "on" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

func BenchmarkResolve(b *testing.B) {
	c := serial.DefaultConfig()
	c.USB = serial.USBID{VID: "0403"}
	for b.Loop() {
		if _, err := serial.Resolve(c); err != nil && !errors.Is(err, serial.ErrNotFound) {
			b.Fatal(err)
		}
	}
}
