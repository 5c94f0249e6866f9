package broker_test

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// ports are two listeners in memory beside brokertest's own.
type ports struct {
	*testing.T
	*brokertest.Broker
	first, second *listen.Memory
}

func newPorts(t *testing.T) *ports {
	p := &ports{T: t, first: listen.NewMemory(), second: listen.NewMemory()}
	p.Broker = brokertest.New(t, func(o *broker.Options) {
		o.Listeners = []broker.ListenerOptions{{Name: "first", Listener: p.first}, {Name: "second", Listener: p.second}}
	})
	synctest.Wait()
	return p
}

func (p *ports) connect(m *listen.Memory, id string) *brokertest.Client {
	p.Helper()
	nc, err := m.Dial()
	if err != nil {
		p.Fatal(err)
	}
	c := brokertest.NewClient(p, nc, mqtt.V5)
	c.Connect("cid=" + id)
	return c
}

func (p *ports) relisten(o broker.Options) {
	p.Helper()
	if err := p.Relisten(o); err != nil {
		p.Fatal(err)
	}
	synctest.Wait()
}

// served asks for an answer.
func served(c *brokertest.Client) {
	c.Send("PINGREQ")
	c.Expect("PINGRESP")
}

func TestRelistenTouchesOnlyWhatIsDifferent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(t)
		a, b := p.connect(p.first, "a"), p.connect(p.second, "b")
		b.Send("SUBSCRIBE id=1 f=#@0")
		b.Expect("SUBACK id=1 rcs=0x00")

		third := listen.NewMemory()
		p.relisten(broker.Options{Listeners: []broker.ListenerOptions{
			{Name: "third", Listener: third}, {Name: "second", Listener: p.second}, {Name: "first", Listener: p.first, TopicPrefix: "one/", Renewed: true},
		}})
		a.Expect("DISCONNECT rc=0x98 ...")
		a.ExpectClosed()
		served(b)
		p.connect(p.first, "a").Send("PUBLISH topic=x payload=1 qos=0")
		b.Expect("PUBLISH topic=one/x payload=1 qos=0 ...")
		c := p.connect(third, "c")

		p.relisten(broker.Options{Listeners: []broker.ListenerOptions{{Name: "second", Listener: p.second}}})
		c.Expect("DISCONNECT rc=0x98 ...")
		if _, err := third.Dial(); err == nil {
			t.Error("a listener that was taken out accepts")
		}
		served(b)
		all := p.Listeners()
		if len(all) != 1 || all[0].Name != "second" || all[0].Accepted != 1 || all[0].Connections != 1 {
			t.Errorf("the counters of what stayed began anew: %+v", all)
		}
	})
}

func TestRelistenLimitsNewConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(t)
		a, b := p.connect(p.first, "a"), p.connect(p.second, "b")
		all := []broker.ListenerOptions{{Name: "first", Listener: p.first}, {Name: "second", Listener: p.second}}
		features := broker.AllFeatures()
		features.Retain = false
		limits := broker.Limits{Connections: 3, TopicLevels: 2}
		p.relisten(broker.Options{Listeners: all, Limits: limits, Features: &features})
		for _, c := range []*brokertest.Client{a, b} { // by what they were told
			c.Send("PUBLISH topic=1/2/3 payload=1 qos=1 id=1 retain")
			c.Expect("PUBACK id=1 rc=0x10")
		}
		c := p.connect(p.first, "c")
		c.Send("PUBLISH topic=1/2/3 payload=1 qos=1 id=1")
		c.Expect("PUBACK id=1 rc=0x90 ...")
		nc, err := p.second.Dial()
		if err != nil {
			t.Fatal(err)
		}
		brokertest.NewClient(t, nc, mqtt.V5).ExpectClosed() // the fourth
		all[0].Limits = &broker.Limits{Connections: 1}
		p.relisten(broker.Options{Listeners: all})
		served(a)
		served(c)
		p.connect(p.second, "d")
	})
}

func TestRelistenRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(t)
		a := p.connect(p.first, "a")
		good := broker.ListenerOptions{Name: "first", Listener: p.first}
		for name, o := range map[string]broker.Options{
			"not bound":        {Listeners: []broker.ListenerOptions{{Name: "x"}}},
			"topic prefix":     {Listeners: []broker.ListenerOptions{{Name: "first", Listener: p.first, TopicPrefix: "#"}}},
			"limit":            {Listeners: []broker.ListenerOptions{good}, Limits: broker.Limits{Connections: -1}},
			"an Authenticator": {Listeners: []broker.ListenerOptions{{Name: "first", Listener: p.first, Auth: &brokertest.Auth{}}}},
		} {
			if err := p.Relisten(o); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
		served(a)
		p.connect(p.second, "b")
		p.Stop()
		if err := p.Relisten(broker.Options{Listeners: []broker.ListenerOptions{good}}); err == nil {
			t.Error("listeners are exchanged after the end")
		}
	})
}

// Rights that change reach the connections of listeners that were replaced.
func TestRelistenKeepsRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := &brokertest.Auth{}
		granted := true
		auth.May = func(*broker.Access) broker.Decision {
			if granted {
				return broker.Decision{MaxQoS: mqtt.ExactlyOnce}
			}
			return broker.Decision{Code: mqtt.NotAuthorized}
		}
		var socket net.Listener
		b := brokertest.New(t, func(o *broker.Options) {
			o.Auth = auth
			o.Listeners[0].TopicPrefix = "p/"
			socket = o.Listeners[0].Listener
		})
		c := b.Client(mqtt.V5)
		c.Connect("cid=c")
		c.Send("SUBSCRIBE id=1 f=a@0")
		c.Expect("SUBACK id=1 rcs=0x00")
		for range 3 {
			if err := b.Relisten(broker.Options{Listeners: []broker.ListenerOptions{{Name: "memory", Listener: socket}}}); err != nil {
				t.Fatal(err)
			}
		}
		c.Send("PUBLISH topic=a payload=1 qos=0")
		c.Expect("PUBLISH topic=a payload=1 qos=0 ...")
		granted = false
		auth.Change()
		b.RightsChanged()
		c.Send("PUBLISH topic=a payload=1 qos=1 id=2")
		c.Expect("PUBACK id=2 rc=0x87 ...")
	})
}

// A listener that was taken away before it accepted anything ended the program.
func TestRelistenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(t)
		for range 100 {
			for _, more := range [][]broker.ListenerOptions{{{Name: "third", Listener: listen.NewMemory()}}, nil} {
				if err := p.Relisten(broker.Options{Listeners: append(more, broker.ListenerOptions{Name: "first", Listener: p.first})}); err != nil {
					t.Fatal(err)
				}
			}
		}
		served(p.connect(p.first, "a"))
	})
}
