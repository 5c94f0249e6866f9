package broker_test

import (
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What each listener counted is exact to the byte, while its connections live
// and after they have gone.
func TestListenersCountTheirTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t)
		c := b.Client(mqtt.V311)
		c.Connect("cid=c")                                  // 15 bytes, CONNACK 4
		c.Send("SUBSCRIBE id=1 f=t@0")                      // 8, SUBACK 5
		c.Send("PUBLISH topic=t payload=hello qos=1 id=2")  // 12, PUBACK 4, PUBLISH 10
		c.Send("PUBLISH topic=other payload=no qos=0 id=0") // 11
		c.Send("PINGREQ")                                   // 2, PINGRESP 2
		synctest.Wait()
		received := broker.Traffic{Packets: 5, Bytes: 15 + 8 + 12 + 11 + 2, Publishes: 2, Payload: 7}
		sent := broker.Traffic{Packets: 5, Bytes: 4 + 5 + 4 + 10 + 2, Publishes: 1, Payload: 5}
		for _, connections := range []int{1, 0} {
			got := b.Listeners()[0]
			if got.Name != "memory" || got.Connections != connections || got.Accepted != 1 || len(got.Refused) != 0 ||
				got.Received != received || got.Sent != sent {
				t.Errorf("with %d connections: %+v", connections, got)
			}
			c.Close()
			synctest.Wait()
		}
	})
}

func TestListenersCountWhomTheyRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, func(o *broker.Options) { o.Limits.Connections = 2 })
		silent := b.Client(mqtt.V5)
		wrong := b.Client(mqtt.V31)
		b.Client(mqtt.V5).ExpectClosed()
		wrong.Send("CONNECT cid=")
		wrong.Expect("CONNACK rc=0x85 ...")
		silent.Close()
		synctest.Wait()
		got := b.Listeners()[0]
		want := map[mqtt.ReasonCode]uint64{mqtt.ClientIdentifierNotValid: 1, mqtt.ServerBusy: 1, mqtt.UnspecifiedError: 1}
		if len(got.Refused) != len(want) || got.Accepted != 2 {
			t.Fatalf("refused %v, accepted %d", got.Refused, got.Accepted)
		}
		for code, n := range want {
			if got.Refused[code] != n {
				t.Errorf("refused with %v: %d, want %d", code, got.Refused[code], n)
			}
		}
		if s := b.Stats(); s.ConnectionsRefused != 3 {
			t.Errorf("ConnectionsRefused = %d, want 3", s.ConnectionsRefused)
		}
	})
}
