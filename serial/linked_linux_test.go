package serial_test

import (
	"testing"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// linked returns an open port and how its device sends.
func linked(t *testing.T) (serial.Port, func(string)) {
	d := serialtest.Pty(t)
	return open(t, config(d.Path())), d.Send
}

func TestLinesAcrossAReplug(t *testing.T) {
	d := serialtest.Pty(t)
	c := config(d.Path())
	p := open(t, c)
	l := serial.NewLines(p, serial.LineOptions{})
	next := func(want string) {
		t.Helper()
		if line, err := l.Next(t.Context()); err != nil || string(line) != want {
			t.Fatalf("%q, %v, want %q", line, err, want)
		}
	}
	for range 20 {
		d.Send("1\n2\n")
		next("1")
		next("2")
		d.Unplug()
		if _, err := l.Next(t.Context()); err == nil {
			t.Fatal("no error after unplug")
		}
		d.Replug()
		d.Send("3\n") // before the program has the port again
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		p = open(t, c)
		l.Reset(p)
		next("3")
	}
	if s := l.Stats(); s.Lines != 60 || s.Partial != 0 {
		t.Errorf("%+v", s)
	}
}
