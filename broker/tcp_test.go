package broker_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// dialTCP starts a broker on a loopback port.
func dialTCP(t *testing.T, change ...func(*broker.Options)) (b *brokertest.Broker, dial func(mqtt.Version) *brokertest.Client) {
	t.Helper()
	ln, err := broker.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	change = append(change, func(o *broker.Options) {
		o.Listeners = append(o.Listeners, broker.ListenerOptions{Name: "tcp", Listener: ln})
	})
	b = brokertest.New(t, change...)
	return b, func(v mqtt.Version) *brokertest.Client {
		t.Helper()
		var d net.Dialer
		nc, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return brokertest.NewClient(t, nc, v)
	}
}

func TestTCPKeepsOrderAtEachQoS(t *testing.T) {
	const messages = 2000
	for qos := range 3 {
		t.Run(fmt.Sprintf("MQTT-4.2-1 MQTT-4.6.0-5 MQTT311-7.1.1-1 MQTT311-4.6.0-6 over TCP in order, QoS %d", qos), func(t *testing.T) {
			b, dial := dialTCP(t, func(o *broker.Options) { o.Limits.QueueMessages = messages + 1 })
			sub, pub := dial(mqtt.V5), dial(mqtt.V311)
			sub.Connect("cid=sub")
			sub.Send(fmt.Sprintf("SUBSCRIBE id=1 f=t@%d", qos))
			sub.Expect(fmt.Sprintf("SUBACK id=1 rcs=0x%02x", qos))
			pub.Connect("cid=pub")
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := 1; i <= messages; i++ {
					pub.Send(fmt.Sprintf("PUBLISH topic=t payload=%d qos=%d id=%d", i, qos, qosID(qos, i)))
				}
			}()
			for i := 1; i <= messages; i++ {
				receiveInOrder(t, sub, qos, i)
			}
			<-done
			for i := 1; i <= messages && qos > 0; i++ {
				want := [...]string{1: "PUBACK", 2: "PUBREC"}[qos]
				pub.Expect(fmt.Sprintf("%s id=%d", want, i))
			}
			if s := b.Stats(); s.Dropped != 0 {
				t.Errorf("dropped %d", s.Dropped)
			}
		})
	}
}

func qosID(qos, i int) int {
	if qos == 0 {
		return 0
	}
	return i
}

// receiveInOrder takes the next PUBLISH, which must be message i, and
// acknowledges it.
func receiveInOrder(t *testing.T, c *brokertest.Client, qos, i int) {
	t.Helper()
	got := c.Receive()
	for qos == 2 && len(got) > 6 && got[:6] == "PUBREL" {
		c.Send("PUBCOMP " + got[7:])
		got = c.Receive()
	}
	if err := brokertest.Compare(fmt.Sprintf("PUBLISH payload=%d qos=%d ...", i, qos), got); err != nil {
		t.Fatal(err)
	}
	switch qos {
	case 1:
		c.Send(fmt.Sprintf("PUBACK id=%d", i))
	case 2:
		c.Send(fmt.Sprintf("PUBREC id=%d", i))
	}
}

func TestTCPSaysWhyItClosesAPacketThatIsTooLarge(t *testing.T) {
	_, dial := dialTCP(t)
	c := dial(mqtt.V5)
	c.Connect("cid=c")
	c.SendBytes(append([]byte{0x30, 0x80, 0x80, 0x40}, make([]byte, 64<<10)...))
	c.Expect("DISCONNECT rc=0x95 reason=yes")
	c.ExpectClosed()
}

func TestConnectionsLimit(t *testing.T) {
	b, dial := dialTCP(t, func(o *broker.Options) { o.Limits.Connections = 1 })
	c := dial(mqtt.V311)
	c.Connect("cid=c")
	dial(mqtt.V311).ExpectClosed()
	c.Send("PINGREQ")
	c.Expect("PINGRESP")
	if s := b.Stats(); s.ConnectionsRefused != 1 {
		t.Errorf("refused %d, want 1", s.ConnectionsRefused)
	}
}

func TestHooksDecide(t *testing.T) {
	b := brokertest.New(t, func(o *broker.Options) {
		o.Auth = &brokertest.Auth{
			Users: map[string]string{"alice": "secret"},
			May: func(a *broker.Access) broker.Decision {
				if a.Identity.User != "alice" || a.Topic == "no" {
					return broker.Decision{Code: mqtt.NotAuthorized}
				}
				return broker.Decision{MaxQoS: mqtt.ExactlyOnce}
			},
		}
	})
	c := b.Client(mqtt.V311)
	c.Send("CONNECT cid=c user=alice pass=wrong")
	c.Expect("CONNACK sp=0 rc=0x86")
	c.ExpectClosed()
	c = b.Client(mqtt.V5)
	c.Connect("cid=c user=alice pass=secret")
	c.Send("SUBSCRIBE id=1 f=no@1 f=yes@1")
	c.Expect("SUBACK id=1 rcs=0x87,0x01 reason=yes")
	c.Send("PUBLISH topic=no qos=1 id=1")
	c.Expect("PUBACK id=1 rc=0x87 reason=yes")
	c.Send("PUBLISH topic=no qos=2 id=2")
	c.Expect("PUBREC id=2 rc=0x87 reason=yes")
	c.Send("PUBREL id=2")
	c.Expect("PUBCOMP id=2 rc=0x92")
	if s := b.Stats(); s.PublishRefused != 2 {
		t.Errorf("refused %d, want 2", s.PublishRefused)
	}
}

func TestLimitsOfSessions(t *testing.T) {
	b := brokertest.New(t, func(o *broker.Options) {
		o.Limits.Subscriptions, o.Limits.QueueMessages, o.Limits.RetainedMessages, o.Limits.TopicLevels = 1, 2, 1, 3
	})
	c := b.Client(mqtt.V5)
	c.Connect("cid=c se=60")
	c.Send("SUBSCRIBE id=1 f=t@1 f=u@1 f=a/b/c/d@1")
	c.Expect("SUBACK id=1 rcs=0x01,0x97,0x8f reason=yes")
	c.Send("DISCONNECT")
	c.ExpectClosed()
	p := b.Client(mqtt.V5)
	p.Connect("cid=p")
	for i := 1; i <= 4; i++ {
		p.Send(fmt.Sprintf("PUBLISH topic=t payload=%d qos=1 id=%d", i, i))
		p.Expect(fmt.Sprintf("PUBACK id=%d", i))
	}
	p.Send("PUBLISH topic=a/b/c/d qos=1 id=9")
	p.Expect("PUBACK id=9 rc=0x90 reason=yes")
	for _, topic := range []string{"r/1", "r/2"} {
		p.Send("PUBLISH payload=x retain=1 topic=" + topic)
	}
	p.Send("PINGREQ")
	p.Expect("PINGRESP")
	// It is routed, and whoever can be told learns that it is not retained.
	p.Send("SUBSCRIBE id=10 f=r/+@0,rh2")
	p.Expect("SUBACK id=10 rcs=0x00")
	p.Send("PUBLISH topic=r/3 payload=live retain=1 qos=1 id=11")
	p.Expect("PUBACK id=11 rc=0x97 reason=yes")
	p.Expect("PUBLISH topic=r/3 payload=live qos=0")
	old := b.Client(mqtt.V311)
	old.Connect("cid=old")
	old.Send("PUBLISH topic=r/4 payload=live retain=1 qos=1 id=12")
	old.Expect("PUBACK id=12")
	p.Expect("PUBLISH topic=r/4 payload=live qos=0")
	c = b.Client(mqtt.V5)
	c.Connect("cid=c clean=0")
	c.Expect("PUBLISH topic=t payload=3 qos=1 id=3")
	c.Expect("PUBLISH topic=t payload=4 qos=1 id=4")
	if s := b.Stats(); s.Dropped != 2 || s.Retained != 1 || s.RetainedRefused != 3 {
		t.Errorf("dropped %d, retained %d, refused %d", s.Dropped, s.Retained, s.RetainedRefused)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	if _, err := broker.New(broker.Options{Listeners: []broker.ListenerOptions{{Name: "x"}}}); err == nil {
		t.Error("a listener that is not bound is accepted")
	}
	if _, err := broker.New(broker.Options{Limits: broker.Limits{Connections: -1}}); err == nil {
		t.Error("a negative limit is accepted")
	}
	b, err := broker.New(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Error(err)
	}
}
