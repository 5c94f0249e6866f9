package packet

import (
	"errors"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// bad is a packet that must be refused; the first word of name is the
// statement it breaks.
type bad struct {
	name  string
	v     mqtt.Version
	first byte
	body  string
	code  mqtt.ReasonCode
}

func refuse(t *testing.T, cases []bad) {
	var p View
	for _, tc := range cases {
		t.Run(tc.v.String()+" "+tc.name, func(t *testing.T) {
			err := Decode(body(t, tc.first, tc.body), tc.v, &p)
			var e *mqtt.Error
			if !errors.As(err, &e) {
				t.Fatalf("err = %v, want 0x%02x", err, byte(tc.code))
			}
			spec, _, _ := strings.Cut(tc.name, " ")
			if e.Code != tc.code || e.Spec != spec {
				t.Errorf("err = %v, want 0x%02x [%s]", err, byte(tc.code), spec)
			}
		})
	}
}

func TestConnectIsRefused(t *testing.T) {
	const (
		name = "0004'MQTT'"
		v3   = name + "04"
		v5   = name + "05"
	)
	refuse(t, []bad{
		{"MQTT-2.1.3-1 fixed header flags", 0, 0x11, v3 + "02 0000 0000", mqtt.MalformedPacket},
		{"MQTT-3.1.2-1 protocol name", 0, 0x10, "0004'HTTP'04 02 0000 0000", mqtt.UnsupportedProtocolVersion},
		{"MQTT-3.1.2-1 protocol name in lower case", 0, 0x10, "0004'mqtt'04 02 0000 0000", mqtt.UnsupportedProtocolVersion},
		{"MQTT-3.1.2-2 level 6", 0, 0x10, name + "06 02 0000 00 0000", mqtt.UnsupportedProtocolVersion},
		{"MQTT-3.1.2-2 level 3 of the other name", 0, 0x10, name + "03 02 0000 0000", mqtt.UnsupportedProtocolVersion},
		{"MQTT-3.1.2-2 bridge bit in 5.0", 0, 0x10, name + "85 02 0000 00 0000", mqtt.UnsupportedProtocolVersion},
		{"MQTT-3.1.2-3 reserved flag", 0, 0x10, v3 + "03 0000 0000", mqtt.MalformedPacket},
		{"MQTT-3.1.2-3 reserved flag in 5.0", 0, 0x10, v5 + "03 0000 00 0000", mqtt.MalformedPacket},
		{"MQTT-3.1.2-11 Will QoS without a will", 0, 0x10, v3 + "0a 0000 0000", mqtt.MalformedPacket},
		{"MQTT-3.1.2-12 Will QoS 3", 0, 0x10, v3 + "1e 0000 0000 0001't' 0000", mqtt.MalformedPacket},
		{"MQTT-3.1.2-13 Will Retain without a will", 0, 0x10, v5 + "22 0000 00 0000", mqtt.MalformedPacket},
		{"MQTT311-3.1.2-22 password without a user name", 0, 0x10, v3 + "42 0000 0000 0000", mqtt.MalformedPacket},
		{"MQTT-1.5.4-1 Client Identifier is not UTF-8", 0, 0x10, v3 + "02 0000 0001 ff", mqtt.MalformedPacket},
		{"MQTT-1.5.4-2 User Name with U+0000", 0, 0x10, v3 + "82 0000 0000 0001 00", mqtt.MalformedPacket},
		{"MQTT-4.7.3-1 empty Will Topic", 0, 0x10, v3 + "06 0000 0000 0000 0000", mqtt.TopicNameInvalid},
		{"MQTT-4.7.0-1 wildcard in the Will Topic", 0, 0x10, v3 + "06 0000 0000 0003'a/+' 0000", mqtt.TopicNameInvalid},
		{"MQTT-1.2 Will Payload missing", 0, 0x10, v3 + "06 0000 0000 0001'a'", mqtt.MalformedPacket},
		{"MQTT-1.2 User Name missing", 0, 0x10, v3 + "82 0000 0000", mqtt.MalformedPacket},
		{"MQTT-1.2 ends inside the Protocol Name", 0, 0x10, "0004'MQ'", mqtt.MalformedPacket},
		{"MQTT-1.2 empty", 0, 0x10, "", mqtt.MalformedPacket},
		{"MQTT-2.1.4 trailing bytes", 0, 0x10, v3 + "02 0000 0000 00", mqtt.MalformedPacket},
		{"MQTT-3.1.2.11.3 Receive Maximum 0", 0, 0x10, v5 + "02 0000 {21 0000} 0000", mqtt.ProtocolError},
		{"MQTT-3.1.2.11.4 Maximum Packet Size 0", 0, 0x10, v5 + "02 0000 {27 00000000} 0000", mqtt.ProtocolError},
		{"MQTT-3.1.2.11.10 data without a method", 0, 0x10, v5 + "02 0000 {16 0001 00} 0000", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Session Expiry Interval twice", 0, 0x10, v5 + "02 0000 {11 00000001 11 00000001} 0000", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Request Problem Information 2", 0, 0x10, v5 + "02 0000 {17 02} 0000", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Request Response Information 2", 0, 0x10, v5 + "02 0000 {19 02} 0000", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Topic Alias is no property of CONNECT", 0, 0x10, v5 + "02 0000 {23 0001} 0000", mqtt.MalformedPacket},
		{"MQTT-2.2.2.2 Will Delay outside the Will Properties", 0, 0x10, v5 + "02 0000 {18 00000001} 0000", mqtt.MalformedPacket},
		{"MQTT-2.2.2.2 Receive Maximum as a Will Property", 0, 0x10, v5 + "06 0000 00 0000 {21 0001} 0001't' 0000", mqtt.MalformedPacket},
		{"MQTT-2.2.2.2 Payload Format Indicator 2 of the will", 0, 0x10, v5 + "06 0000 00 0000 {01 02} 0001't' 0000", mqtt.ProtocolError},
	})
}

func TestConnectVersionIsKnownForTheAnswer(t *testing.T) {
	for _, tc := range []struct {
		head string
		want mqtt.Version
	}{
		{"0004'MQTT'06", mqtt.V5}, {"0004'MQTT'02", mqtt.V311}, {"0006'MQIsdp'04", mqtt.V311},
		{"0004'HTTP'04", 0}, {"0004'MQTT'05", mqtt.V5},
	} {
		var p View
		if Decode(body(t, 0x10, tc.head+"03 0000"), 0, &p) == nil {
			t.Fatalf("%s: accepted", tc.head)
		}
		if p.Type != CONNECT || p.Connect.Version != tc.want {
			t.Errorf("%s: version %s, want %s", tc.head, p.Connect.Version, tc.want)
		}
	}
}

func TestPublishIsRefused(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311} {
		refuse(t, []bad{
			{"MQTT-3.3.1-4 QoS 3", v, 0x36, "0001'a' 0001", mqtt.MalformedPacket},
			{"MQTT-3.3.1-2 DUP with QoS 0", v, 0x38, "0001'a'", mqtt.MalformedPacket},
			{"MQTT-2.2.1-3 Packet Identifier 0", v, 0x32, "0001'a' 0000", mqtt.ProtocolError},
			{"MQTT-3.3.2-2 wildcard #", v, 0x30, "0001'#'", mqtt.TopicNameInvalid},
			{"MQTT-3.3.2-2 wildcard +", v, 0x30, "0003'+/b'", mqtt.TopicNameInvalid},
			{"MQTT-4.7.3-1 empty Topic Name", v, 0x30, "0000", mqtt.MalformedPacket},
			{"MQTT-1.5.4-2 U+0000", v, 0x30, "0003'a' 00 'b'", mqtt.MalformedPacket},
			{"MQTT-1.2 no Packet Identifier", v, 0x32, "0001'a'", mqtt.MalformedPacket},
			{"MQTT-1.2 no Topic Name", v, 0x30, "", mqtt.MalformedPacket},
		})
	}
	refuse(t, []bad{
		{"MQTT-1.5.4-1 high surrogate", mqtt.V5, 0x30, "0003 eda080 00", mqtt.MalformedPacket},
		{"MQTT-1.5.4-1 low surrogate", mqtt.V5, 0x30, "0003 edbfbf 00", mqtt.MalformedPacket},
		{"MQTT-1.5.4-1 overlong slash", mqtt.V5, 0x30, "0002 c0af 00", mqtt.MalformedPacket},
		{"MQTT-1.5.4-1 overlong U+0000", mqtt.V5, 0x30, "0002 c080 00", mqtt.MalformedPacket},
		{"MQTT-1.5.4-1 above U+10FFFF", mqtt.V5, 0x30, "0004 f4908080 00", mqtt.MalformedPacket},
		{"MQTT-1.5.4-1 cut character", mqtt.V5, 0x30, "0002'a' c3 00", mqtt.MalformedPacket},
		{"MQTT-1.5.4-2 U+0000", mqtt.V5, 0x30, "0001 00 00", mqtt.MalformedPacket},
		{"MQTT-3.3.2.1 empty Topic Name without an alias", mqtt.V5, 0x30, "0000 00", mqtt.ProtocolError},
		{"MQTT-3.3.2-8 Topic Alias 0", mqtt.V5, 0x30, "0001'a' {23 0000}", mqtt.TopicAliasInvalid},
		{"MQTT-2.2.2.2 Topic Alias twice", mqtt.V5, 0x30, "0001'a' {23 0001 23 0001}", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Payload Format Indicator 2", mqtt.V5, 0x30, "0001'a' {01 02}", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Content Type twice", mqtt.V5, 0x30, "0001'a' {03 0000 03 0000}", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 unknown property", mqtt.V5, 0x30, "0001'a' {7f 00}", mqtt.MalformedPacket},
		{"MQTT-2.2.2.2 property 0", mqtt.V5, 0x30, "0001'a' {00 00}", mqtt.MalformedPacket},
		{"MQTT-2.2.2.2 property identifier of two bytes", mqtt.V5, 0x30, "0001'a' {8100 00}", mqtt.MalformedPacket},
		{"MQTT-2.2.2.2 Session Expiry Interval", mqtt.V5, 0x30, "0001'a' {11 00000001}", mqtt.MalformedPacket},
		{"MQTT-3.3.2-14 wildcard in the Response Topic", mqtt.V5, 0x30, "0001'a' {08 0003'r/#'}", mqtt.ProtocolError},
		{"MQTT-4.7.3-1 empty Response Topic", mqtt.V5, 0x30, "0001'a' {08 0000}", mqtt.ProtocolError},
		{"MQTT-1.5.4-1 User Property name", mqtt.V5, 0x30, "0001'a' {26 0001 ff 0000}", mqtt.MalformedPacket},
		{"MQTT-1.5.4-2 User Property value", mqtt.V5, 0x30, "0001'a' {26 0000 0001 00}", mqtt.MalformedPacket},
		{"MQTT-1.2 User Property without a value", mqtt.V5, 0x30, "0001'a' {26 0001'n'}", mqtt.MalformedPacket},
		{"MQTT-1.2 property leaves the properties", mqtt.V5, 0x30, "0001'a' {03 0004'te'} 'xt'", mqtt.MalformedPacket},
		{"MQTT-1.2 Property Length leaves the packet", mqtt.V5, 0x30, "0001'a' 05 01 01", mqtt.MalformedPacket},
		{"MQTT-1.5.5-1 Property Length", mqtt.V5, 0x30, "0001'a' 8000", mqtt.MalformedPacket},
		{"MQTT-1.5.5-1 Subscription Identifier", mqtt.V5, 0x30, "0001'a' {0b 8100}", mqtt.MalformedPacket},
		{"MQTT-1.5.5 Subscription Identifier", mqtt.V5, 0x30, "0001'a' {0b 80808080 01}", mqtt.MalformedPacket},
		{"MQTT-3.8.2.1.2 Subscription Identifier 0", mqtt.V5, 0x30, "0001'a' {0b 00}", mqtt.ProtocolError},
		{"MQTT-1.2 no Property Length", mqtt.V5, 0x30, "0001'a'", mqtt.MalformedPacket},
	})
}

func TestAcknowledgementsAreRefused(t *testing.T) {
	for _, first := range []byte{0x40, 0x50, 0x62, 0x70} {
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			refuse(t, []bad{
				{"MQTT-2.2.1-5 Packet Identifier 0", v, first, "0000", mqtt.ProtocolError},
				{"MQTT-1.2 cut", v, first, "00", mqtt.MalformedPacket},
			})
		}
		refuse(t, []bad{
			{"MQTT-2.1.4 a Reason Code in 3.1.1", mqtt.V311, first, "0001 00", mqtt.MalformedPacket},
			{"MQTT-2.2.2.2 property not allowed", mqtt.V5, first, "0001 00 {11 00000000}", mqtt.MalformedPacket},
			{"MQTT-2.2.2.2 Reason String twice", mqtt.V5, first, "0001 00 {1f 0000 1f 0000}", mqtt.ProtocolError},
			{"MQTT-2.1.4 trailing bytes", mqtt.V5, first, "0001 00 00 00", mqtt.MalformedPacket},
		})
	}
	refuse(t, []bad{
		{"MQTT-3.4.2-1 Reason Code", mqtt.V5, 0x40, "0001 92", mqtt.ProtocolError},
		{"MQTT-3.5.2-1 Reason Code", mqtt.V5, 0x50, "0001 01", mqtt.ProtocolError},
		{"MQTT-3.6.2-1 Reason Code", mqtt.V5, 0x62, "0001 80", mqtt.ProtocolError},
		{"MQTT-3.7.2-1 Reason Code", mqtt.V5, 0x70, "0001 10", mqtt.ProtocolError},
		{"MQTT-2.1.3-1 flags", mqtt.V311, 0x41, "0001", mqtt.MalformedPacket},
		{"MQTT-2.1.3-1 flags", mqtt.V5, 0x52, "0001", mqtt.MalformedPacket},
		{"MQTT-3.6.1-1 flags", mqtt.V311, 0x60, "0001", mqtt.MalformedPacket},
		{"MQTT-3.6.1-1 flags", mqtt.V5, 0x6a, "0001", mqtt.MalformedPacket},
		{"MQTT-3.6.1-1 QoS 0", mqtt.V31, 0x60, "0001", mqtt.MalformedPacket},
		{"MQTT-2.1.3-1 flags", mqtt.V5, 0x78, "0001", mqtt.MalformedPacket},
	})
}

func TestSubscribeIsRefused(t *testing.T) {
	refuse(t, []bad{
		{"MQTT-3.8.1-1 flags", mqtt.V311, 0x80, "0001 0001'a'00", mqtt.MalformedPacket},
		{"MQTT-3.8.1-1 flags", mqtt.V5, 0x83, "0001 00 0001'a'00", mqtt.MalformedPacket},
		{"MQTT-2.2.1-3 Packet Identifier 0", mqtt.V5, 0x82, "0000 00 0001'a'00", mqtt.ProtocolError},
		{"MQTT-3.8.3-2 no Topic Filter", mqtt.V311, 0x82, "0001", mqtt.ProtocolError},
		{"MQTT-3.8.3-2 no Topic Filter", mqtt.V5, 0x82, "0001 00", mqtt.ProtocolError},
		{"MQTT-3.8.3-5 reserved option bits", mqtt.V5, 0x82, "0001 00 0001'a'40", mqtt.MalformedPacket},
		{"MQTT-3.8.3-5 reserved option bits", mqtt.V5, 0x82, "0001 00 0001'a'80", mqtt.MalformedPacket},
		{"MQTT-3.8.3.1 Retain Handling 3", mqtt.V5, 0x82, "0001 00 0001'a'30", mqtt.ProtocolError},
		{"MQTT-3.8.3.1 Maximum QoS 3", mqtt.V5, 0x82, "0001 00 0001'a'03", mqtt.ProtocolError},
		{"MQTT-3.8.3.1 requested QoS 3", mqtt.V311, 0x82, "0001 0001'a'03", mqtt.ProtocolError},
		{"MQTT311-3.8.3-4 reserved bits of the QoS", mqtt.V311, 0x82, "0001 0001'a'04", mqtt.MalformedPacket},
		{"MQTT-3.8.3-4 No Local on a Shared Subscription", mqtt.V5, 0x82, "0001 00 000a'$share/g/b'04", mqtt.ProtocolError},
		{"MQTT-3.8.2.1.2 Subscription Identifier 0", mqtt.V5, 0x82, "0001 {0b 00} 0001'a'00", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Subscription Identifier twice", mqtt.V5, 0x82, "0001 {0b 01 0b 01} 0001'a'00", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Reason String", mqtt.V5, 0x82, "0001 {1f 0000} 0001'a'00", mqtt.MalformedPacket},
		{"MQTT-1.2 no options", mqtt.V5, 0x82, "0001 00 0001'a'", mqtt.MalformedPacket},
		{"MQTT-1.5.4-1 filter is not UTF-8", mqtt.V311, 0x82, "0001 0001 ff 00", mqtt.MalformedPacket},
		{"MQTT-1.5.4-2 filter with U+0000", mqtt.V311, 0x82, "0001 0001 00 00", mqtt.MalformedPacket},
		{"MQTT-3.10.1-1 flags", mqtt.V311, 0xa0, "0001 0001'a'", mqtt.MalformedPacket},
		{"MQTT-3.10.3-2 no Topic Filter", mqtt.V311, 0xa2, "0001", mqtt.ProtocolError},
		{"MQTT-2.2.1-3 Packet Identifier 0", mqtt.V311, 0xa2, "0000 0001'a'", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Subscription Identifier in UNSUBSCRIBE", mqtt.V5, 0xa2, "0001 {0b 01} 0001'a'", mqtt.MalformedPacket},
		{"MQTT-3.9.3-2 Reason Code", mqtt.V5, 0x90, "0001 00 03", mqtt.ProtocolError},
		{"MQTT311-3.9.3-2 return code", mqtt.V311, 0x90, "0001 8f", mqtt.ProtocolError},
		{"MQTT-3.9.3-1 no Reason Code", mqtt.V311, 0x90, "0001", mqtt.ProtocolError},
		{"MQTT-3.11.3-2 Reason Code", mqtt.V5, 0xb0, "0001 00 01", mqtt.ProtocolError},
		{"MQTT-2.1.4 Reason Codes in 3.1.1", mqtt.V311, 0xb0, "0001 00", mqtt.MalformedPacket},
	})
}

func TestOtherPacketsAreRefused(t *testing.T) {
	refuse(t, []bad{
		{"MQTT-3.2.2-1 reserved acknowledge flags", mqtt.V311, 0x20, "0200", mqtt.MalformedPacket},
		{"MQTT-3.2.2-6 Session Present with a failure", mqtt.V5, 0x20, "0187 00", mqtt.ProtocolError},
		{"MQTT-3.2.2-8 Reason Code", mqtt.V5, 0x20, "0001 00", mqtt.ProtocolError},
		{"MQTT311-3.2.2.3 return code 6", mqtt.V311, 0x20, "0006", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Maximum QoS 2", mqtt.V5, 0x20, "0000 {24 02}", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Retain Available 2", mqtt.V5, 0x20, "0000 {25 02}", mqtt.ProtocolError},
		{"MQTT-2.1.3-1 PINGREQ flags", mqtt.V311, 0xc1, "", mqtt.MalformedPacket},
		{"MQTT-2.1.4 PINGREQ with a body", mqtt.V5, 0xc0, "00", mqtt.MalformedPacket},
		{"MQTT-2.1.3-1 PINGRESP flags", mqtt.V5, 0xd8, "", mqtt.MalformedPacket},
		{"MQTT-3.14.1-1 DISCONNECT flags", mqtt.V5, 0xe1, "", mqtt.MalformedPacket},
		{"MQTT-2.1.4 DISCONNECT with a body in 3.1.1", mqtt.V311, 0xe0, "00", mqtt.MalformedPacket},
		{"MQTT-3.14.2-1 Reason Code", mqtt.V5, 0xe0, "01", mqtt.ProtocolError},
		{"MQTT-2.2.2.2 Authentication Method in DISCONNECT", mqtt.V5, 0xe0, "00 {15 0000}", mqtt.MalformedPacket},
		{"MQTT-3.15.1-1 AUTH flags", mqtt.V5, 0xf2, "18 {15 0001'm'}", mqtt.MalformedPacket},
		{"MQTT-3.15.2-1 Reason Code", mqtt.V5, 0xf0, "01 {15 0001'm'}", mqtt.ProtocolError},
		{"MQTT-3.15.2.2.2 no Authentication Method", mqtt.V5, 0xf0, "18 00", mqtt.ProtocolError},
		{"MQTT311-2.2.1 AUTH before 5.0", mqtt.V311, 0xf0, "", mqtt.MalformedPacket},
		{"MQTT-2.1.2 type 0", mqtt.V5, 0x00, "", mqtt.MalformedPacket},
	})
}

func TestDecodeWantsExactlyOnePacket(t *testing.T) {
	var p View
	for _, wire := range []string{"", "c0", "c001", "c00000", "c080", "c0808080808000"} {
		if err := Decode(unhex(t, wire), mqtt.V311, &p); err == nil {
			t.Errorf("%q was accepted", wire)
		}
	}
	// A Remaining Length of more bytes than it needs is an error by 5.0 only.
	if err := Decode(unhex(t, "c08000"), mqtt.V311, &p); err != nil {
		t.Error(err)
	}
	if err := Decode(unhex(t, "c08000"), mqtt.V5, &p); err == nil || !strings.Contains(err.Error(), "MQTT-1.5.5-1") {
		t.Errorf("err = %v, want [MQTT-1.5.5-1]", err)
	}
}
