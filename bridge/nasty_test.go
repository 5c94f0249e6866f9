package bridge

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// nasty is a server that misbehaves, or is allowed to do what few servers do.
type nasty struct {
	name  string
	v     mqtt.Version // 0: both
	plan  plan
	class Class // of the state after a minute; empty: up
	says  string
	got   int // of the messages m0 to m5, QoS 0 to 2; the others wait still, or are dead
	dead  uint64
}

// props5 is a CONNACK's Properties.
func props5(has packet.Has, change func(*packet.Properties)) packet.Properties {
	p := packet.Properties{Has: has}
	change(&p)
	return p
}

func nasties() []nasty {
	zero := mqtt.AtMostOnce
	v5, v311 := mqtt.V5, mqtt.V311
	disconnect := func(code byte, props ...byte) []byte {
		return append([]byte{0xE0, byte(2 + len(props)), code, byte(len(props))}, props...)
	}
	text := func(id byte, s string) []byte { return append([]byte{id, byte(len(s) >> 8), byte(len(s))}, s...) }
	long := strings.Repeat("because ", 7000)
	huge := packet.Append(nil, v5, &packet.View{Type: packet.DISCONNECT, Reason: mqtt.QuotaExceeded, Properties: packet.Properties{
		Has: packet.HasReasonString, ReasonString: []byte(long),
	}})
	return []nasty{
		{name: "every acknowledgement comes twice, and some of what was never sent", plan: plan{twice: true}, got: 6},
		{name: "one byte at a time", plan: plan{bytewise: true}, got: 6},
		{name: "MQTT-3.2.2-4 Session Present at the first connection", plan: plan{present: true}, got: 6},
		{name: "Session Present, and no session is kept", plan: plan{present: true, forget: true}, got: 6},
		{name: "a web server", plan: plan{hello: []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")}, class: ClassProtocol},
		{name: "a secure shell", plan: plan{hello: []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")}, class: ClassProtocol},
		{name: "MQTT-2.2.1-3 packet type 0", plan: plan{raw: []byte{0, 0}}, class: ClassProtocol},
		{name: "a PINGRESP that nobody asked for", plan: plan{raw: []byte{0xD0, 0}}, got: 6},
		{name: "PINGRESP with a body", plan: plan{raw: []byte{0xD0, 1, 0}}, class: ClassProtocol},
		{name: "CONNECT from the server", plan: plan{raw: packet.Append(nil, v311, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: v311, ClientID: []byte("you")}})}, class: ClassProtocol},
		{name: "PINGREQ from the server", plan: plan{raw: []byte{0xC0, 0}}, class: ClassProtocol},
		{name: "PUBREL of a message that never was", plan: plan{raw: []byte{0x62, 2, 0, 9}}, got: 6},
		{name: "PUBACK with the Packet Identifier 0", plan: plan{raw: []byte{0x40, 2, 0, 0}}, class: ClassProtocol},
		{name: "PUBACK without a Packet Identifier", plan: plan{raw: []byte{0x40, 0}}, class: ClassProtocol},
		{name: "MQTT-3.3.1-4 PUBLISH of QoS 3", plan: plan{raw: []byte{0x36, 5, 0, 1, 'a', 0, 1}}, class: ClassProtocol},
		{name: "SUBACK that nobody asked for", plan: plan{raw: []byte{0x90, 4, 0, 7, 0, 0}}, class: ClassProtocol},
		{name: "UNSUBACK of 3.1.1 that nobody asked for", v: v311, plan: plan{raw: []byte{0xB0, 2, 0, 7}}, class: ClassProtocol},
		{name: "MQTT-3.3.2-2 a Topic Name with a wildcard", v: v311, plan: plan{raw: []byte{0x30, 3, 0, 1, '#'}}, class: ClassProtocol},
		{name: "MQTT-1.5.4-1 a Topic Name that is not UTF-8", v: v311, plan: plan{raw: []byte{0x30, 4, 0, 2, 0xC3, 0x28}}, class: ClassProtocol},
		{name: "MQTT 5.0 answers 3.1.1", v: v311, plan: plan{hello: []byte{0x20, 3, 0, 0, 0}}, class: ClassProtocol},
		{name: "MQTT 3.1.1 answers 5.0", v: v5, plan: plan{hello: []byte{0x20, 2, 0, 0}}, class: ClassProtocol},
		{name: "CONNACK with a return code that 3.1.1 does not have", v: v311, plan: plan{hello: []byte{0x20, 2, 0, 9}}, class: ClassProtocol},
		{name: "CONNACK with reserved flags", v: v311, plan: plan{hello: []byte{0x20, 2, 6, 0}}, class: ClassProtocol},
		{name: "3.1.1 is refused for the Client Identifier", v: v311, plan: plan{hello: []byte{0x20, 2, 0, 2}}, class: ClassAuth},
		{name: "3.1.1 is refused for credentials", v: v311, plan: plan{hello: []byte{0x20, 2, 0, 4}}, class: ClassAuth},
		{name: "a refusal with a long reason", v: v5, plan: plan{raw: huge}, class: ClassQuota, says: "because because"},
		{name: "a reason that is not UTF-8", v: v5, plan: plan{raw: disconnect(0x97, text(31, "\xC3\x28")...)}, class: ClassProtocol},
		{name: "a Server Reference to somewhere else", v: v5, plan: plan{raw: disconnect(0x9D, text(28, "evil.example:1883")...)}, class: ClassRefused},
		{name: "AUTH out of the blue", v: v5, plan: plan{raw: append([]byte{0xF0, 6, 0x18, 4}, text(21, "x")...)}, class: ClassAuth},
		{name: "DISCONNECT with Normal disconnection", v: v5, plan: plan{raw: []byte{0xE0, 0}}, class: ClassRefused},
		{name: "Receive Maximum 0", v: v5, plan: plan{hello: []byte{0x20, 6, 0, 0, 3, 33, 0, 0}}, class: ClassProtocol},
		{name: "Maximum Packet Size 0", v: v5, plan: plan{hello: []byte{0x20, 8, 0, 0, 5, 39, 0, 0, 0, 0}}, class: ClassProtocol},
		{name: "Maximum QoS 2", v: v5, plan: plan{hello: []byte{0x20, 5, 0, 0, 2, 36, 2}}, class: ClassProtocol},
		{name: "a property twice", v: v5, plan: plan{hello: []byte{0x20, 7, 0, 0, 4, 37, 1, 37, 1}}, class: ClassProtocol},
		{name: "a property of another packet", v: v5, plan: plan{hello: []byte{0x20, 8, 0, 0, 5, 2, 0, 0, 0, 9}}, class: ClassProtocol},
		{name: "Maximum QoS 0", v: v5, plan: plan{maxQoS: &zero}, got: 6},
		{name: "Receive Maximum 1", v: v5, plan: plan{receiveMax: 1}, got: 6},
		{name: "Topic Alias Maximum 65535", v: v5, plan: plan{props: props5(packet.HasTopicAliasMaximum, func(p *packet.Properties) { p.TopicAliasMaximum = 65535 })}, got: 6},
		{name: "another Client Identifier is assigned", v: v5, plan: plan{props: props5(packet.HasAssignedClientID, func(p *packet.Properties) { p.AssignedClientID = []byte("somebody") })}, got: 6},
		{name: "Server Reference and a Reason String in CONNACK", v: v5, plan: plan{props: props5(packet.HasServerReference|packet.HasReasonString, func(p *packet.Properties) {
			p.ServerReference, p.ReasonString = []byte("other:1883"), bytes.Repeat([]byte("x"), 60000)
		})}, got: 6},
		{name: "MQTT-3.2.2-15 a Maximum Packet Size that nothing fits into", v: v5, plan: plan{packetMax: 12}, class: ClassRefused, says: "not subscribed to", dead: 6},
		{name: "Session Expiry 0: the session goes with the connection", v: v5, plan: plan{forget: true, props: props5(packet.HasSessionExpiry, func(*packet.Properties) {})}, got: 6},
	}
}

// Whatever a server does: the state is true, with a reason, it is not asked
// more often than the back-off allows, and no message is nowhere.
func TestNastyServers(t *testing.T) {
	for _, n := range nasties() {
		for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
			if n.v != 0 && n.v != v {
				continue
			}
			bubble(t, fmt.Sprintf("%s, MQTT %s", n.name, v), func(t *testing.T) { n.meet(t, v) })
		}
	}
}

func (n *nasty) meet(t *testing.T, v mqtt.Version) {
	if n.class == ClassAuth && n.v == mqtt.V311 {
		n.plan.closes = true // as [MQTT311-3.2.2-5] has it
	}
	r := start(t, newServer(t, always(n.plan)), func(o *Options) {
		o.Protocol, o.StatusTopic, o.In = v, "status", []Route{{From: "cmd/#"}}
	})
	for i := range 6 {
		r.put("out/a", fmt.Sprint("m", i), mqtt.QoS(i%3))
	}
	var classes []Class
	reasons := ""
	for range 120 {
		after(time.Second / 2)
		s := r.Stats()
		if s.State != Connecting && !slices.Contains(classes, s.Class) {
			classes = append(classes, s.Class)
			reasons += s.Reason
		}
	}
	last := classes[len(classes)-1]
	if last != n.class && !(n.class != "" && slices.Contains(classes, n.class)) {
		t.Errorf("classes %q, want %q; reasons %q", classes, n.class, reasons)
	}
	if len(reasons) > 1000 || !strings.Contains(reasons, n.says) {
		t.Errorf("the reason is %.200q of %d bytes, want one with %q", reasons, len(reasons), n.says)
	}
	if a := r.Stats().Attempts; a > 40 {
		t.Errorf("%d attempts in a minute", a)
	}
	got := map[string]bool{}
	for _, p := range r.s.payloads() {
		got[p] = true
	}
	delete(got, statusOnline)
	st := r.Stats()
	if n.class == "" && (len(got) != n.got || st.Queue.Messages != 0) {
		t.Errorf("%d of %d messages arrived, %d wait", len(got), n.got, st.Queue.Messages)
	}
	want(t, "dead", st.Dead, n.dead)
}

// A filter that the server does not take costs no other one, and the state
// says which.
func TestSubscriptionsRefused(t *testing.T) {
	in := func(filters ...string) func(*Options) {
		return func(o *Options) {
			for _, f := range filters {
				o.In = append(o.In, Route{From: f})
			}
		}
	}
	bubble(t, "SUBACK refuses one of three", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{suback: func(all []packet.Filter) (codes []mqtt.ReasonCode) {
			for _, f := range all {
				codes = append(codes, map[string]mqtt.ReasonCode{"no": mqtt.NotAuthorized}[string(f.Filter)])
			}
			return codes
		}})), in("a", "no", "b"))
		after(time.Second)
		s := r.Stats()
		want(t, "state", fmt.Sprint(s.State, " ", s.Class, " ", s.Reason), "up refused not subscribed to no: Not authorized")
	})
	bubble(t, "wildcards are not to be had", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{props: props5(packet.HasWildcardAvailable, func(*packet.Properties) {})})), in("a", "b/#", "c"))
		after(time.Second)
		want(t, "asked for", r.s.mu.filters, []string{"a", "c"})
		want(t, "reason", r.Stats().Reason, "not subscribed to b/#: "+errWildcards.Error())
	})
	bubble(t, "MQTT-3.8.4-6 too few codes", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{suback: func([]packet.Filter) []mqtt.ReasonCode { return []mqtt.ReasonCode{0} }})), in("a", "b"))
		after(time.Second)
		want(t, "class", r.Stats().Class, ClassProtocol)
	})
}

// How long the server is willing to wait does not change how soon the bridge
// notices that it is gone.
func TestServerKeepAlive(t *testing.T) {
	for seconds, pings := range map[uint16]int{0: 10, 1: 300, 65535: 10} {
		bubble(t, fmt.Sprint("Server Keep Alive ", seconds), func(t *testing.T) {
			r := start(t, newServer(t, always(plan{props: props5(packet.HasServerKeepAlive, func(p *packet.Properties) { p.ServerKeepAlive = seconds })})))
			after(5 * time.Minute)
			if n := r.s.pinged(); n < pings*2/3 || n > pings*11/10 {
				t.Errorf("%d PINGREQ in five minutes, want about %d", n, pings)
			}
			want(t, "connects", r.Stats().Connects, 1)
		})
	}
}
