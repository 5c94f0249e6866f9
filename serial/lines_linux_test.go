package serial_test

import (
	"context"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

func TestNextEndsWithItsContext(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		{"canceled", context.WithCancel, context.Canceled},
		{"at its deadline", func(c context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(c, time.Millisecond)
		}, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := serialtest.Pty(t)
			l := serial.NewLines(open(t, config(d.Path())), serial.LineOptions{})
			ctx, cancel := tt.make(t.Context())
			defer cancel()
			failed := make(chan error, 1)
			go func() { _, err := l.Next(ctx); failed <- err }()
			d.Send("23")
			if tt.want == context.Canceled {
				cancel()
			}
			select {
			case err := <-failed:
				if err != tt.want {
					t.Fatalf("%v, want %v", err, tt.want)
				}
			case <-time.After(soon):
				t.Fatal("Next still blocked after its context ended")
			}
			d.Send(".5\n")
			line, err := l.Next(t.Context())
			if err != nil || string(line) != "23.5" {
				t.Errorf("%q, %v", line, err)
			}
		})
	}
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
