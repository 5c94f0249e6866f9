package broker_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// The statements that wire scripts cannot show.

func TestUsers(t *testing.T) {
	brokertest.RunScript(t, "testdata/wire-options/users.txt", func(o *broker.Options) {
		o.Auth = &brokertest.Auth{
			Users: map[string]string{"alice": "a"},
			May: func(a *broker.Access) broker.Decision {
				if a.Action == broker.Publish && a.Topic == "no" {
					return broker.Decision{Code: mqtt.NotAuthorized}
				}
				return broker.Decision{MaxQoS: mqtt.ExactlyOnce}
			},
		}
	})
}

// inBubble gives a test a broker with an in-process client, which may publish
// what network clients may not.
func inBubble(t *testing.T, name string, f func(t *testing.T, b *brokertest.Broker, local *broker.Client)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := brokertest.New(t)
			local, err := b.Attach(broker.ClientOptions{ID: "local"})
			if err != nil {
				t.Fatal(err)
			}
			f(t, b, local)
		})
	})
}

func TestTopicsThatStartWithDollar(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		inBubble(t, "MQTT-4.7.2-1 MQTT311-4.7.2-1 no wildcard at the first level matches them, "+v.String(),
			func(t *testing.T, b *brokertest.Broker, local *broker.Client) {
				c := b.Client(v)
				c.Connect("cid=c")
				c.Send("SUBSCRIBE id=1 f=#@0 f=+/x@0 f=+@0 f=+/#@0")
				c.Expect("SUBACK id=1 rcs=0x00,0x00,0x00,0x00")
				for _, topic := range []string{"$sys/x", "$x", "$"} {
					for _, retain := range []bool{false, true} {
						if err := local.Publish(context.Background(), mqtt.Message{Topic: topic, Payload: []byte("1"), Retain: retain}); err != nil {
							t.Fatal(err)
						}
					}
				}
				synctest.Wait()
				if got := c.Pending(); got != "" {
					t.Errorf("received %s, want nothing", got)
				}
				c.Send("SUBSCRIBE id=2 f=#@0")
				c.Expect("SUBACK id=2 rcs=0x00")
				synctest.Wait()
				if got := c.Pending(); got != "" {
					t.Errorf("received %s, want nothing", got)
				}
				c.Send("SUBSCRIBE id=3 f=$sys/+@0")
				c.Expect("SUBACK id=3 rcs=0x00")
				c.Expect("PUBLISH topic=$sys/x payload=1 qos=0 retain=1")
			})
	}
}

func TestTopicsLongerThanAString(t *testing.T) {
	inBubble(t, "MQTT-4.7.3-3 MQTT311-4.7.3-3 what no string can hold is refused, not cut",
		func(t *testing.T, _ *brokertest.Broker, local *broker.Client) {
			long := strings.Repeat("a", 65536)
			if err := local.Publish(context.Background(), mqtt.Message{Topic: long}); err == nil {
				t.Error("published")
			}
			if err := local.Subscribe(context.Background(), mqtt.Subscription{Filter: long}); err == nil {
				t.Error("subscribed")
			}
		})
}

// A client that is wrong right behind its CONNECT was accepted all the same.
func TestMalformedPacketBehindConnect(t *testing.T) {
	connect := packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("c")}}
	both := append(packet.Append(nil, mqtt.V5, &connect), 0, 0)
	for range 20 { // it is a race
		synctest.Test(t, func(t *testing.T) {
			// MQTT-3.2.0-2: one CONNACK only. MQTT-4.13.1-1: the reason comes as DISCONNECT.
			c := brokertest.New(t).Client(mqtt.V5)
			c.SendBytes(both)
			c.Expect("CONNACK rc=0x00 ...")
			c.Expect("DISCONNECT rc=0x81 ...")
			c.ExpectClosed()
		})
	}
}
