package packet

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// unhex reads "00 'MQTT' {01 02}": hex bytes, quoted text, and braces around
// bytes that get their Variable Byte Integer length in front; braces do not
// nest, nor stand inside quotes.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	if front, rest, ok := strings.Cut(s, "{"); ok {
		in, back, _ := strings.Cut(rest, "}")
		b := unhex(t, in)
		return slices.Concat(unhex(t, front), appendVarint(nil, len(b)), b, unhex(t, back))
	}
	var b []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			b = append(b, part...)
			continue
		}
		h, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		b = append(b, h...)
	}
	return b
}

// body puts a fixed header in front of the bytes of s.
func body(t testing.TB, first byte, s string) []byte {
	b := unhex(t, s)
	return append(appendVarint([]byte{first}, len(b)), b...)
}

// canonical are packets that encode back to the same bytes.
var canonical = []struct {
	name  string
	v     mqtt.Version
	first byte
	body  string
}{
	{"CONNECT 3.1", mqtt.V31, 0x10, "0006'MQIsdp'03 02 003c 0001'a'"},
	{"CONNECT 3.1 from a bridge", mqtt.V31, 0x10, "0006'MQIsdp'83 02 003c 0001'a'"},
	{"CONNECT 3.1.1", mqtt.V311, 0x10, "0004'MQTT'04 02 003c 0000"},
	{"CONNECT 3.1.1 from a bridge", mqtt.V311, 0x10, "0004'MQTT'84 00 003c 0001'b'"},
	{"CONNECT 3.1.1 with everything", mqtt.V311, 0x10, "0004'MQTT'04 ee 0000 0001'c' 0003'w/t' 0002'no' 0001'u' 0002 00ff"},
	{"CONNECT 5.0", mqtt.V5, 0x10, "0004'MQTT'05 02 003c 00 0000"},
	{"CONNECT 5.0 with a password only", mqtt.V5, 0x10, "0004'MQTT'05 42 003c 00 0000 0002'pw'"},
	{"CONNECT 5.0 with everything", mqtt.V5, 0x10, "0004'MQTT'05 f6 003c" +
		"{11 ffffffff 15 0003'key' 16 0002 00ff 17 00 19 01 21 0001 22 000a 26 0001'n' 0001'v' 26 0001'n' 0001'w' 27 00000100}" +
		"0001'c'" +
		"{01 01 02 00000e10 03 0004'text' 08 0003'r/t' 09 0002 0001 18 0000003c 26 0001'n' 0001'v'}" +
		"0003'w/t' 0000 0001'u' 0001'p'"},
	{"CONNACK 3.1", mqtt.V31, 0x20, "0005"},
	{"CONNACK 3.1.1", mqtt.V311, 0x20, "0100"},
	{"CONNACK 3.1.1 refused", mqtt.V311, 0x20, "0001"},
	{"CONNACK 5.0", mqtt.V5, 0x20, "0100 00"},
	{"CONNACK 5.0 with everything", mqtt.V5, 0x20, "0000" +
		"{11 00000001 12 0002'id' 13 000a 15 0001'm' 16 0001'd' 1a 0001'r' 1c 0001's' 1f 0001'!'" +
		"21 0001 22 0002 24 01 25 00 26 0001'n' 0000 27 00000003 28 01 29 00 2a 01}"},
	{"PUBLISH QoS 0", mqtt.V311, 0x30, "0003'a/b' 'hello'"},
	{"PUBLISH QoS 0 without payload", mqtt.V31, 0x31, "0003'a/b'"},
	{"PUBLISH QoS 1 resent", mqtt.V311, 0x3a, "0003'a/b' 0001 'hello'"},
	{"PUBLISH QoS 2", mqtt.V5, 0x34, "0003'a/b' ffff 00 'hello'"},
	{"PUBLISH with an alias only", mqtt.V5, 0x30, "0000 03 23 0001 'x'"},
	{"PUBLISH with everything", mqtt.V5, 0x33, "0001'a' 0001" +
		"{01 01 02 00000001 03 0001't' 08 0001'r' 09 0001'c' 0b 01 0b ffffff7f 23 000a 26 0001'n' 0001'v'} ff"},
	{"PUBACK", mqtt.V311, 0x40, "0001"},
	{"PUBACK short", mqtt.V5, 0x40, "0001"},
	{"PUBACK with a reason", mqtt.V5, 0x40, "0001 10"},
	{"PUBACK with properties", mqtt.V5, 0x40, "0001 00 05 1f 0002'ok'"},
	{"PUBREC", mqtt.V5, 0x50, "0001 97"},
	{"PUBREL", mqtt.V31, 0x62, "0001"},
	{"PUBREL with a reason", mqtt.V5, 0x62, "0001 92"},
	{"PUBCOMP", mqtt.V5, 0x70, "0001 92 07 26 0001'n' 0001'v'"},
	{"SUBSCRIBE 3.1.1", mqtt.V311, 0x82, "000a 0003'a/b'01 0001'#'02"},
	{"SUBSCRIBE 5.0", mqtt.V5, 0x82, "000a 02 0b 05 0003'a/b'2d 000a'$share/g/b'11"},
	{"SUBACK 3.1.1", mqtt.V311, 0x90, "000a 00 01 02 80"},
	{"SUBACK 5.0", mqtt.V5, 0x90, "000a 00 02 8f"},
	{"UNSUBSCRIBE", mqtt.V311, 0xa2, "000a 0003'a/b' 0001'#'"},
	{"UNSUBSCRIBE 5.0", mqtt.V5, 0xa2, "000a 00 0003'a/b'"},
	{"UNSUBACK", mqtt.V311, 0xb0, "000a"},
	{"UNSUBACK 5.0", mqtt.V5, 0xb0, "000a 00 00 11"},
	{"PINGREQ", mqtt.V311, 0xc0, ""},
	{"PINGRESP", mqtt.V5, 0xd0, ""},
	{"DISCONNECT", mqtt.V311, 0xe0, ""},
	{"DISCONNECT 5.0", mqtt.V5, 0xe0, ""},
	{"DISCONNECT with a reason", mqtt.V5, 0xe0, "04"},
	{"DISCONNECT with properties", mqtt.V5, 0xe0, "9d 0b 11 00000000 1c 0003's:1'"},
	{"AUTH", mqtt.V5, 0xf0, ""},
	{"AUTH with data", mqtt.V5, 0xf0, "18 08 15 0001'm' 16 0001'd'"},
}

func TestPacketsSurviveDecodeAndAppend(t *testing.T) {
	var p View
	for _, tc := range canonical {
		t.Run(tc.name, func(t *testing.T) {
			wire := body(t, tc.first, tc.body)
			if n, err := Frame(wire, 0); n != len(wire) || err != nil {
				t.Fatalf("Frame = %d, %v, want %d", n, err, len(wire))
			}
			for range 2 { // the second time into a View that has it all
				if err := Decode(wire, tc.v, &p); err != nil {
					t.Fatal(err)
				}
			}
			if got := Append([]byte{1}, tc.v, &p)[1:]; !bytes.Equal(got, wire) {
				t.Errorf("appended %x, want %x", got, wire)
			}
			if n := Size(tc.v, &p); n != len(wire) {
				t.Errorf("Size = %d, want %d", n, len(wire))
			}
		})
	}
}

func TestAppendChoosesTheShortestForm(t *testing.T) {
	user := Properties{Has: HasUser, User: []UserProperty{{[]byte("n"), nil}}}
	for _, tc := range []struct {
		name string
		v    mqtt.Version
		p    View
		want string
	}{
		{"PUBACK Success", mqtt.V5, View{Type: PUBACK, ID: 1}, "40 02 0001"},
		{"PUBACK failed", mqtt.V5, View{Type: PUBACK, ID: 1, Reason: mqtt.NotAuthorized}, "40 03 0001 87"},
		{"PUBACK failed, 3.1.1", mqtt.V311, View{Type: PUBACK, ID: 1, Reason: mqtt.NotAuthorized, Properties: user}, "40 02 0001"},
		{"PUBREL Success with a property", mqtt.V5, View{Type: PUBREL, ID: 1, Properties: user}, "62 0a 0001 00 {26 0001'n' 0000}"},
		{"DISCONNECT", mqtt.V5, View{Type: DISCONNECT}, "e0 00"},
		{"DISCONNECT taken over", mqtt.V5, View{Type: DISCONNECT, Reason: mqtt.SessionTakenOver}, "e0 01 8e"},
		{"DISCONNECT taken over, 3.1.1", mqtt.V311, View{Type: DISCONNECT, Reason: mqtt.SessionTakenOver}, "e0 00"},
		{"AUTH Success", mqtt.V5, View{Type: AUTH}, "f0 00"},
		{"AUTH has no form without Property Length", mqtt.V5, View{Type: AUTH, Reason: mqtt.ContinueAuthentication}, "f0 02 18 00"},
		{"property of another packet", mqtt.V5, View{Type: PUBACK, ID: 1, Properties: Properties{Has: HasTopicAlias, TopicAlias: 1}}, "40 02 0001"},
		{"SUBACK failed, 3.1.1", mqtt.V311, View{Type: SUBACK, ID: 1, Reasons: []mqtt.ReasonCode{1, mqtt.TopicFilterInvalid}}, "90 04 0001 01 80"},
		{"UNSUBACK, 3.1.1", mqtt.V311, View{Type: UNSUBACK, ID: 1, Reasons: []mqtt.ReasonCode{0}}, "b0 02 0001"},
		{"SUBSCRIBE options, 3.1.1", mqtt.V311, View{Type: SUBSCRIBE, ID: 1,
			Filters: []Filter{{Filter: []byte("a"), QoS: 1, NoLocal: true, RetainHandling: 2}}}, "82 06 0001 0001'a'01"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Append(nil, tc.v, &tc.p)
			if want := unhex(t, tc.want); !bytes.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
			if n := Size(tc.v, &tc.p); n != len(got) {
				t.Errorf("Size = %d, want %d", n, len(got))
			}
		})
	}
}
