package packet

import (
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What the standards allow and a strict decoder easily refuses.
func TestLegalOddities(t *testing.T) {
	for _, tc := range []struct {
		name  string
		v     mqtt.Version
		first byte
		body  string
	}{
		{"3.1 user name flag without a user name", 0, 0x10, "0006'MQIsdp'03 c2 0000 0001'a'"},
		{"3.1 unused Connect Flag", 0, 0x10, "0006'MQIsdp'03 03 0000 0001'a'"},
		{"5.0 kept session without a Client Identifier", 0, 0x10, "0004'MQTT'05 00 0000 00 0000"},
		{"MQTT311-3.1.3-8 is for who admits the Client", 0, 0x10, "0004'MQTT'04 00 0000 0000"},
		{"will without payload", 0, 0x10, "0004'MQTT'04 06 0000 0000 0001't' 0000"},
		{"password that is not UTF-8", 0, 0x10, "0004'MQTT'05 42 0000 00 0000 0001 ff"},
		{"3.1 CONNACK with the unused byte set", mqtt.V31, 0x20, "ff00"},
		{"3.1 resent SUBSCRIBE", mqtt.V31, 0x8a, "0001 0001'a'01"},
		{"3.1 unused bits of the requested QoS", mqtt.V31, 0x82, "0001 0001'a'fd"},
		{"3.1 resent PUBREL", mqtt.V31, 0x6a, "0001"},
		{"3.1 PINGREQ with unused flags", mqtt.V31, 0xc1, ""},
		{"MQTT-1.5.4-3 U+FEFF is kept", mqtt.V5, 0x30, "0003 efbbbf 00"},
		{"topic of one slash", mqtt.V311, 0x30, "0001'/'"},
		{"topic with spaces and the last code point", mqtt.V311, 0x30, "0005' ' f48fbfbf"},
		{"PUBACK with an explicit Success", mqtt.V5, 0x40, "0001 00"},
		{"PUBACK with an empty Property Length", mqtt.V5, 0x40, "0001 00 00"},
		{"DISCONNECT with an explicit Success", mqtt.V5, 0xe0, "00 00"},
		{"User Property twice the same", mqtt.V5, 0x30, "0001'a' {26 0001'n'0001'v' 26 0001'n'0001'v'}"},
		{"several Subscription Identifiers", mqtt.V5, 0x30, "0001'a' {0b 01 0b 02}"},
		{"empty Reason String", mqtt.V5, 0x40, "0001 00 {1f 0000}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p View
			if err := Decode(body(t, tc.first, tc.body), tc.v, &p); err != nil {
				t.Error(err)
			}
		})
	}
}

// reasonTable is section 2.4: each code with the packets that may carry it.
var reasonTable = map[mqtt.ReasonCode][]Type{
	0x01: {SUBACK}, 0x02: {SUBACK}, 0x04: {DISCONNECT}, 0x10: {PUBACK, PUBREC}, 0x11: {UNSUBACK},
	0x18: {AUTH}, 0x19: {AUTH},
	0x80: {CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT},
	0x81: {CONNACK, DISCONNECT}, 0x82: {CONNACK, DISCONNECT},
	0x83: {CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT},
	0x84: {CONNACK}, 0x85: {CONNACK}, 0x86: {CONNACK},
	0x87: {CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT},
	0x88: {CONNACK}, 0x89: {CONNACK, DISCONNECT}, 0x8A: {CONNACK}, 0x8B: {DISCONNECT},
	0x8C: {CONNACK, DISCONNECT}, 0x8D: {DISCONNECT}, 0x8E: {DISCONNECT},
	0x8F: {SUBACK, UNSUBACK, DISCONNECT}, 0x90: {CONNACK, PUBACK, PUBREC, DISCONNECT},
	0x91: {PUBACK, PUBREC, SUBACK, UNSUBACK}, 0x92: {PUBREL, PUBCOMP},
	0x93: {DISCONNECT}, 0x94: {DISCONNECT}, 0x95: {CONNACK, DISCONNECT}, 0x96: {DISCONNECT},
	0x97: {CONNACK, PUBACK, PUBREC, SUBACK, DISCONNECT}, 0x98: {DISCONNECT},
	0x99: {CONNACK, PUBACK, PUBREC, DISCONNECT}, 0x9A: {CONNACK, DISCONNECT},
	0x9B: {CONNACK, DISCONNECT}, 0x9C: {CONNACK, DISCONNECT}, 0x9D: {CONNACK, DISCONNECT},
	0x9E: {SUBACK, DISCONNECT}, 0x9F: {CONNACK, DISCONNECT}, 0xA0: {DISCONNECT},
	0xA1: {SUBACK, DISCONNECT}, 0xA2: {SUBACK, DISCONNECT},
}

func TestReasonCodesOfEachPacket(t *testing.T) {
	types := []Type{CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH}
	for code := range 256 {
		r := mqtt.ReasonCode(code)
		for _, typ := range types {
			want := r == mqtt.Success
			for _, may := range reasonTable[r] {
				want = want || may == typ
			}
			if got := hasReason(typ, r); got != want {
				t.Errorf("type %d, code 0x%02x: allowed = %t, want %t", typ, code, got, want)
			}
		}
	}
}

func TestConnackReasonsBefore5(t *testing.T) {
	for r, want := range map[mqtt.ReasonCode]byte{
		mqtt.Success: 0, mqtt.UnsupportedProtocolVersion: 1, mqtt.ClientIdentifierNotValid: 2,
		mqtt.ServerUnavailable: 3, mqtt.ServerBusy: 3, mqtt.QuotaExceeded: 3,
		mqtt.ConnectionRateExceeded: 3, mqtt.UnspecifiedError: 3, mqtt.UseAnotherServer: 3,
		mqtt.BadUserNameOrPassword: 4, mqtt.NotAuthorized: 5, mqtt.Banned: 5,
		mqtt.TopicNameInvalid: 5, mqtt.RetainNotSupported: 5,
	} {
		b := Append(nil, mqtt.V311, &View{Type: CONNACK, Reason: r, SessionPresent: true})
		if b[3] != want {
			t.Errorf("%v became return code %d, want %d", r, b[3], want)
		}
		if present := b[2] == 1; present != (want == 0) {
			t.Errorf("MQTT-3.2.2-6 %v: Session Present = %t", r, present)
		}
	}
}
