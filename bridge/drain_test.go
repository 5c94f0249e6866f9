package bridge

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// endless is a Queue that hands out n messages of so many bytes and forgets what is removed.
type endless struct {
	Queue
	n, size, next, removed int
	mu                     sync.Mutex
	done                   chan struct{}
}

func (q *endless) Take(context.Context) (e mqtt.Queued, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == q.n {
		return e, false, nil
	}
	q.next++
	return mqtt.Queued{Seq: uint64(q.next), Message: mqtt.Message{Topic: "out/dev7/temperature", Payload: make([]byte, q.size), QoS: 1}, At: start2026}, true, nil
}

func (q *endless) Remove(_ context.Context, seqs ...uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.removed += len(seqs); q.removed == q.n {
		close(q.done)
	}
	return nil
}

func (q *endless) Acknowledged(ctx context.Context, seqs ...uint64) error {
	return q.Remove(ctx, seqs...)
}

func (q *endless) Ready() <-chan struct{} { return nil }
func (q *endless) Rewind()                {}
func (q *endless) Stats() mqtt.QueueStats { return mqtt.QueueStats{Messages: q.n} }

// acknowledge answers CONNECT and every PUBLISH of QoS 1.
func acknowledge(c net.Conn) {
	r, w := bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c)
	buf := make([]byte, 64<<10)
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		first, err := r.ReadByte()
		if err != nil {
			return
		}
		size, err := binary.ReadUvarint(r) // a Variable Byte Integer is one
		if err != nil {
			return
		}
		if _, err := io.ReadFull(r, buf[:size]); err != nil {
			return
		}
		answer := []byte{0x20, 2, 0, 0}
		if first>>4 == 3 {
			topic := int(binary.BigEndian.Uint16(buf))
			answer = []byte{0x40, 2, buf[topic+2], buf[topic+3]}
		}
		if _, err := w.Write(answer); err != nil {
			return
		}
	}
}

// What forwarding a message of QoS 1 costs, all but the queue.
func BenchmarkDrain(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		if c, err := ln.Accept(); err == nil {
			acknowledge(c)
		}
	}()
	q := &endless{n: b.N, size: 64, done: make(chan struct{})}
	br, err := New(Options{
		Name: "b", Servers: []string{"mqtt://" + ln.Addr().String()}, ClientID: "b", Protocol: mqtt.V311,
		Out: []Route{{From: "out/#"}}, Queues: [LaneCount]Queue{q},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- br.Run(ctx) }()
	<-q.done
	cancel()
	ln.Close()
	<-ended
}
