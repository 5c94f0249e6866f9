package modbus_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
)

// TCP: the transaction identifier says which request an answer is for.
func TestTCPTransactions(t *testing.T) {
	answers := func(id uint16, unit byte, v uint16) []byte {
		return []byte{byte(id >> 8), byte(id), 0, 0, 0, 5, unit, 3, 2, byte(v >> 8), byte(v)}
	}
	for _, tc := range []struct {
		name   string
		answer func(n int, id uint16) [][]byte
		want   []error // of requests in a row; nil is a right value
	}{
		{"an answer to the request before comes first", func(n int, id uint16) [][]byte {
			return [][]byte{answers(id-1, 1, 666), answers(id, 1, 1000)}
		}, []error{nil, nil}},
		{"answers of the future and the past", func(n int, id uint16) [][]byte {
			return [][]byte{answers(id+1, 1, 666), answers(id-2, 1, 667), answers(id, 1, 1000), answers(id+1, 1, 668)}
		}, []error{nil, nil, nil}},
		{"late by one request", func(n int, id uint16) [][]byte {
			switch n {
			case 0:
				return nil
			case 1:
				return [][]byte{answers(id-1, 1, 666), answers(id, 1, 1000)}
			}
			return [][]byte{answers(id, 1, 1000)}
		}, []error{modbus.ErrTimeout, nil, nil}},
		{"answers to other requests only", func(n int, id uint16) [][]byte { return [][]byte{answers(id^0x100, 1, 666)} }, []error{modbus.ErrLate, modbus.ErrLate}},
		{"answers to requests to other units only", func(n int, id uint16) [][]byte { return [][]byte{answers(id-1, 2, 666)} }, []error{modbus.ErrTimeout, modbus.ErrTimeout}},
		{"another unit", func(n int, id uint16) [][]byte { return [][]byte{answers(id, byte(2-n), 1000)} }, []error{modbus.ErrUnit, nil}},
		{"an exception", func(n int, id uint16) [][]byte {
			return [][]byte{{byte(id >> 8), byte(id), 0, 0, 0, 3, 1, 0x83, 6}}
		}, []error{modbus.DeviceBusy, modbus.DeviceBusy}},
		{"another function", func(n int, id uint16) [][]byte {
			return [][]byte{{byte(id >> 8), byte(id), 0, 0, 0, 5, 1, 4, 2, 3, 232}}
		}, []error{modbus.ErrGarbage}},
		{"half a frame", func(n int, id uint16) [][]byte {
			if n == 0 {
				return [][]byte{answers(id, 1, 1000)[:9]}
			}
			return [][]byte{answers(id, 1, 1000)}
		}, []error{modbus.ErrTruncated, nil}},
		{"a frame in pieces", func(n int, id uint16) [][]byte {
			a := answers(id, 1, 1000)
			return [][]byte{a[:3], a[3:8], a[8:]}
		}, []error{nil, nil}},
		{"no frame at all", func(n int, id uint16) [][]byte {
			if n == 0 {
				return [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n")}
			}
			return [][]byte{answers(id, 1, 1000)}
		}, []error{modbus.ErrGarbage, nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &modbustest.Units{Twist: func(n int, r, _ []byte, send func([]byte)) {
					for _, b := range tc.answer(n, uint16(r[0])<<8|uint16(r[1])) {
						send(b)
					}
				}}
				registers(u, 1, 1)
				m := wired(t, true, u)
				for i, want := range tc.want {
					v, err := read(t, m, 1, 0)
					if !errors.Is(err, want) || err == nil && v != 1000 {
						t.Errorf("request %d: %d, %v; want %v", i, v, err, want)
					}
				}
			})
		})
	}
}

// A server that closes connections which nobody used for a while is no
// failure, for writes neither.
func TestTCPServerClosesIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		registers(u, 1, 1)
		opened := 0
		m := modbus.New(modbus.Options{TCP: true, Timeout: timeout, Open: func(context.Context) (modbus.Conn, error) {
			opened++
			near, far := modbustest.Wire()
			go u.ServeTCP(far)
			time.AfterFunc(30*time.Second, func() { far.Close() })
			return near, nil
		}})
		defer m.Close()
		for i := range 10 {
			if err := m.Write(t.Context(), 1, modbus.Holding, 0, []uint16{uint16(i)}, false); err != nil {
				t.Errorf("write %d: %v", i, err)
			}
			if v, err := read(t, m, 1, 0); err != nil || v != uint16(i) {
				t.Errorf("read %d: %d, %v", i, v, err)
			}
			time.Sleep(time.Minute)
		}
		if opened != 10 {
			t.Errorf("opened %d times", opened)
		}
	})
}

// A connection whose other end lost its power is given up.
func TestTCPDeadConnectionIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		registers(u, 1, 1)
		opened := 0
		m := modbus.New(modbus.Options{TCP: true, Timeout: timeout, Open: func(context.Context) (modbus.Conn, error) {
			near, far := modbustest.Wire()
			if opened++; opened == 1 {
				go io.Copy(io.Discard, far)
			} else {
				go u.ServeTCP(far)
			}
			return near, nil
		}})
		defer m.Close()
		start := time.Now()
		for {
			if v, err := read(t, m, 1, 0); err == nil && v == 1000 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if d := time.Since(start); opened != 2 || d > 10*time.Second {
			t.Errorf("opened %d times, back after %v", opened, d)
		}
	})
}

// A request that is canceled while its answer is under way is finished: the
// unit owes nothing, and the next request, a fail-safe's, is made at once.
func TestCanceledRequestIsFinished(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := &modbustest.Units{Twist: func(_ int, _, answer []byte, send func([]byte)) {
				time.Sleep(40 * time.Millisecond)
				send(answer)
			}}
			registers(u, 1, 1)
			m := wired(t, tcp, u)
			for range 2 { // after the first the line is listened to for longer
				if _, err := read(t, m, 1, 0); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			time.AfterFunc(40*time.Millisecond, cancel)
			began := time.Now()
			if err := m.Read(ctx, 1, modbus.Holding, 0, make([]uint16, 1)); err != nil {
				t.Errorf("tcp=%v: %v", tcp, err)
			}
			if err := m.Write(t.Context(), 1, modbus.Holding, 0, []uint16{5}, false); err != nil {
				t.Errorf("tcp=%v: %v", tcp, err)
			}
			if took := time.Since(began); took > 150*time.Millisecond {
				t.Errorf("tcp=%v: the write was done after %v", tcp, took)
			}
			if err := m.Read(ctx, 1, modbus.Holding, 0, make([]uint16, 1)); !errors.Is(err, context.Canceled) {
				t.Errorf("tcp=%v: a canceled request was made: %v", tcp, err)
			}
		})
	}
}
