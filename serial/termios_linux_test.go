package serial

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestTermios(t *testing.T) {
	const always = unix.CREAD | unix.CLOCAL
	old := unix.Termios{
		Iflag: unix.ICRNL | unix.IXON | unix.ISTRIP, Oflag: unix.OPOST, Lflag: unix.ICANON | unix.ECHO | unix.ISIG,
		Cflag: unix.HUPCL | unix.PARENB | unix.CS5 | unix.B38400 | unix.CRTSCTS,
	}
	for _, tt := range []struct {
		name   string
		change func(c *Config)
		cflag  uint32
		iflag  uint32
	}{
		{"8N1", func(c *Config) {}, unix.B9600 | unix.CS8, 0},
		{"7E1", func(c *Config) { c.DataBits, c.Parity = 7, "even" }, unix.B9600 | unix.CS7 | unix.PARENB, unix.INPCK},
		{"6O2", func(c *Config) { c.DataBits, c.Parity, c.StopBits = 6, "odd", 2 },
			unix.B9600 | unix.CS6 | unix.PARENB | unix.PARODD | unix.CSTOPB, unix.INPCK},
		{"5M1", func(c *Config) { c.DataBits, c.Parity = 5, "mark" },
			unix.B9600 | unix.CS5 | unix.PARENB | unix.PARODD | unix.CMSPAR, unix.INPCK},
		{"8S1", func(c *Config) { c.Parity = "space" }, unix.B9600 | unix.CS8 | unix.PARENB | unix.CMSPAR, unix.INPCK},
		{"RTS/CTS", func(c *Config) { c.Flow = "rtscts" }, unix.B9600 | unix.CS8 | unix.CRTSCTS, 0},
		{"XON/XOFF", func(c *Config) { c.Flow = "xonxoff" }, unix.B9600 | unix.CS8, unix.IXON | unix.IXOFF},
		{"a named speed", func(c *Config) { c.Baud = 921600 }, unix.B921600 | unix.CS8, 0},
		{"any speed", func(c *Config) { c.Baud = 31250 }, unix.BOTHER | unix.CS8, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := DefaultConfig()
			tt.change(&c)
			got := termios(old, &c)
			if got.Cflag != tt.cflag|always {
				t.Errorf("c_cflag %#o, want %#o", got.Cflag, tt.cflag|always)
			}
			if got.Iflag != tt.iflag|unix.IGNBRK || got.Oflag != 0 || got.Lflag != 0 {
				t.Errorf("c_iflag %#o c_oflag %#o c_lflag %#o", got.Iflag, got.Oflag, got.Lflag)
			}
			if got.Ospeed != uint32(c.Baud) || got.Ispeed != uint32(c.Baud) {
				t.Errorf("speeds %d and %d", got.Ispeed, got.Ospeed)
			}
			if got.Cc[unix.VMIN] != 1 || got.Cc[unix.VTIME] != 0 {
				t.Errorf("VMIN %d VTIME %d", got.Cc[unix.VMIN], got.Cc[unix.VTIME])
			}
		})
	}
}

func TestRefusedSettingsAreNamed(t *testing.T) {
	c := DefaultConfig()
	c.Baud, c.Parity, c.Flow = 250000, "mark", "rtscts"
	want := termios(unix.Termios{}, &c)
	for _, tt := range []struct {
		name   string
		change func(got *unix.Termios)
		refuse string
	}{
		{"nothing", func(*unix.Termios) {}, ""},
		{"2 % off is close enough", func(g *unix.Termios) { g.Ospeed = 245000 }, ""},
		{"another speed", func(g *unix.Termios) { g.Ospeed = 9600 }, "baud 250000 (it made 9600)"},
		{"a faster speed", func(g *unix.Termios) { g.Ospeed = 500000 }, "baud 250000 (it made 500000)"},
		{"even for mark", func(g *unix.Termios) { g.Cflag &^= unix.CMSPAR }, "parity"},
		{"no flow control, other size", func(g *unix.Termios) { g.Cflag &^= unix.CRTSCTS | unix.CSIZE }, "data_bits, flow rtscts"},
		{"stop bits", func(g *unix.Termios) { g.Cflag |= unix.CSTOPB }, "stop_bits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := want
			tt.change(&got)
			if refuse := compare(&want, &got); refuse != tt.refuse {
				t.Errorf("refused %q, want %q", refuse, tt.refuse)
			}
		})
	}
}
