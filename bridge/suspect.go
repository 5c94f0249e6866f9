package bridge

import (
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// suspect is the message that may be the reason why the server ends the
// connection. It is sent alone on the next connection; if the server ends that
// one too, with a reason that blames a packet, the message is given up.
//
// Servers of 3.1.1, and clouds, close without a word. That tells little, since
// links break: only the third close in a row within closeSoon after the same
// message is evidence, and before the third the link must have been quiet for
// as long with nothing in flight.
type suspect struct {
	mu     sync.Mutex
	seq    uint64
	count  int // times the server blamed a packet
	closes int // times it closed without a word, right after the message
}

const (
	closeSoon  = 5 * time.Second
	closeLimit = 3
)

// poisonous reports whether a DISCONNECT with this code blames a packet. A
// connection that just breaks never costs a message.
func poisonous(code mqtt.ReasonCode) bool {
	switch code {
	case mqtt.MalformedPacket, mqtt.ProtocolError, mqtt.TopicNameInvalid, mqtt.PacketTooLarge,
		mqtt.PayloadFormatInvalid, mqtt.RetainNotSupported, mqtt.QoSNotSupported:
		return true
	}
	return false
}

// probing reports whether messages are to be sent one at a time.
func (b *Bridge) probing() bool {
	b.suspect.mu.Lock()
	defer b.suspect.mu.Unlock()
	return b.suspect.count > 0 || b.suspect.closes >= closeLimit-1 || b.stalls >= probeAfterStall
}

// quiet is how long the link stays idle before the suspect is sent.
func (b *Bridge) quiet() time.Duration {
	b.suspect.mu.Lock()
	defer b.suspect.mu.Unlock()
	if b.suspect.closes >= closeLimit-1 {
		return closeSoon
	}
	return 0
}

// closed notes the oldest message in flight, sent so long ago, when the server
// closed the connection without a word.
func (b *Bridge) closed(seq uint64, ago time.Duration) (guilty bool) {
	s := &b.suspect
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seq != seq {
		s.seq, s.count, s.closes = seq, 0, 0
	}
	if ago > closeSoon {
		s.closes = 0
		return false
	}
	if s.closes++; s.closes < closeLimit {
		return false
	}
	s.closes = 0
	return true
}

// accuse notes the oldest message in flight when the server ended the
// connection over a packet; the second time that message is given up.
func (b *Bridge) accuse(seq uint64) (guilty bool) {
	s := &b.suspect
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count > 0 && s.seq == seq {
		s.count = 0
		return true
	}
	s.seq, s.count, s.closes = seq, 1, 0
	return false
}

// accepted clears the suspicion of entries.
func (b *Bridge) accepted(seqs []uint64) {
	b.suspect.mu.Lock()
	defer b.suspect.mu.Unlock()
	for _, seq := range seqs {
		delete(b.tries, seq)
		if b.suspect.seq == seq {
			b.suspect.count, b.suspect.closes = 0, 0
		}
	}
}

// maxTries is how often a message is sent again that the server refuses for a
// reason that may pass.
const maxTries = 3

// again reports whether to send such a message once more.
func (b *Bridge) again(seq uint64) bool {
	b.tries[seq]++
	if b.tries[seq] < maxTries {
		return true
	}
	delete(b.tries, seq)
	return false
}

const (
	takeoverLimit  = 3
	takeoverWithin = 5 * time.Minute
	takeoverPause  = 5 * time.Minute
)

// takenOver tells two gateways with one Client Identifier apart from a server
// that was late to notice a reconnect: the third time within 5 min the bridge
// leaves the field for 5 min instead of taking part in a ping-pong.
func (b *Bridge) takenOver(now time.Time) time.Duration {
	b.takeover = append(b.takeover, now)
	if len(b.takeover) > takeoverLimit {
		b.takeover = b.takeover[1:]
	}
	if len(b.takeover) < takeoverLimit || now.Sub(b.takeover[0]) > takeoverWithin {
		return 0
	}
	b.o.Log.Error("another client uses this Client Identifier upstream", "bridge", b.o.Name, "client_id", b.o.ClientID, "wait", takeoverPause)
	return takeoverPause
}
