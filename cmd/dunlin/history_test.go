package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// The invariants of a store that TestKilled holds the program to, by what its
// clients saw:
//
//	I1, I2  what was acknowledged arrives, here and over the bridge
//	I3      nothing of QoS 2 arrives twice
//	I4      doubles of QoS 1 have DUP, or their publisher sent them twice
//	I5      what arrives first is in order
//	I6      nothing arrives that was not sent
//	I8      a retained value is the last one that was acknowledged, or newer
//	I9      subscriptions that were acknowledged are there, ended ones are not
//	I10     a session that was acknowledged is there
//	I12     the will of who was connected is sent once
//	I13     no Packet Identifier is 0, or used while it is open
//	I14     the store does not grow beyond its bound
//	I15     a start takes no longer than its bound, also after a start that was killed
//	I18     no payload is in the log, and no file can be read by others
//
// I7 is TestDamage, I11 and I17 are tests of the broker, I16 is TestFaultSweep.

// hearer is a subscriber. It keeps what a client must keep of QoS 2.
type hearer struct {
	prefix string // of its topics
	mu     sync.Mutex
	open   map[uint16]bool // Packet Identifiers received and not released
	seen   map[string]int  // the last message of each publisher
	wills  map[string]int  // how often each came
	faults []string
	// doubles of QoS 1; plain ones without DUP.
	doubles, plain int
}

func newHearer(prefix string) *hearer {
	return &hearer{prefix: prefix, open: map[uint16]bool{}, seen: map[string]int{}, wills: map[string]int{}}
}

func (s *hearer) last(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[name]
}

func (s *hearer) heard(will string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wills[will]
}

// hear takes what comes until the connection is lost.
func (s *hearer) hear(w *mortal) {
	for {
		v, err := w.receive()
		if err != nil {
			return
		}
		switch {
		case v.Type == packet.PUBREL:
			s.mu.Lock()
			delete(s.open, v.ID)
			s.mu.Unlock()
			w.send(&packet.View{Type: packet.PUBCOMP, ID: v.ID})
		case v.Type != packet.PUBLISH:
		case v.Publish.QoS == mqtt.AtLeastOnce:
			s.take(v.ID, &v.Publish)
			w.send(&packet.View{Type: packet.PUBACK, ID: v.ID})
		default:
			s.take(v.ID, &v.Publish)
			w.send(&packet.View{Type: packet.PUBREC, ID: v.ID})
		}
	}
}

func (s *hearer) fault(format string, args ...any) {
	s.faults = append(s.faults, s.prefix+" "+fmt.Sprintf(format, args...))
}

// take holds one message against what came before.
func (s *hearer) take(id uint16, p *packet.Publish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == 0 || s.open[id] && !p.Dup {
		s.fault("I13 Packet Identifier %d of %q is 0, or open", id, p.Payload)
	}
	if p.QoS == mqtt.ExactlyOnce {
		if s.open[id] {
			return // sent again, and known
		}
		s.open[id] = true
	}
	var name, sum string
	var n int
	if _, err := fmt.Sscanf(string(p.Payload), "%s %d %s", &name, &n, &sum); err != nil ||
		s.prefix+name != string(p.Topic) || !bytes.Equal(p.Payload, payload(name, n)) {
		s.fault("I6 nobody sent %q on %s", p.Payload, p.Topic)
		return
	}
	if name == "will" {
		s.wills[fmt.Sprint("will ", n)]++
		return
	}
	switch last := s.seen[name]; {
	case n == last+1:
		s.seen[name] = n
	case n <= last && p.QoS == mqtt.AtLeastOnce:
		s.doubles++
		if !p.Dup {
			s.plain++
		}
	case n <= last:
		s.fault("I3 %q came twice at QoS 2", p.Payload)
	default:
		s.fault("I5 %q came after %d", p.Payload, last)
		s.seen[name] = n
	}
}

// history is what else clients do and remember while the program is killed.
type history struct {
	*killing
	will  int   // the last one that was tried
	wills []int // those that are kept for sure
	value struct{ sent, acked int }
	// Whether the wanderer is subscribed, when that is known.
	subscribed, known bool
}

func (h *history) wrong(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, fmt.Sprintf(format, args...))
}

// during subscribes or unsubscribes, then sets a retained value as often as it
// can, with a will, until it is cut off.
func (h *history) during() {
	if w, err := h.dial("wanderer"); err == nil {
		v, answer := packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("toggle"), QoS: 1}}}, packet.SUBACK
		if h.subscribed {
			v.Type, answer, v.Filters[0].QoS = packet.UNSUBSCRIBE, packet.UNSUBACK, 0
		}
		h.subscribed, h.known = !h.subscribed, false
		w.send(&v)
		for !h.known {
			got, err := w.receive()
			if err != nil {
				break
			}
			h.known = got.Type == answer
		}
		w.nc.Close()
	}
	h.will++
	w, err := h.dialAs(packet.Connect{ClientID: []byte("mourned"), CleanStart: true,
		HasWill: true, WillQoS: 2, WillTopic: []byte("k/will"), WillPayload: payload("will", h.will)})
	if err != nil {
		return
	}
	defer w.nc.Close()
	for first := true; ; first = false {
		h.value.sent++
		w.send(&packet.View{Type: packet.PUBLISH, ID: 1, Publish: packet.Publish{
			Topic: []byte("r/value"), Payload: payload("value", h.value.sent), QoS: 1, Retain: true}})
		if v, err := w.receive(); err != nil || v.Type != packet.PUBACK {
			return
		}
		h.value.acked = h.value.sent
		if first { // what was acknowledged after the will was recorded with it
			h.wills = append(h.wills, h.will)
		}
	}
}

// between looks at a program that has just recovered, and is left alone.
func (h *history) between(cycle int) {
	c, err := h.dialAs(packet.Connect{ClientID: []byte("checker"), CleanStart: true})
	if err != nil {
		h.wrong("I15 cycle %d: no start", cycle)
		return
	}
	defer c.nc.Close()
	c.send(&packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("r/#"), QoS: 0}}})
	value := 0
	for value == 0 && h.value.acked > 0 {
		v, err := c.receive()
		if err != nil {
			h.wrong("I8 cycle %d: no retained value: %v", cycle, err)
			return
		}
		if v.Type == packet.PUBLISH {
			value = h.valueOf(v.Publish)
		}
	}
	if value < h.value.acked || value > h.value.sent {
		h.wrong("I8 cycle %d: the retained value is %d, of %d acknowledged and %d sent", cycle, value, h.value.acked, h.value.sent)
	}
	w, err := h.dial("wanderer")
	if err != nil {
		h.wrong("I15 cycle %d: no start", cycle)
		return
	}
	defer w.nc.Close()
	w.send(&packet.View{Type: packet.SUBSCRIBE, ID: 8, Filters: []packet.Filter{{Filter: []byte("last"), QoS: 1}}})
	for id, topic := range []string{"toggle", "last"} {
		w.send(&packet.View{Type: packet.PUBLISH, ID: uint16(9 + id), Publish: packet.Publish{Topic: []byte(topic), Payload: []byte(strconv.Itoa(cycle)), QoS: 1}})
	}
	came, ok := h.untilLast(w, strconv.Itoa(cycle))
	if !ok {
		return
	}
	if h.known && came != h.subscribed {
		h.wrong("I9 cycle %d: subscribed %v, and a message came: %v", cycle, h.subscribed, came)
	}
	h.subscribed, h.known = came, true // where it was not known either is right
}

// untilLast takes what comes up to this cycle's message to the topic last, and
// reports whether the one to toggle came before it. Those of an earlier cycle,
// whose acknowledgements were cut off, may come again.
func (h *history) untilLast(w *mortal, cycle string) (came, ok bool) {
	acks := 0
	for last := false; !last || acks < 3; {
		v, err := w.receive()
		if err != nil {
			h.wrong("I15 the connection is lost: %v", err)
			return false, false
		}
		if v.Type != packet.PUBLISH {
			acks++
			continue
		}
		if string(v.Publish.Payload) == cycle {
			last = last || string(v.Publish.Topic) == "last"
			came = came || string(v.Publish.Topic) == "toggle"
		}
		w.send(&packet.View{Type: packet.PUBACK, ID: v.ID})
	}
	return came, true
}

func (h *history) valueOf(p packet.Publish) (n int) {
	if _, err := fmt.Sscanf(string(p.Payload), "value %d ", &n); err != nil || !bytes.Equal(p.Payload, payload("value", n)) {
		h.wrong("I6 the retained value is %q", p.Payload)
		return -1
	}
	return n
}

// end looks at what is left, after the program has stopped.
func (h *history) end(pubs []*speaker) {
	for n := range h.will {
		if times := h.sub.heard(fmt.Sprint("will ", n+1)); times > 1 || times == 0 && slices.Contains(h.wills, n+1) {
			h.wrong("I12 will %d came %d times", n+1, times)
		}
	}
	resent := 0
	for _, p := range pubs {
		resent += p.resent
	}
	if h.sub.plain > resent {
		h.wrong("I4 %d doubles without DUP, and publishers sent %d messages again", h.sub.plain, resent)
	}
	for _, word := range []string{"always ", "value ", "will "} {
		if strings.Contains(h.said.String(), word+"1") {
			h.wrong("I18 a payload is in the log")
		}
	}
	size := int64(0)
	if err := filepath.WalkDir(filepath.Join(h.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && d.Type().IsRegular() {
			size += info.Size()
		}
		if err == nil && info.Mode().Perm()&0o077 != 0 && d.Type()&fs.ModeSocket == 0 {
			h.wrong("I18 %s has mode %v", path, info.Mode())
		}
		return err
	}); err != nil {
		h.wrong("%v", err)
	}
	if size > 64<<20 {
		h.wrong("I14 the store has %d bytes, of little state", size)
	}
}
