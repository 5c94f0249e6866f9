//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// B. Codec.
func attacksOnCodec() []attack {
	return []attack{
		{number: 11, name: "every packet cut at every byte", run: truncations},
		{number: 12, name: "Variable Byte Integers that are too long", run: longIntegers},
		{number: 13, name: "SUBSCRIBE and UNSUBSCRIBE that lack what they need", run: emptySubscribe},
		{number: 14, name: "properties that do not belong there", run: wrongProperties},
		{number: 15, name: "PUBLISH with a header that cannot be", run: wrongPublish},
		{number: 16, name: "60,000 User Properties", run: manyUserProperties},
		{number: 17, name: "Will Properties of the wrong kind", run: wrongWill},
		{number: 18, name: "random packet sequences", run: randomSequences},
		{number: 19, name: "Topic Alias out of range and churned", run: topicAliases},
	}
}

// malformed are the codes for what no client may send.
var malformed = []mqtt.ReasonCode{mqtt.MalformedPacket, mqtt.ProtocolError}

// examples are valid packets of a client after CONNECT, without the properties
// where the version has none.
func examples(v mqtt.Version) [][]byte {
	p := func(all ...[]byte) []byte {
		if v == mqtt.V5 {
			return props(all...)
		}
		return nil
	}
	all := [][]byte{
		frame(0x30, field("t"), p(), []byte("payload")),
		frame(0x32, field("t/u"), u16(7), p([]byte{1, 1}, []byte{2}, u32(60), []byte{3}, field("text"), []byte{38}, field("a"), field("b"), []byte{35}, u16(1)), []byte("x")),
		frame(0x34, field("t/u"), u16(8), p([]byte{8}, field("answer"), []byte{9}, field("id")), []byte("x")),
		frame(0x62, u16(8)),
		frame(0x82, u16(9), p([]byte{11, 5}, []byte{38}, field("a"), field("b")), field("a/+"), []byte{1}, field("$share/g/a/#"), []byte{0}),
		frame(0xA2, u16(10), p([]byte{38}, field("a"), field("b")), field("a/+"), field("b/#")),
		frame(0xC0),
		frame(0x40, u16(11)), frame(0x50, u16(12)), frame(0x70, u16(13)),
		frame(0xE0),
	}
	if v == mqtt.V5 {
		all = append(all, frame(0x62, u16(8), []byte{0}, props([]byte{31}, field("why"), []byte{38}, field("a"), field("b"))),
			frame(0xE0, []byte{4}, props([]byte{17}, u32(0), []byte{31}, field("why"))),
			frame(0xF0, []byte{0x19}, props([]byte{21}, field("SCRAM-SHA-256"), []byte{22}, field("data"))))
	}
	return all
}

func exampleConnects(v mqtt.Version) [][]byte {
	if v == mqtt.V5 {
		all := props([]byte{17}, u32(10), []byte{33}, u16(5), []byte{39}, u32(1000), []byte{34}, u16(3), []byte{25, 1, 23, 1}, []byte{38}, field("a"), field("b"))
		will := props([]byte{24}, u32(5), []byte{1, 1, 2}, u32(9), []byte{3}, field("text"), []byte{8}, field("answer"), []byte{9}, field("id"))
		return [][]byte{rawConnect(0xEE, all, field("cut"), will, field("will/t"), field("gone"), field("user"), field("password"))}
	}
	name, level := "MQTT", byte(4)
	if v == mqtt.V31 {
		name, level = "MQIsdp", 3
	}
	return [][]byte{frame(0x10, field(name), []byte{level, 0xEE, 0, 60}, field("cut"), field("will/t"), field("gone"), field("user"), field("password"))}
}

// cut shortens a packet to n bytes after its fixed header, with a Remaining
// Length that is true.
func cut(packet []byte, n int) []byte {
	body := packet[1+len(varint(len(packet)-2)):]
	return frame(packet[0], body[:n])
}

func truncations(t *testing.T) {
	s := attackOpen(t)
	for _, v := range versions {
		for _, packet := range exampleConnects(v) {
			for n := range len(packet) - 2 {
				a := s.dial(v)
				a.write(cut(packet, n))
				// 3.1 lets the User Name and the Password be missing although
				// their flags are set.
				if got := a.receive(); got != "closed" && !strings.HasPrefix(got, "CONNACK sp=0 rc=0x") || v != mqtt.V31 && hasCode(got, 0) {
					t.Fatalf("%s CONNECT cut at %d: %s", v, n, got)
				}
				a.nc.Close()
			}
		}
		for _, packet := range examples(v) {
			for n := range max(0, len(packet)-2) {
				cutOnce(t, s, v, cut(packet, n))
			}
		}
	}
}

// cutOnce sends one packet after CONNECT: the server ends the connection with
// a protocol error, or goes on as if the packet had been meant so.
func cutOnce(t *testing.T, s *victim, v mqtt.Version, packet []byte) {
	t.Helper()
	a := s.dial(v)
	defer a.nc.Close()
	a.connect("cid=cut")
	a.write(packet, []byte{0xC0, 0})
	for {
		got := a.receive()
		switch {
		case strings.HasPrefix(got, "PINGRESP"):
			return
		case got == "closed" && (v != mqtt.V5 || packet[0] == 0xE0):
			return
		case strings.HasPrefix(got, "DISCONNECT"):
			if !slices.ContainsFunc(malformed, func(c mqtt.ReasonCode) bool { return hasCode(got, c) }) &&
				!hasCode(got, mqtt.TopicNameInvalid) && !hasCode(got, mqtt.TopicFilterInvalid) && !hasCode(got, mqtt.TopicAliasInvalid) {
				t.Errorf("% x: %s", packet, got)
			}
			return
		case got == "closed", got == "silence":
			t.Errorf("%s: % x: %s without a reason", v, packet, got)
			return
		}
	}
}

// refusedAfterConnect sends each packet on a connection of its own.
func refusedAfterConnect(t *testing.T, s *victim, packets map[string][]byte, codes ...mqtt.ReasonCode) {
	t.Helper()
	for name, packet := range packets {
		a := s.dial(mqtt.V5)
		a.connect("cid=refused")
		a.write(packet)
		if last := a.last(); !slices.ContainsFunc(codes, func(c mqtt.ReasonCode) bool { return hasCode(last, c) }) {
			t.Errorf("%s: %s, want a code of %x", name, last, codes)
		}
		a.nc.Close()
	}
}

func longIntegers(t *testing.T) {
	s := attackOpen(t)
	refusedAfterConnect(t, s, map[string][]byte{
		"Remaining Length of 5 bytes":   {0x30, 0x80, 0x80, 0x80, 0x80, 0x01},
		"Remaining Length that is long": {0xC0, 0x80, 0x00},
		"Property Length of 5 bytes":    frame(0x30, field("t"), []byte{0xFF, 0xFF, 0xFF, 0xFF, 0x7F}),
		"Property Length that is long":  frame(0x30, field("t"), []byte{0x80, 0x80, 0x00}),
		"Subscription Identifier":       frame(0x82, u16(1), props([]byte{11, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}), field("a"), []byte{0}),
		"Subscription Identifier, long": frame(0x82, u16(1), props([]byte{11, 0x81, 0x00}), field("a"), []byte{0}),
	}, mqtt.MalformedPacket)
	refusedAfterConnect(t, s, map[string][]byte{"the largest there is": {0x30, 0xFF, 0xFF, 0xFF, 0x7F}}, mqtt.PacketTooLarge)
}

func emptySubscribe(t *testing.T) {
	s := attackOpen(t)
	refusedAfterConnect(t, s, map[string][]byte{
		"SUBSCRIBE without options":       frame(0x82, u16(1), props(), field("a")),
		"SUBSCRIBE without filters":       frame(0x82, u16(1), props()),
		"SUBSCRIBE with reserved bits":    frame(0x82, u16(1), props(), field("a"), []byte{0xC0}),
		"SUBSCRIBE with QoS 3":            frame(0x82, u16(1), props(), field("a"), []byte{3}),
		"SUBSCRIBE with Retain Handl. 3":  frame(0x82, u16(1), props(), field("a"), []byte{0x30}),
		"SUBSCRIBE with identifier 0":     frame(0x82, u16(0), props(), field("a"), []byte{0}),
		"SUBSCRIBE with flags 0":          frame(0x80, u16(1), props(), field("a"), []byte{0}),
		"SUBSCRIBE of nothing":            frame(0x82),
		"SUBSCRIBE with length beyond":    frame(0x82, u16(1), props(), []byte{0xFF, 0xFF}, []byte("a"), []byte{0}),
		"UNSUBSCRIBE without filters":     frame(0xA2, u16(1), props()),
		"UNSUBSCRIBE with identifier 0":   frame(0xA2, u16(0), props(), field("a")),
		"UNSUBSCRIBE with a rest of 1 B":  frame(0xA2, u16(1), props(), field("a"), []byte{0}),
		"PUBREL with flags 0":             frame(0x60, u16(1)),
		"PINGREQ with a payload":          frame(0xC0, []byte{0}),
		"DISCONNECT with flags":           frame(0xE1),
		"AUTH without a method":           frame(0xF0),
		"reserved type 0":                 frame(0x00),
		"PUBACK without an identifier":    frame(0x40),
		"PUBACK with an unknown code":     frame(0x40, u16(1), []byte{0x55}),
		"DISCONNECT with an unknown code": frame(0xE0, []byte{0x55}),
	}, malformed...)
	for _, v := range versions[:2] {
		for _, packet := range [][]byte{frame(0x82, u16(1)), frame(0x82, u16(1), field("a")), frame(0x82, u16(1), field("a"), []byte{3}), frame(0xA2, u16(1))} {
			a := s.dial(v)
			a.connect("cid=old")
			a.write(packet)
			a.gone()
		}
	}
}

func wrongProperties(t *testing.T) {
	s := attackOpen(t)
	publish := func(p ...[]byte) []byte { return frame(0x30, field("t"), props(p...), []byte("x")) }
	refusedAfterConnect(t, s, map[string][]byte{
		"length beyond the packet":         frame(0x30, field("t"), varint(50), []byte("x")),
		"cut in the last property":         frame(0x30, field("t"), props([]byte{2, 0, 0})),
		"an unknown property":              publish([]byte{0x7E, 0}),
		"a property of CONNECT":            publish([]byte{33}, u16(1)),
		"Message Expiry twice":             publish([]byte{2}, u32(1), []byte{2}, u32(1)),
		"Payload Format 2":                 publish([]byte{1, 2}),
		"Response Topic with a wildcard":   publish([]byte{8}, field("a/#")),
		"Subscription Identifier sent":     publish([]byte{11, 1}),
		"Content Type that is not UTF-8":   publish([]byte{3}, field("\xFF")),
		"User Property with U+0000":        publish([]byte{38}, field("a\x00"), field("b")),
		"SUBSCRIBE with two identifiers":   frame(0x82, u16(1), props([]byte{11, 1, 11, 2}), field("a"), []byte{0}),
		"SUBSCRIBE with identifier 0":      frame(0x82, u16(1), props([]byte{11, 0}), field("a"), []byte{0}),
		"DISCONNECT with Server Reference": frame(0xE0, []byte{0}, props([]byte{28}, field("elsewhere"))),
	}, append(malformed, mqtt.TopicNameInvalid)...)
	for name, p := range map[string][]byte{
		"Receive Maximum 0":       props([]byte{33}, u16(0)),
		"Maximum Packet Size 0":   props([]byte{39}, u32(0)),
		"Request Problem 2":       props([]byte{23, 2}),
		"Session Expiry twice":    props([]byte{17}, u32(1), []byte{17}, u32(1)),
		"data without a method":   props([]byte{22}, field("data")),
		"a property of PUBLISH":   props([]byte{35}, u16(1)),
		"Topic Alias Maximum cut": {2, 34, 0},
	} {
		a := s.dial(mqtt.V5)
		a.write(rawConnect(2, p, field("c")))
		if last := a.last(); !hasCode(last, mqtt.MalformedPacket) && !hasCode(last, mqtt.ProtocolError) {
			t.Errorf("CONNECT with %s: %s", name, last)
		}
	}
}

func wrongPublish(t *testing.T) {
	s := attackOpen(t)
	refusedAfterConnect(t, s, map[string][]byte{
		"topic beyond the packet": frame(0x30, []byte{0xFF, 0xFF}, []byte("t")),
		"QoS 3":                   frame(0x36, field("t"), u16(1), props()),
		"identifier 0":            frame(0x32, field("t"), u16(0), props()),
		"DUP with QoS 0":          frame(0x38, field("t"), props()),
		"nothing at all":          frame(0x30),
		"topic that is not UTF-8": frame(0x30, field("a\xC3"), props()),
	}, append(malformed, mqtt.TopicNameInvalid)...)
}

func manyUserProperties(t *testing.T) {
	s := attackOn(t, victimOptions{
		config: strings.Replace(withWebSocket, "connect_rate: 0/s", "connect_rate: 0/s, packet_size: 1MiB, queue_size: 2MiB", 1), budget: 96 << 20,
	})
	one := slices.Concat([]byte{38}, field("name"), field("value"))
	crowd := bytes.Repeat(one, 60_000)
	begin := time.Now()
	for _, packet := range [][]byte{
		frame(0x32, field("t"), u16(1), props(crowd)),
		frame(0x82, u16(1), props(crowd), field("a"), []byte{0}),
		frame(0xE0, []byte{0}, props(crowd)),
	} {
		a := s.dial(mqtt.V5)
		a.connect("cid=crowd")
		a.write(packet)
		if packet[0] == 0xE0 {
			a.gone()
			continue
		}
		if got := a.receive(); !strings.HasPrefix(got, "DISCONNECT") && !strings.Contains(got, " rc=0x9") {
			t.Errorf("packet type %x with 60,000 User Properties: %s", packet[0]>>4, got)
		}
	}
	a := s.dial(mqtt.V5)
	a.write(rawConnect(2, props(crowd), field("c")))
	a.gone()
	if took := time.Since(begin); took > time.Duration(scale(15, 3))*time.Second {
		t.Errorf("refusing them took %s", took)
	}
	before := s.status("VmRSS")
	for n := range 60 { // what one packet needed is not kept, with a goroutine a connection either
		a, _ := s.webSocket()
		a.write(wsFrame(0x82, rawConnect(2, props(), field(fmt.Sprintf("crowd-%d", n)))))
		a.expect("CONNACK rc=0x00 ...")
		a.write(wsFrame(0x82, frame(0x32, field("t"), u16(1), props(crowd))))
		a.expect("PUBACK id=1 rc=0x97 ...")
	}
	if grown := s.status("VmRSS") - before; grown > 48<<20 {
		t.Errorf("60 connections that sent one such packet hold %d MiB", grown>>20)
	}
	few := s.dial(mqtt.V5)
	few.connect("cid=few")
	few.write(frame(0x32, field("t"), u16(1), props(bytes.Repeat(one, 64))))
	few.expect("PUBACK id=1 ...")
}

func wrongWill(t *testing.T) {
	s := attackOpen(t)
	with := func(p []byte, topic, payload string) []byte {
		return rawConnect(0x06, props(), field("c"), p, field(topic), field(payload))
	}
	for name, packet := range map[string][]byte{
		"Topic Alias":                with(props([]byte{35}, u16(1)), "w", ""),
		"Will Delay of 5 bytes":      with(props([]byte{24}, []byte{1, 0, 0, 0, 0}), "w", ""),
		"Will Delay twice":           with(props([]byte{24}, u32(1), []byte{24}, u32(1)), "w", ""),
		"length beyond the packet":   with(varint(100), "w", ""),
		"Payload Format 7":           with(props([]byte{1, 7}), "w", ""),
		"Will QoS 3":                 rawConnect(0x1E, props(), field("c"), props(), field("w"), field("")),
		"Will Retain without a will": rawConnect(0x22, props(), field("c")),
		"reserved flag":              rawConnect(0x03, props(), field("c")),
		"a wildcard in the topic":    with(props(), "w/#", ""),
		"Will Flag without a will":   rawConnect(0x06, props(), field("c")),
	} {
		a := s.dial(mqtt.V5)
		a.write(packet)
		if last := a.last(); !hasCode(last, mqtt.MalformedPacket) && !hasCode(last, mqtt.ProtocolError) && !hasCode(last, mqtt.TopicNameInvalid) {
			t.Errorf("will with %s: %s", name, last)
		}
	}
	large := s.dial(mqtt.V5) // 300,000 bytes do not fit into the field, and not into a packet
	large.write([]byte{0x10}, varint(300_000), field("MQTT"), []byte{5, 6, 0, 60})
	large.gone()
	eternal := s.dial(mqtt.V5)
	eternal.write(with(props([]byte{24}, u32(-1)), "w", "late"))
	eternal.expect("CONNACK rc=0x00 ...")
}

// randomSequences drives three Client Identifiers with random packets, one
// connection at a time, and holds every answer against a model of sessions.
func randomSequences(t *testing.T) {
	s := attackOpen(t)
	random := rand.New(rand.NewPCG(18, uint64(time.Now().UnixNano())))
	model := map[string]map[string]bool{} // Client Identifier -> filters, of sessions that exist
	filters := []string{"r/a", "r/+", "r/#", "s/b", "+/b"}
	topics := map[string][]string{"r/a": {"r/a", "r/+", "r/#"}, "s/b": {"s/b", "+/b"}, "r/b": {"r/+", "r/#", "+/b"}, "x": nil}
	var a *attacker
	var id string
	for n := 0; n < scale(10_000, 100_000); n++ {
		if a == nil || random.IntN(12) == 0 {
			if a != nil {
				a.nc.Close()
			}
			id = fmt.Sprintf("random-%d", random.IntN(3))
			clean := random.IntN(2)
			a = newAttacker(t, s.open(), mqtt.V5)
			_, present := model[id]
			a.send(fmt.Sprintf("CONNECT cid=%s clean=%d se=100000 rm=60000", id, clean))
			a.expect(fmt.Sprintf("CONNACK sp=%d rc=0x00 ...", 1&^clean&bit(present)))
			if clean == 1 || !present {
				model[id] = map[string]bool{}
			}
			continue
		}
		filter := filters[random.IntN(len(filters))]
		switch random.IntN(4) {
		case 0:
			a.send("SUBSCRIBE id=1 f=" + filter + "@0")
			a.until("SUBACK id=1 rcs=0x00")
			model[id][filter] = true
		case 1:
			a.send("UNSUBSCRIBE id=2 f=" + filter)
			a.until(fmt.Sprintf("UNSUBACK id=2 rcs=0x%02x", 0x11*(1-bit(model[id][filter]))))
			delete(model[id], filter)
		default:
			for name, matching := range topics { // in random order
				matched := 0
				for _, session := range model {
					matched |= bit(slices.ContainsFunc(matching, func(f string) bool { return session[f] }))
				}
				a.send("PUBLISH topic=" + name + " payload=x qos=1 id=3")
				a.until("PUBACK id=3" + strings.Repeat(" rc=0x10", 1-matched))
				break
			}
		}
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func topicAliases(t *testing.T) {
	s := attackOpen(t)
	alias := func(topic string, n int) []byte {
		return frame(0x32, field(topic), u16(1), props([]byte{35}, u16(n)), []byte("x"))
	}
	refusedAfterConnect(t, s, map[string][]byte{
		"alias 0":                  alias("t", 0),
		"alias beyond the maximum": alias("t", 11),
		"alias 65535":              alias("t", 65535),
	}, mqtt.TopicAliasInvalid)
	refusedAfterConnect(t, s, map[string][]byte{
		"alias before its definition": alias("", 3),
		"no topic and no alias":       frame(0x32, field(""), u16(1), props()),
	}, mqtt.ProtocolError)
	a := s.dial(mqtt.V5)
	a.connect("cid=churn")
	before := s.status("VmRSS")
	for n := range scale(5_000, 100_000) { // defined again and again
		a.write(alias(fmt.Sprintf("churn/%d/%s", n, strings.Repeat("x", 900)), 1+n%10))
		a.expect("PUBACK id=1 ...")
	}
	if grown := s.status("VmRSS") - before; grown > 16<<20 {
		t.Errorf("RSS grew by %d MiB", grown>>20)
	}
}
