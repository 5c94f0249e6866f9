package bridge

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Whatever the server sends, the wire hands on whole packets as broker/packet
// frames them, and nothing of one that is too large.
func FuzzWireRead(f *testing.F) {
	f.Add([]byte{0x20, 3, 0, 0, 0, 0xD0, 0})
	f.Add([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2})
	f.Add([]byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F})
	f.Add([]byte{0x30, 0x80, 0x01})
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 64
		var whole []byte
		for rest := in; ; {
			n, err := packet.Frame(rest, limit)
			if err != nil || n == 0 {
				break
			}
			whole, rest = append(whole, rest[:n]...), rest[n:]
		}
		client, server := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = server.Write(in)
			_ = server.Close()
		})
		w := newWire(client, limit, func(error) {})
		var got []byte
		var err error
		for err == nil {
			var p []byte
			p, err = w.next()
			got = append(got, p...)
		}
		_ = client.Close() // the writer may wait for a reader
		w.close()
		wg.Wait()
		if !bytes.Equal(got, whole) {
			t.Fatalf("read %x, want %x", got, whole)
		}
		var f *failure
		if !errors.Is(err, io.EOF) && (!errors.As(err, &f) || f.class != ClassProtocol) {
			t.Fatalf("ended with %v", err)
		}
	})
}
