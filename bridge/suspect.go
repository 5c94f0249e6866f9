package bridge

import (
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// suspect is the message that may be the reason why the server ends the
// connection. It is sent alone on the next connection; if the server ends that
// one too, with a reason that blames a packet, the message is given up.
type suspect struct {
	mu    sync.Mutex
	seq   uint64
	count int
}

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
	return b.suspect.count > 0 || b.stalls >= probeAfterStall
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
	s.seq, s.count = seq, 1
	return false
}

// accepted clears the suspicion.
func (b *Bridge) accepted(seq uint64) {
	delete(b.tries, seq)
	b.suspect.mu.Lock()
	defer b.suspect.mu.Unlock()
	if b.suspect.seq == seq {
		b.suspect.count = 0
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
