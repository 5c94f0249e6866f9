package modbus_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// socket is a pseudo terminal with units at its far end.
type socket struct {
	*serialtest.Device
	u       *modbustest.Units
	serving sync.WaitGroup
}

func (s *socket) plug() { s.serving.Go(func() { s.u.ServeRTU(s.Device) }) }

func (s *socket) unplug() {
	s.Unplug()
	s.serving.Wait()
}

// onPty is a Master on a pseudo terminal.
func onPty(t testing.TB, u *modbustest.Units, o modbus.Options) (*modbus.Master, *socket) {
	t.Helper()
	d := &socket{Device: serialtest.Pty(t), u: u}
	o.Open = func(context.Context) (modbus.Conn, error) {
		c := serial.DefaultConfig()
		c.Path = d.Path()
		return serial.Open(c)
	}
	m := modbus.New(o)
	d.plug()
	t.Cleanup(func() {
		_ = m.Close()
		d.unplug()
	})
	return m, d
}

// One answer comes 40 ms after the time-out; of the 10,000 reads that follow
// none has a wrong value.
func TestOneLateAnswer(t *testing.T) {
	const timeout = time.Second
	u := &modbustest.Units{Twist: func(n int, _, answer []byte, send func([]byte)) {
		if n == 1 {
			time.AfterFunc(timeout+40*time.Millisecond, func() { send(answer) })
			return
		}
		send(answer)
	}}
	for i := range uint16(100) {
		u.Set(1, modbustest.Holding, i, 1000+i)
	}
	m, _ := onPty(t, u, modbus.Options{Timeout: timeout, Recovery: 2 * time.Second})
	into := make([]uint16, 1)
	if err := m.Read(t.Context(), 1, modbus.Holding, 0, into); err != nil {
		t.Fatal(err)
	}
	if err := m.Read(t.Context(), 1, modbus.Holding, 1, into); !errors.Is(err, modbus.ErrTimeout) {
		t.Fatalf("the late answer: %v", err)
	}
	reads := 10_000
	if testing.Short() {
		reads = 1000
	}
	good := 0
	for i := range reads {
		address := uint16(i % 100)
		err := m.Read(t.Context(), 1, modbus.Holding, address, into)
		if err == nil && into[0] != 1000+address {
			t.Fatalf("read %d: register %d is %d", i, address, into[0])
		}
		if err == nil {
			good++
		} else {
			t.Logf("read %d: %v", i, err) // a busy machine may be late itself
			time.Sleep(200 * time.Millisecond)
		}
	}
	if good < reads*9/10 {
		t.Errorf("%d of %d reads worked", good, reads)
	}
}

// The same failures on a terminal of the kernel.
func TestEachFailureOnPty(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for time-outs")
	}
	for _, tc := range failures {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			u := &modbustest.Units{Twist: func(n int, r, a []byte, send func([]byte)) {
				if n == 0 {
					tc.twist(r, a, send)
					return
				}
				send(a)
			}}
			registers(u, 1, 20)
			m, _ := onPty(t, u, modbus.Options{Baud: 115200, Timeout: 2 * time.Second, Recovery: 100 * time.Millisecond})
			if _, err := read(t, m, 1, 7); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if v, err := read(t, m, 1, 9); err != nil || v != 1009 {
				t.Errorf("the next request: %d, %v", v, err)
			}
		})
	}
}

// A port that is pulled and plugged in again is opened by the next request.
func TestReplug(t *testing.T) {
	u := &modbustest.Units{}
	u.Set(1, modbustest.Holding, 0, 42)
	m, d := onPty(t, u, modbus.Options{Timeout: 5 * time.Second, Recovery: time.Second})
	into := make([]uint16, 1)
	for range 20 {
		if err := m.Read(t.Context(), 1, modbus.Holding, 0, into); err != nil || into[0] != 42 {
			t.Fatalf("%v, %v", into, err)
		}
		d.unplug()
		if err := m.Read(t.Context(), 1, modbus.Holding, 0, into); !errors.Is(err, serial.ErrUnplugged) {
			t.Fatalf("unplugged: %v", err)
		}
		if err := m.Open(t.Context()); !errors.Is(err, serial.ErrNotFound) || !errors.Is(err, serial.ErrUnplugged) {
			t.Fatalf("still unplugged: %v", err)
		}
		d.Replug()
		d.plug()
	}
}

func BenchmarkRTURead(b *testing.B) {
	for _, n := range []int{1, 125} {
		b.Run(map[int]string{1: "1 register", 125: "125 registers"}[n], func(b *testing.B) {
			u := &modbustest.Units{}
			u.Set(1, modbustest.Holding, 0, make([]uint16, n)...)
			m, _ := onPty(b, u, modbus.Options{Timeout: 5 * time.Second})
			into := make([]uint16, n)
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Read(b.Context(), 1, modbus.Holding, 0, into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
