package broker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// step names a part of a test in a bubble, where there are no subtests.
func step(t *testing.T, about string, f func(t *testing.T)) {
	t.Helper()
	t.Log(about)
	f(t)
}

func attach(t *testing.T, b *brokertest.Broker, o broker.ClientOptions) *broker.Client {
	t.Helper()
	c, err := b.Attach(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func publish(t *testing.T, c *broker.Client, m mqtt.Message) {
	t.Helper()
	if err := c.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, c *broker.Client) mqtt.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	m, err := c.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t)
		a := attach(t, b, broker.ClientOptions{ID: "a", SessionExpiry: time.Hour})
		if err := a.Subscribe(t.Context(), mqtt.Subscription{Filter: "t/#", QoS: 2}); err != nil {
			t.Fatal(err)
		}
		n := b.Client(mqtt.V311)
		n.Connect("cid=n")
		for _, line := range []string{"PUBLISH topic=t/1 payload=1", "PUBLISH topic=t/2 payload=2 qos=1 id=1", "PUBLISH topic=t/3 payload=3 qos=2 id=2"} {
			n.Send(line)
		}
		n.Expect("PUBACK id=1")
		n.Expect("PUBREC id=2")
		for qos, want := range []string{"1", "2", "3"} {
			if m := next(t, a); string(m.Payload) != want || m.QoS != mqtt.QoS(qos) || m.Publisher != "n" {
				t.Errorf("Next = %q QoS %d of %s, want %q QoS %d", m.Payload, m.QoS, m.Publisher, want, qos)
			}
		}

		step(t, "what Next was not called after waits in the session", func(t *testing.T) {
			a.Close()
			if _, err := a.Next(t.Context()); err == nil {
				t.Error("Next after Close gives no error")
			}
			a = attach(t, b, broker.ClientOptions{ID: "a", SessionExpiry: time.Hour})
			if m := next(t, a); string(m.Payload) != "3" {
				t.Errorf("Next = %q, want 3 again", m.Payload)
			}
		})
		step(t, "what it was called after is done, of QoS 2 too", func(t *testing.T) {
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			for range 2 {
				if m, err := a.Next(ended); err == nil {
					t.Errorf("Next = %q", m.Payload)
				}
				a.Close()
				a = attach(t, b, broker.ClientOptions{ID: "a", SessionExpiry: time.Hour})
			}
			if s := b.Stats(); s.Waiting != 0 {
				t.Errorf("%d messages wait", s.Waiting)
			}
		})
		step(t, "a network client cannot take its identifier", func(t *testing.T) {
			x := b.Client(mqtt.V5)
			x.Send("CONNECT cid=a")
			x.Expect("CONNACK sp=0 rc=0x85 reason=yes")
			x.ExpectClosed()
		})
		step(t, "a second Attach takes over", func(t *testing.T) {
			second := attach(t, b, broker.ClientOptions{ID: "a", SessionExpiry: time.Hour})
			var e *mqtt.Error
			if err := a.Publish(t.Context(), mqtt.Message{Topic: "x"}); !errors.As(err, &e) || e.Code != mqtt.SessionTakenOver {
				t.Errorf("Publish of the first = %v, want 0x8E", err)
			}
			second.Close()
		})
		step(t, "a message that cannot be sent is refused", func(t *testing.T) {
			c := attach(t, b, broker.ClientOptions{ID: "c"})
			for _, topic := range []string{"", "a/+", "a\x00"} {
				if err := c.Publish(t.Context(), mqtt.Message{Topic: topic}); err == nil {
					t.Errorf("topic %q is accepted", topic)
				}
			}
			publish(t, c, mqtt.Message{Topic: "$SYS/x", Payload: []byte("1"), Retain: true})
		})
		step(t, "PublishAll publishes in order, up to what is refused", func(t *testing.T) {
			c := attach(t, b, broker.ClientOptions{ID: "c"})
			if err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: "all/#", QoS: 1}); err != nil {
				t.Fatal(err)
			}
			all := []mqtt.Message{{Topic: "all/1", QoS: 1}, {Topic: "all/2"}, {Topic: "all/+"}, {Topic: "all/3", QoS: 1}}
			if err := c.PublishAll(t.Context(), all); err == nil {
				t.Error("a wildcard is accepted")
			}
			if err := c.PublishAll(t.Context(), all[3:]); err != nil {
				t.Error(err)
			}
			for _, want := range []string{"all/1", "all/2", "all/3"} {
				if m := next(t, c); m.Topic != want {
					t.Errorf("%s, want %s", m.Topic, want)
				}
			}
		})
	})
}

func TestClientWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t)
		w := attach(t, b, broker.ClientOptions{ID: "watch"})
		if err := w.Subscribe(t.Context(), mqtt.Subscription{Filter: "status"}); err != nil {
			t.Fatal(err)
		}
		will := &mqtt.Will{Message: mqtt.Message{Topic: "status", Payload: []byte("offline"), Retain: true}, Delay: 5 * time.Second}
		options := broker.ClientOptions{ID: "dev", SessionExpiry: time.Hour, Will: will}
		silent := func(t *testing.T, d time.Duration) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			if m, err := w.Next(ctx); err == nil {
				t.Fatalf("received %q", m.Payload)
			}
		}
		step(t, "MQTT-3.1.3-9 Abort and back inside the delay", func(t *testing.T) {
			attach(t, b, options).Abort()
			silent(t, 4*time.Second)
			d := attach(t, b, options)
			silent(t, time.Minute)
			d.Close()
		})
		step(t, "Close discards it", func(t *testing.T) {
			attach(t, b, options).Close()
			silent(t, time.Minute)
		})
		step(t, "Abort publishes it after the delay", func(t *testing.T) {
			attach(t, b, options).Abort()
			start := time.Now()
			if m, err := w.Next(t.Context()); err != nil || string(m.Payload) != "offline" || time.Since(start) != 5*time.Second {
				t.Errorf("Next = %q, %v after %v", m.Payload, err, time.Since(start))
			}
		})
		step(t, "DisconnectWithWill publishes it at once", func(t *testing.T) {
			start := time.Now()
			attach(t, b, options).DisconnectWithWill()
			if m := next(t, w); string(m.Payload) != "offline" || time.Since(start) != 0 {
				t.Errorf("Next = %q after %v", m.Payload, time.Since(start))
			}
		})
	})
}

func TestRunEndPublishesWillsAndEndsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t)
		q, err := b.AttachQueue(broker.QueueOptions{Name: "q", Filters: []mqtt.Subscription{{Filter: "#", QoS: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		c := b.Client(mqtt.V5)
		c.Connect("cid=c will=w:gone")
		l := attach(t, b, broker.ClientOptions{ID: "l"})
		b.Stop()
		c.Expect("DISCONNECT rc=0x8b reason=yes")
		c.ExpectClosed()
		if err := l.Publish(t.Context(), mqtt.Message{Topic: "x"}); err == nil {
			t.Error("an in-process client outlives Run")
		}
		if s := q.Stats(); s.Accepted != 1 {
			t.Errorf("the will was queued %d times", s.Accepted)
		}
		if _, err := q.Next(t.Context()); !errors.Is(err, broker.ErrQueueClosed) {
			t.Errorf("Next = %v", err)
		}
		if _, err := b.Attach(broker.ClientOptions{ID: "late"}); err == nil {
			t.Error("Attach after Run succeeds")
		}
	})
}
