package broker_test

import (
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// TestWireOptions plays scripts against brokers that are not the default.
func TestWireOptions(t *testing.T) {
	for name, change := range map[string]func(*broker.Options){
		"off": func(o *broker.Options) { o.Features = &broker.Features{MaxQoS: mqtt.AtLeastOnce} },
		"request": func(o *broker.Options) {
			f := broker.AllFeatures()
			f.ResponseInformation, f.CheckPayload = "response/{client}/", true
			o.Features = &f
		},
		"moved": func(o *broker.Options) {
			o.Listeners[0].Redirect = &broker.Redirect{Reference: "other:1883", Permanent: true}
		},
		"each":    func(o *broker.Options) { o.OverlapEach = true },
		"connect": func(*broker.Options) {},
	} {
		t.Run(name, func(t *testing.T) { brokertest.RunScript(t, "testdata/wire-options/"+name+".txt", change) })
	}
}

func TestNoSessionOutlivesItsConnection(t *testing.T) {
	b := brokertest.New(t, func(o *broker.Options) { o.Limits = broker.Limits{Exact: true, QueueMessages: 10, QueueSize: 1 << 20} })
	for v, connect := range map[mqtt.Version]string{mqtt.V311: "cid=a clean=0", mqtt.V5: "cid=b clean=0 se=100"} {
		for range 2 {
			c := b.Client(v)
			c.Send("CONNECT " + connect)
			c.Expect(map[mqtt.Version]string{mqtt.V311: "CONNACK sp=0 rc=0x00", mqtt.V5: "CONNACK sp=0 rc=0x00 se=0 ..."}[v])
			c.Close()
		}
	}
}

func TestListenersDiffer(t *testing.T) {
	limits := broker.Limits{ReceiveMaximum: 3, PacketSize: 1000}
	features := broker.AllFeatures()
	features.Shared = false
	b := brokertest.New(t, func(o *broker.Options) {
		o.Limits.ReceiveMaximum = 7
		o.Listeners[0].Limits, o.Listeners[0].Features = &limits, &features
	})
	c := b.Client(mqtt.V5)
	c.Send("CONNECT cid=c")
	c.Expect("CONNACK sp=0 rc=0x00 shared=0 rm=3 tam=10 mps=1000 ska=3600")
}
