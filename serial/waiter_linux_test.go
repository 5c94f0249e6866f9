package serial_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// waiting runs a Waiter until the test ends.
func waiting(t *testing.T) *serial.Waiter {
	w, done := serial.NewWaiter(), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		l := serial.NewLines(open(t, config(serialtest.Pty(t).Path())), serial.LineOptions{})
		if l.Await(w, func() { t.Error("told after the end") }) {
			t.Error("Await after the end of Run")
		}
	})
	return w
}

func TestAwait(t *testing.T) {
	w := waiting(t)
	d := serialtest.Pty(t)
	l := serial.NewLines(open(t, config(d.Path())), serial.LineOptions{})
	told := make(chan struct{}, 10)
	await := func() {
		t.Helper()
		if !l.Await(w, func() { told <- struct{}{} }) {
			t.Fatal("a port that cannot be awaited")
		}
	}
	tell := func(why string) {
		t.Helper()
		select {
		case <-told:
		case <-time.After(soon):
			t.Fatal("not told: " + why)
		}
	}
	next := func(want string) {
		t.Helper()
		if line, err := l.Next(t.Context()); err != nil || string(line) != want {
			t.Fatalf("%q, %v, want %q", line, err, want)
		}
	}
	arrived := func(n uint64) {
		t.Helper()
		for at := time.Now(); l.Arrived() < n; time.Sleep(time.Millisecond) {
			if time.Since(at) > soon {
				t.Fatalf("%d of %d bytes have arrived", l.Arrived(), n)
			}
		}
	}
	await()
	d.Send("23")
	arrived(2)
	if len(told) > 0 || l.Ready() {
		t.Fatal("half a line counts as one")
	}
	await()
	d.Send(".5\n24")
	tell("a line is complete")
	next("23.5")
	if l.Ready() {
		t.Error("half a line counts as one")
	}
	await()
	d.Send("\n25\n")
	tell("the rest of a line")
	next("24")
	await()
	tell("a line that had arrived")
	next("25")

	await()
	l.Leave()
	d.Send("26\n")
	time.Sleep(50 * time.Millisecond) // nothing is to happen
	if len(told) > 0 {
		t.Error("told after Leave")
	}
	await()
	tell("a line that came while nobody waited")
	next("26")

	await()
	d.Unplug()
	tell("unplugged")
	if _, err := l.Next(t.Context()); !errors.Is(err, serial.ErrUnplugged) {
		t.Errorf("%v after the unplug", err)
	}
	d.Replug()
	l.Reset(open(t, config(d.Path())))
	await()
	d.Send("27\n")
	tell("plugged in again")
	next("27")
}

// TestAwaitManyPorts has each line told on its own port, none lost and none
// twice, however they are cut.
func TestAwaitManyPorts(t *testing.T) {
	const ports, lines = 24, 20
	w := waiting(t)
	var all sync.WaitGroup
	for i := range ports {
		d := serialtest.Pty(t)
		l := serial.NewLines(open(t, config(d.Path())), serial.LineOptions{})
		all.Go(func() {
			for n := range lines {
				d.Send(fmt.Sprintf("%d", i))
				d.Send(fmt.Sprintf(" %d\n", n))
			}
		})
		all.Go(func() {
			for n := 0; n < lines; {
				told := make(chan struct{})
				if !l.Await(w, sync.OnceFunc(func() { close(told) })) {
					t.Error("a port that cannot be awaited")
					return
				}
				select {
				case <-told:
				case <-time.After(soon):
					t.Errorf("port %d: line %d never came", i, n)
					return
				}
				for ; l.Ready(); n++ {
					if line, err := l.Next(t.Context()); err != nil || string(line) != fmt.Sprintf("%d %d", i, n) {
						t.Errorf("port %d, line %d: %q, %v", i, n, line, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
}
