package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// fill publishes QoS 1 messages from one number to another, and leaves.
func fill(p *brokertest.Client, from, to int) {
	for i := from; i <= to; i++ {
		p.Send(fmt.Sprintf("PUBLISH topic=t payload=%d qos=1 id=%d", i, i))
		p.Expect(fmt.Sprintf("PUBACK id=%d", i))
	}
	p.Send("DISCONNECT")
	p.ExpectClosed()
}

// drain expects the messages with these numbers, and no other.
func drain(c *brokertest.Client, from, to int) {
	for i := from; i <= to; i++ {
		c.Expect(fmt.Sprintf("PUBLISH id=%d topic=t payload=%d qos=1", i, i))
	}
	served(c)
}

// A session is under the limits of the listener that its client came to last,
// those of the rules of now.
func TestLimitsOfASessionAreThoseOfItsListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(t)
		small := broker.ListenerOptions{Name: "second", Listener: p.second, Limits: &broker.Limits{Subscriptions: 2, QueueMessages: 3}}
		p.relisten(broker.Options{Listeners: []broker.ListenerOptions{{Name: "first", Listener: p.first}, small}})
		c := p.connect(p.first, "c se=100")
		c.Send("SUBSCRIBE id=1 f=t@1 f=u@1")
		c.Expect("SUBACK id=1 rcs=0x01,0x01")
		c.Close()
		synctest.Wait()

		c = p.connect(p.second, "c se=100 clean=0 sp=1")
		c.Send("SUBSCRIBE id=2 f=v@1")
		c.Expect("SUBACK id=2 rcs=0x97 reason=yes")
		c.Close()
		synctest.Wait()
		fill(p.connect(p.first, "p"), 1, 5)
		c = p.connect(p.first, "c se=100 clean=0 sp=1")
		drain(c, 3, 5)
		c.Send("SUBSCRIBE id=2 f=v@1")
		c.Expect("SUBACK id=2 rcs=0x01")
	})
}

// Home Assistant asks for up to 500 topics with one SUBSCRIBE. Who asks for more
// than a session may have is granted 100 of them.
func TestManyFiltersInOneSubscribe(t *testing.T) {
	for _, tc := range []struct {
		name    string
		version mqtt.Version
		refused string
		reason  string
	}{
		{"MQTT-3.8.4-5 as many as a session may have", mqtt.V5, "0x97", " reason=yes"},
		{"MQTT311-3.8.4-4 as many as a session may have", mqtt.V311, "0x80", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t)
				for id, filter := range map[string]string{"each": " f=t/%@1", "same": " f=t@1"} {
					var filters, codes strings.Builder
					for i := range 500 {
						filters.WriteString(strings.Replace(filter, "%", strconv.Itoa(i), 1))
						codes.WriteString("0x01,")
					}
					c := b.Client(tc.version)
					c.Connect("cid=" + id)
					c.Send("SUBSCRIBE id=1" + filters.String())
					c.Expect("SUBACK id=1 rcs=" + strings.TrimSuffix(codes.String(), ","))
					c.Send("SUBSCRIBE id=2" + filters.String() + " f=more@1")
					c.Expect("SUBACK id=2 rcs=" + strings.Repeat("0x01,", 100) + strings.Repeat(tc.refused+",", 400) + tc.refused + tc.reason)
				}
			})
		})
	}
}

// A listener may let more wait than is the rule: a restart before its clients
// are back takes nothing of it.
func TestARestartKeepsWhatAListenerLetWait(t *testing.T) {
	dir := t.TempDir()
	start := func() *brokertest.Broker {
		return brokertest.New(t, func(o *broker.Options) {
			o.Data = &broker.Data{Dir: dir}
			o.Limits.QueueMessages = 2
			o.Listeners[0].Limits = &broker.Limits{QueueMessages: 10}
		})
	}
	b := start()
	c := b.Client(mqtt.V5)
	c.Connect("cid=c se=100")
	c.Send("SUBSCRIBE id=1 f=t@1")
	c.Expect("SUBACK id=1 rcs=0x01")
	c.Send("DISCONNECT")
	c.ExpectClosed()
	publish := func(from, to int) {
		p := b.Client(mqtt.V5)
		p.Connect("cid=p")
		fill(p, from, to)
	}
	publish(1, 6)
	b.Stop()
	b = start()
	publish(7, 7)
	c = b.Client(mqtt.V5)
	c.Connect("cid=c clean=0 se=100 sp=1")
	drain(c, 1, 7)
}
