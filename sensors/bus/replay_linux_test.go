package bus

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// Units of a Modbus line answer as then, in whatever order they are asked.
func TestReplayOfModbus(t *testing.T) {
	u := &modbustest.Units{}
	var serving sync.WaitGroup
	d := serialtest.Pty(t)
	serving.Go(func() { u.ServeRTU(d) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving.Go(func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			u.ServeTCP(c)
		}
	})
	port := serial.DefaultConfig()
	port.Path = d.Path()
	o := modbus.Options{Baud: 115200, Timeout: 10 * time.Second}
	specs := []Spec{{ID: "rtu", Type: "modbus_rtu", Port: port, Modbus: o}, {ID: "tcp", Type: "modbus_tcp", Host: l.Addr().String(), Modbus: o}}
	// says reads a register of two units on both lines, with one that is not there.
	says := func(b *Buses, units ...byte) (text map[string]string) {
		text = map[string]string{}
		for _, id := range []string{"rtu", "tcp"} {
			m, err := b.Modbus(id)
			if err != nil {
				t.Fatal(err)
			}
			for round := range 3 {
				for _, unit := range units {
					u.Set(unit, modbustest.Holding, 7, uint16(unit)*10+uint16(round))
					for _, address := range []uint16{7, 9} {
						into := make([]uint16, 1)
						err := m.Read(t.Context(), unit, modbus.Holding, address, into)
						text[fmt.Sprint(id, unit)] += fmt.Sprint(into, err, " ")
					}
				}
			}
		}
		return text
	}
	b, err := New(specs, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rec")
	if err := b.Record(file); err != nil {
		t.Fatal(err)
	}
	want := says(b, 1, 2)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	l.Close()
	d.Unplug()
	serving.Wait()

	again, err := New(specs, "")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Replay(file); err != nil {
		t.Fatal(err)
	}
	if got := says(again, 2, 1); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("replay\n%v\nrecorded\n%v", got, want)
	}
}

// playing returns buses that play a recording of these lines.
func playing(t *testing.T, text string) *Buses {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rec")
	if err := os.WriteFile(file, []byte(recordingHead+"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := New(nil, "")
	if err == nil {
		err = b.Replay(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A device that talks by itself waits for no command of then, and fails as then.
func TestReplayOfATalker(t *testing.T) {
	b := playing(t, "0\t/dev/x\t\t61\t\n1\t/dev/x\t4c31\t\t\n2\t/dev/x\t\t62\t\n3\t/dev/x\t\t63\t\n4\t/dev/x\t\t64\t\n5\t/dev/x\t\t\tunplugged\n6\t/dev/x\t\t65\t\n7\t/dev/x\t\t66")
	c := serial.DefaultConfig()
	c.Path = "/dev/x"
	open := func() serial.Port {
		p, err := b.Port(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	buf := make([]byte, 8)
	p := open()
	for _, want := range "abcd" {
		if n, err := p.Read(buf); string(buf[:n]) != string(want) || err != nil {
			t.Errorf("%q, %v; want %q", buf[:n], err, want)
		}
	}
	if n, err := p.Read(buf); n != 0 || sensors.ReasonOf(err) != sensors.Unplugged {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := p.Write([]byte("x")); sensors.ReasonOf(err) != sensors.Unplugged {
		t.Errorf("an unplugged port takes bytes: %v", err)
	}
	p.Close()
	p = open()
	if err := p.Close(); err != nil { // nobody heard e
		t.Error(err)
	}
	p = open()
	defer p.Close()
	if n, err := p.Read(buf); string(buf[:n]) != "e" || err != nil {
		t.Errorf("%q, %v; want e", buf[:n], err)
	}
	// The line behind it was cut off.
	if err := p.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Error(err)
	}
	if n, err := p.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// fullDisk takes so many bytes.
type fullDisk struct {
	left int
	has  []byte
}

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.left)
	d.left -= n
	d.has = append(d.has, b[:n]...)
	if n < len(b) {
		return n, errors.New("full")
	}
	return n, nil
}

// A disk that was full for a while has no half line in the middle.
func TestRecordingEndsWithTheDisk(t *testing.T) {
	d := &fullDisk{left: 10}
	told := recorder(d)
	told("/dev/x", nil, []byte("abcdefgh"), nil)
	d.left = 1000
	told("/dev/x", nil, []byte("i"), nil)
	if len(d.has) != 10 {
		t.Errorf("after a failed write: %q", d.has)
	}
}

// What ends a stream is recorded; deadlines and its own Close are not.
func TestRecordOfAnUnplug(t *testing.T) {
	pty := serialtest.Pty(t)
	b, err := New(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	told := ""
	b.Trace(func(_ string, sent, received []byte, err error) {
		told += fmt.Sprintf("%s%s%s,", sent, received, sensors.ReasonOf(err))
	}, nil)
	c := serial.DefaultConfig()
	c.Path = pty.Path()
	p, err := b.Port(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetReadDeadline(time.Now()); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 8)
	_, _ = p.Read(buf) // the deadline has passed
	if err := p.SetReadDeadline(time.Time{}); err != nil {
		t.Error(err)
	}
	pty.Unplug()
	_, _ = p.Read(buf) // fails
	p.Close()
	_, _ = p.Read(buf) // is closed
	if told != "unplugged," {
		t.Errorf("told %s", told)
	}
}
