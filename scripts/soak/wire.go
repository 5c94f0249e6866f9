package main

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// ioTimeout is how long a dial and a write may take. A write waits for the
// server to read, which it does at any time.
const ioTimeout = 30 * time.Second

// wire is one socket that speaks MQTT.
type wire struct {
	nc      *net.TCPConn
	version mqtt.Version
	paused  atomic.Bool // do not read on

	mu   sync.Mutex
	out  []byte
	last time.Time // just before the last packet was written
}

func dial(address string, v mqtt.Version) (*wire, error) {
	nc, err := net.DialTimeout("tcp", address, ioTimeout)
	if err != nil {
		return nil, err
	}
	return &wire{nc: nc.(*net.TCPConn), version: v}, nil
}

func (w *wire) send(v *packet.View) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = packet.Append(w.out[:0], w.version, v)
	return w.write(w.out)
}

func (w *wire) sendBytes(b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write(b)
}

func (w *wire) write(b []byte) error {
	if err := w.nc.SetWriteDeadline(time.Now().Add(ioTimeout)); err != nil {
		return err
	}
	w.last = time.Now()
	_, err := w.nc.Write(b)
	return err
}

func (w *wire) lastWrite() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// read hands each packet to handle until the connection ends or handle fails.
func (w *wire) read(handle func(*packet.View) error) error {
	buf, n := make([]byte, 4<<10), 0
	var v packet.View
	for {
		m, err := w.nc.Read(buf[n:])
		n += m
		used := 0
		for {
			size, ferr := packet.Frame(buf[used:n], 0)
			if ferr != nil {
				return ferr
			}
			if size == 0 {
				break
			}
			if derr := packet.Decode(buf[used:used+size], w.version, &v); derr != nil {
				return derr
			}
			if derr := v.FromServer(); derr != nil {
				return derr
			}
			if herr := handle(&v); herr != nil {
				return herr
			}
			used += size
		}
		n = copy(buf, buf[used:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			for w.paused.Load() {
				time.Sleep(20 * time.Millisecond)
			}
			err = w.nc.SetReadDeadline(time.Time{})
		}
		if err != nil {
			return err
		}
		if n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// pause makes read stop, at once but for the packets it has, or go on.
func (w *wire) pause(stop bool) {
	w.paused.Store(stop)
	if stop {
		w.nc.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed
	}
}

// cut closes the socket so that the server sees a reset.
func (w *wire) cut() {
	w.nc.SetLinger(0) // without it the cut is only a less abrupt one
	w.nc.Close()
}
