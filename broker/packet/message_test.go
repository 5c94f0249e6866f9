package packet

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// owned checks that a PUBLISH taken out as a message and sent on by
// AppendPublish is the packet Append writes.
func owned(t *testing.T, v mqtt.Version, p *View) {
	if p.Type != PUBLISH {
		return
	}
	m := p.Message(epoch)
	h := PublishHeader{
		ID: p.ID, QoS: p.Publish.QoS, Dup: p.Publish.Dup, Retain: p.Publish.Retain,
		TopicAlias:              p.Properties.TopicAlias,
		SubscriptionIdentifiers: p.Properties.SubscriptionIdentifiers,
	}
	h.Expiry, h.HasExpiry = m.ExpirySeconds(epoch)
	b := AppendPublish(nil, v, &m, &h)
	var got, want View
	if err := Decode(b, v, &got); err != nil {
		t.Fatal(err)
	}
	if err := Decode(Append(nil, v, p), v, &want); err != nil {
		t.Fatal(err)
	}
	empty(&got.Properties)
	empty(&want.Properties)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// empty forgets properties that are present and empty: a message does not
// keep them apart from absent ones.
func empty(p *Properties) {
	for h, b := range map[Has]*[]byte{HasContentType: &p.ContentType, HasCorrelationData: &p.CorrelationData} {
		if len(*b) == 0 {
			p.Has, *b = p.Has&^h, nil
		}
	}
}

func TestMessageOwnsWhatItKeeps(t *testing.T) {
	wire := body(t, 0x3d, "0003'a/b' 0007"+
		"{01 01 02 0000003c 03 0004'text' 08 0003'r/t' 09 0002'id' 26 0001'n' 0001'v'} 'hello'")
	var p View
	if err := Decode(wire, mqtt.V5, &p); err != nil {
		t.Fatal(err)
	}
	m := p.Message(epoch)
	clear(wire)
	want := mqtt.Message{
		Topic: "a/b", Payload: []byte("hello"), QoS: mqtt.ExactlyOnce, Retain: true,
		Expires: epoch.Add(time.Minute),
		Properties: &mqtt.Properties{
			PayloadFormat: 1, HasFormat: true, HasType: true, ContentType: "text", ResponseTopic: "r/t",
			CorrelationData: []byte("id"), User: []mqtt.UserProperty{{Name: "n", Value: "v"}},
		},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
}

func TestWillOwnsWhatItKeeps(t *testing.T) {
	wire := body(t, 0x10, "0004'MQTT'05 2e 0000 00 0001'c' {02 00000000 18 0000003c} 0003'w/t' 0004'gone'")
	var p View
	if err := Decode(wire, mqtt.V5, &p); err != nil {
		t.Fatal(err)
	}
	w := p.Will()
	clear(wire)
	want := &mqtt.Will{
		Message: mqtt.Message{
			Topic: "w/t", Payload: []byte("gone"), QoS: mqtt.AtLeastOnce, Retain: true, Publisher: "c",
		},
		Delay:          time.Minute,
		ExpiryInterval: 1, // zero seconds were sent; 0 would be never
	}
	if !reflect.DeepEqual(w, want) {
		t.Errorf("got  %+v\nwant %+v", w, want)
	}
	if w := (&View{Type: CONNECT}).Will(); w != nil {
		t.Errorf("no will became %+v", w)
	}
}

func TestAppendPublishForOneDelivery(t *testing.T) {
	m := &mqtt.Message{Topic: "a", Payload: []byte("x"), QoS: 2, Retain: true}
	for _, tc := range []struct {
		name string
		v    mqtt.Version
		h    PublishHeader
		want string
	}{
		{"QoS 0 for 3.1.1", mqtt.V311, PublishHeader{}, "30 04 0001'ax'"},
		{"MQTT-3.3.1-1 resent", mqtt.V311, PublishHeader{QoS: 1, ID: 9, Dup: true}, "3a 06 0001'a'0009'x'"},
		{"5.0 properties are not for 3.1.1", mqtt.V311,
			PublishHeader{TopicAlias: 1, OmitTopic: true, HasExpiry: true, SubscriptionIdentifiers: []uint32{1}}, "30 04 0001'ax'"},
		{"alias without the topic", mqtt.V5, PublishHeader{TopicAlias: 5, OmitTopic: true, Retain: true}, "31 07 0000 {23 0005} 'x'"},
		{"expiry and identifiers", mqtt.V5, PublishHeader{Expiry: 7, HasExpiry: true, SubscriptionIdentifiers: []uint32{1, 128}},
			"30 0f 0001'a' {02 00000007 0b 01 0b 8001} 'x'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := AppendPublish(nil, tc.v, m, &tc.h)
			if want := unhex(t, tc.want); !bytes.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		})
	}
}

func TestValidMessage(t *testing.T) {
	long := strings.Repeat("x", 65536)
	for _, tc := range []struct {
		name string
		m    mqtt.Message
		code mqtt.ReasonCode
	}{
		{"plain", mqtt.Message{Topic: "a"}, 0},
		{"with properties", mqtt.Message{Topic: "$SYS/a", Properties: &mqtt.Properties{ResponseTopic: "r", HasFormat: true, PayloadFormat: 1}}, 0},
		{"MQTT-4.7.3-1 empty", mqtt.Message{}, mqtt.TopicNameInvalid},
		{"MQTT-4.7.0-1 wildcard", mqtt.Message{Topic: "a/#"}, mqtt.TopicNameInvalid},
		{"MQTT-1.5.4-1 topic", mqtt.Message{Topic: "\xff"}, mqtt.MalformedPacket},
		{"MQTT-1.5.4-2 topic", mqtt.Message{Topic: "a\x00"}, mqtt.MalformedPacket},
		{"long topic", mqtt.Message{Topic: long}, mqtt.MalformedPacket},
		{"QoS 3", mqtt.Message{Topic: "a", QoS: 3}, mqtt.QoSNotSupported},
		{"format 2", mqtt.Message{Topic: "a", Properties: &mqtt.Properties{HasFormat: true, PayloadFormat: 2}}, mqtt.PayloadFormatInvalid},
		{"MQTT-3.3.2-14 wildcard", mqtt.Message{Topic: "a", Properties: &mqtt.Properties{ResponseTopic: "+"}}, mqtt.TopicNameInvalid},
		{"long content type", mqtt.Message{Topic: "a", Properties: &mqtt.Properties{ContentType: long}}, mqtt.MalformedPacket},
		{"long correlation", mqtt.Message{Topic: "a", Properties: &mqtt.Properties{CorrelationData: []byte(long)}}, mqtt.MalformedPacket},
		{"user name", mqtt.Message{Topic: "a", Properties: (*mqtt.Properties)(nil).With("\xff", "")}, mqtt.MalformedPacket},
		{"user value", mqtt.Message{Topic: "a", Properties: (*mqtt.Properties)(nil).With("", long)}, mqtt.MalformedPacket},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := ValidMessage(&tc.m)
			if tc.code == 0 && err != nil || tc.code != 0 && (err == nil || err.(*mqtt.Error).Code != tc.code) {
				t.Errorf("err = %v, want 0x%02x", err, byte(tc.code))
			}
		})
	}
}

func TestAppendCutsWhatNoPrefixCanAnnounce(t *testing.T) {
	long := []byte(strings.Repeat("x", 70000))
	p := View{Type: CONNECT, Connect: Connect{Version: mqtt.V5, ClientID: long, HasWill: true, WillTopic: long, WillPayload: long}}
	p.Properties = Properties{Has: HasUser | HasAuthMethod, AuthMethod: long, User: []UserProperty{{long, long}}}
	b := Append(nil, 0, &p)
	var q View
	if err := Decode(b, 0, &q); err != nil || Size(0, &p) != len(b) {
		t.Errorf("err = %v, Size = %d of %d", err, Size(0, &p), len(b))
	}
}

func TestMessageExpiryIntervalToSend(t *testing.T) {
	for _, c := range []struct {
		spec           string
		received, sent uint32
		waited         time.Duration
	}{
		{"MQTT-3.3.2-6 what waited is taken off", 60, 57, 3 * time.Second},
		{"MQTT-3.3.2-6 part of a second is left", 60, 1, 59*time.Second + 900*time.Millisecond},
		{"MQTT-3.3.2-6 a sender whose clock was read before the message came", 3600, 3600, -5 * time.Millisecond},
		{"MQTT-3.3.2-6 the longest one", 1<<32 - 1, 1<<32 - 1, -5 * time.Millisecond},
		{"MQTT-3.3.2-6 it has expired", 60, 0, time.Minute},
	} {
		t.Run(c.spec, func(t *testing.T) {
			p := View{Type: PUBLISH}
			p.Properties.Has, p.Properties.MessageExpiry = HasMessageExpiry, c.received
			m := p.Message(epoch)
			if got, ok := m.ExpirySeconds(epoch.Add(c.waited)); got != c.sent || !ok {
				t.Fatalf("got %d, want %d", got, c.sent)
			}
		})
	}
}
