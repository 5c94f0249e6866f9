package bus

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

func TestTraceTellsOfEveryTransfer(t *testing.T) {
	b, err := New([]Spec{{ID: "adc", Type: "spi", Path: "/dev/spidev0.0", Speed: 1}, {ID: "i2c1", Type: "i2c", Path: "/dev/i2c-1"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	sim := &chipsim.Bus{}
	sim.Plug(0x76, chipsim.Stuck(0x60))
	b.openI2C = func(int) (i2c.BusCloser, error) { return sim, nil }
	b.openSPI = func(string, int) (RawSPI, error) { return &fakeSPI{}, nil }
	var told []string
	b.Trace(func(where string, w, r []byte, err error) {
		told = append(told, fmt.Sprintf("%s > %s < %s %v", where, hex.EncodeToString(w), hex.EncodeToString(r), err != nil))
	}, nil)
	wire, err := b.I2C("i2c1")
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.Tx(0x76, []byte{0xD0}, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if err := wire.Tx(0x77, []byte{0xD0}, nil); err == nil {
		t.Error("nobody is there")
	}
	chip, err := b.SPI("adc", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := chip.Tx([]byte{0x0F}, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	pty := serialtest.Pty(t)
	c := serial.DefaultConfig()
	c.Path = pty.Path()
	p, err := b.Port(c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, ok := p.(serial.Control); !ok {
		t.Error("a traced port cannot be controlled")
	}
	if _, err := p.Write([]byte("a")); err != nil {
		t.Error(err)
	}
	if _, err := pty.Write([]byte("b")); err != nil {
		t.Error(err)
	}
	if _, err := p.Read(make([]byte, 8)); err != nil {
		t.Error(err)
	}
	want := "i2c1 0x76 > d0 < 60 false,i2c1 0x77 > d0 <  true,adc > 0f < f0 false," + pty.Path() + " > 61 <  false," + pty.Path() + " >  < 62 false"
	if got := strings.Join(told, ","); got != want {
		t.Errorf("told %s\nwant %s", got, want)
	}
}

func TestTraceTellsOfLines(t *testing.T) {
	k := newGPIOFake(t, "pinctrl-test", "GPIO0")
	raw, err := requestLine(k.root, k.ioctl, sensors.LineOptions{Name: "GPIO0", Output: true})
	if err != nil {
		t.Fatal(err)
	}
	told := ""
	l := tracedLine{raw, "GPIO0", func(where string, w, r []byte, err error) { told += fmt.Sprintf("%s >%s <%s %v,", where, w, r, err) }}
	if err := l.Write(true); err != nil {
		t.Error(err)
	}
	if active, err := l.Read(); !active || err != nil {
		t.Error(active, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Write(false); err == nil {
		t.Error("a closed line is driven")
	}
	if !strings.HasPrefix(told, "GPIO0 >active < <nil>,GPIO0 > <active <nil>,GPIO0 >inactive < shutdown: ") {
		t.Errorf("told %s", told)
	}
}
