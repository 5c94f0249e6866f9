package main

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// stream is all that one publisher sends to one topic with one QoS, numbered
// from 1.
type stream struct {
	id     uint32
	topic  string
	qos    mqtt.QoS
	retain bool
	group  *group // of a Shared Subscription that takes it; nil for none

	mu    sync.Mutex
	next  uint64              // the number to be sent next, less one
	acked uint64              // the highest acknowledged
	lost  map[uint64]struct{} // given up with their session: routed or not
	again map[uint64]struct{} // QoS 1 sent twice: may be routed twice
}

func newStream(id uint32, topic string, qos mqtt.QoS) *stream {
	return &stream{id: id, topic: topic, qos: qos, lost: make(map[uint64]struct{}), again: make(map[uint64]struct{})}
}

// take returns the number of a message that is sent now.
func (s *stream) take() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.next
}

// last is the highest number sent so far.
func (s *stream) last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

func (s *stream) acknowledged(n uint64) {
	s.mu.Lock()
	s.acked = max(s.acked, n)
	s.mu.Unlock()
	if s.group != nil {
		s.group.owe(s, n)
	}
}

func (s *stream) giveUp(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost[n] = struct{}{}
}

func (s *stream) repeated(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again[n] = struct{}{}
}

func (s *stream) wasRepeated(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.again[n]
	return ok
}

// firstOwed returns the lowest number from from to to that was not given up; 0
// for none.
func (s *stream) firstOwed(from, to uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := from; n <= to; n++ {
		if _, gone := s.lost[n]; !gone {
			return n
		}
	}
	return 0
}

// A payload is the stream, the number, the time it was sent, and filling.
const payloadSize = 4 + 8 + 8

func encodePayload(s *stream, n uint64, filling int) []byte {
	b := make([]byte, 0, payloadSize+filling)
	b = binary.BigEndian.AppendUint32(b, s.id)
	b = binary.BigEndian.AppendUint64(b, n)
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixNano()))
	for i := range filling {
		b = append(b, byte(n)+byte(i))
	}
	return b
}

// decodePayload reports false for a payload that encodePayload did not write.
func decodePayload(b []byte) (id uint32, n uint64, ok bool) {
	if len(b) < payloadSize {
		return 0, 0, false
	}
	n = binary.BigEndian.Uint64(b[4:])
	for i, c := range b[payloadSize:] {
		if c != byte(n)+byte(i) {
			return 0, 0, false
		}
	}
	return binary.BigEndian.Uint32(b), n, true
}
