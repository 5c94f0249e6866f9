package serial_test

import (
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(c *serial.Config)
		want   []string // keys reported
	}{
		{"a path", func(c *serial.Config) { c.Path = "/dev/ttyS0" }, nil},
		{"an adapter", func(c *serial.Config) { c.USB = serial.USBID{VID: "0403", PID: "6001", Interface: "0"} }, nil},
		{"no port", func(c *serial.Config) {}, []string{""}},
		{"both", func(c *serial.Config) { c.Path, c.USB.Serial = "/dev/ttyS0", "A1" }, []string{"usb"}},
		{"an interface of what?", func(c *serial.Config) { c.USB.Interface = "01" }, []string{"usb"}},
		{"identity", func(c *serial.Config) { c.USB = serial.USBID{VID: "0x0403", PID: "6o01", Interface: "if0"} },
			[]string{"usb.vid", "usb.pid", "usb.interface"}},
		{"everything at once", func(c *serial.Config) { *c = serial.Config{Path: "/dev/ttyS0", Settle: time.Hour} },
			[]string{"baud", "data_bits", "stop_bits", "parity", "flow", "dtr", "settle"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serial.DefaultConfig()
			tt.change(&c)
			var got []string
			c.Validate(func(path, msg string) {
				if msg == "" {
					t.Errorf("%s: no message", path)
				}
				got = append(got, path)
			})
			if !slices.Equal(got, tt.want) {
				t.Errorf("reported %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMessagesSayWhatIsAllowed(t *testing.T) {
	c := serial.DefaultConfig()
	c.Path, c.Parity = "/dev/ttyS0", "uneven"
	c.Validate(func(path, msg string) {
		if want := `"uneven" is not none, even, odd, mark or space`; path != "parity" || msg != want {
			t.Errorf("%s: %s, want %s", path, msg, want)
		}
	})
}
