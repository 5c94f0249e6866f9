package packet

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// lent decodes a PUBLISH with every property and makes a Publication of it.
func lent(t *testing.T, p *Publication, payload string) (wire []byte, want mqtt.Message) {
	t.Helper()
	var v View
	wire = Append(nil, mqtt.V5, &View{
		Type: PUBLISH, ID: 7,
		Publish: Publish{Topic: []byte("a/b"), Payload: []byte(payload), QoS: 1, Retain: true},
		Properties: Properties{
			Has:           HasPayloadFormat | HasMessageExpiry | HasContentType | HasResponseTopic | HasCorrelationData | HasUser,
			PayloadFormat: 1, MessageExpiry: 60, ContentType: []byte("text"), ResponseTopic: []byte("r/t"),
			CorrelationData: []byte("id"), User: []UserProperty{{[]byte("n"), []byte("v")}, {[]byte("n"), []byte("w")}},
		},
	})
	if err := Decode(wire, mqtt.V5, &v); err != nil {
		t.Fatal(err)
	}
	want = v.Message(epoch)
	want.Publisher = "me"
	p.Borrow(epoch, &v, "a/b", "me")
	return wire, want
}

func TestPublicationKeepsACopyOfWhatItBorrowed(t *testing.T) {
	var p Publication
	for _, n := range []int{0, 1, 20, 21, 64, 68, 69, 132, 133, 5000} {
		wire, want := lent(t, &p, strings.Repeat("x", n))
		kept := p.Message()
		clear(wire)
		if kept != p.Message() {
			t.Error("made twice")
		}
		if !bytes.Equal(kept.Payload, want.Payload) {
			t.Fatalf("payload of %d bytes became %d", n, len(kept.Payload))
		}
		if !kept.Hold() || kept.Hold() || kept.Release() || !kept.Release() {
			t.Error("the first who holds it and the last who lets it go are not told")
		}
		got := *kept
		got.Shareable(nil)
		got.Payload, want.Payload = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestPublicationForgetsTheLastOne(t *testing.T) {
	var p Publication
	lent(t, &p, "1")
	p.Share()
	p.Append(nil, mqtt.V311, &PublishHeader{})
	p.Message()
	var v View
	if err := Decode(Append(nil, mqtt.V311, &View{Type: PUBLISH, Publish: Publish{Topic: []byte("t"), Payload: []byte("2")}}), mqtt.V311, &v); err != nil {
		t.Fatal(err)
	}
	p.Borrow(epoch, &v, "t", "")
	p.Share()
	if got, want := p.Append(nil, mqtt.V311, &PublishHeader{}), []byte("\x30\x04\x00\x01t2"); !bytes.Equal(got, want) {
		t.Errorf("encoded % x, want % x", got, want)
	}
	if m := p.Message(); m.Properties != nil || m.Retain || m.QoS != 0 || !m.Expires.IsZero() || string(m.Payload) != "2" {
		t.Errorf("%+v", m)
	}
}

func TestPublicationEncodesLikeAppendPublish(t *testing.T) {
	headers := []PublishHeader{
		{}, {Retain: true}, {Expiry: 60, HasExpiry: true}, {TopicAlias: 3}, {TopicAlias: 3, OmitTopic: true},
		{SubscriptionIdentifiers: []uint32{1, 200}}, {QoS: 1, ID: 5}, {QoS: 2, ID: 6, Dup: true, Retain: true},
	}
	for _, shared := range []bool{false, true} {
		for _, h := range headers {
			var p Publication
			lent(t, &p, "payload")
			if shared {
				p.Share()
			}
			for _, v := range []mqtt.Version{mqtt.V31, mqtt.V5, mqtt.V311, mqtt.V5} {
				want := AppendPublish([]byte("x"), v, p.Peek(), &h)
				if got := p.Append([]byte("x"), v, &h); !bytes.Equal(got, want) {
					t.Errorf("version %s, %+v: % x, want % x", v, h, got, want)
				}
			}
		}
	}
}

func TestPublicationOfAnOwnedMessageIsThatMessage(t *testing.T) {
	m := &mqtt.Message{Topic: "t", Expires: epoch.Add(time.Second)}
	if p := new(Publication).Own(m); p.Message() != m || p.Peek().Topic != "t" {
		t.Error("not the same")
	}
}

func TestPublicationAllocatesNothingUntilItIsKept(t *testing.T) {
	var p Publication
	var v View
	wire, _ := lent(t, &p, "payload")
	dst := make([]byte, 0, 1024)
	n := testing.AllocsPerRun(100, func() {
		if Decode(wire, mqtt.V5, &v) != nil {
			t.Error("not decoded")
		}
		p.Borrow(epoch, &v, "a/b", "me")
		p.Share()
		dst = p.Append(dst[:0], mqtt.V5, &PublishHeader{})
		dst = p.Append(dst[:0], mqtt.V311, &PublishHeader{})
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
