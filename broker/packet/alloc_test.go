package packet

import (
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

var publishes = []struct {
	name string
	v    mqtt.Version
	body string
}{
	{"QoS0 3.1.1", mqtt.V311, "0010'sensors/room/co2' '12345678'"},
	{"QoS0 5", mqtt.V5, "0010'sensors/room/co2' {01 01 23 0001 0b 05} '12345678'"},
}

func TestPublishDoesNotAllocate(t *testing.T) {
	for _, tc := range publishes {
		t.Run(tc.name, func(t *testing.T) {
			wire, dst := body(t, 0x30, tc.body), make([]byte, 0, 256)
			var p View
			m := mqtt.Message{Topic: "sensors/room/co2", Payload: []byte("12345678"),
				Properties: &mqtt.Properties{ContentType: "text/plain"}}
			h := PublishHeader{TopicAlias: 1, Expiry: 1, HasExpiry: true}
			if err := Decode(wire, tc.v, &p); err != nil { // grows the View's slices
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(100, func() {
				if n, err := Frame(wire, 0); n != len(wire) || err != nil {
					t.Fatal(n, err)
				}
				if err := Decode(wire, tc.v, &p); err != nil {
					t.Fatal(err)
				}
				dst = Append(dst[:0], tc.v, &p)
				dst = AppendPublish(dst[:0], tc.v, &m, &h)
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkDecodePublish(b *testing.B) {
	for _, tc := range publishes {
		b.Run(tc.name, func(b *testing.B) {
			wire := body(b, 0x30, tc.body)
			var p View
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				if n, _ := Frame(wire, 0); n != len(wire) {
					b.Fatal(n)
				}
				if err := Decode(wire, tc.v, &p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendPublish(b *testing.B) {
	m := mqtt.Message{Topic: "sensors/room/co2", Payload: []byte("12345678")}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		b.Run("QoS0 "+v.String(), func(b *testing.B) {
			dst, h := make([]byte, 0, 256), PublishHeader{}
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendPublish(dst[:0], v, &m, &h)
			}
		})
	}
}
