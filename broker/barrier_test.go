package broker_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// slowStore is durable when the test says so.
type slowStore struct {
	mu      sync.Mutex
	last    uint64
	durable uint64
	err     error
	waiting []func()
	hold    bool
	kinds   []store.Kind
	gate    chan struct{} // if set, the end of a session is not appended before it is closed
}

func (s *slowStore) Append(r store.Record) uint64 {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if r.Kind == store.SessionEnded && gate != nil {
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.kinds = append(s.kinds, r.Kind)
	if !s.hold {
		s.durable = s.last
	}
	return s.last
}

func (s *slowStore) Commit() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *slowStore) Status(sequence uint64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence <= s.durable {
		return true, nil
	}
	return false, s.err
}

func (s *slowStore) Pressed() bool { return false }

func (s *slowStore) Refuses(string) bool { return false }

func (s *slowStore) Notify(sequence uint64, f func()) {
	s.mu.Lock()
	if s.durable < sequence && s.err == nil {
		s.waiting = append(s.waiting, f)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	f()
}

func (s *slowStore) set(hold bool, err error) {
	s.mu.Lock()
	s.hold, s.err = hold, err
	if !hold && err == nil {
		s.durable = s.last
	}
	wake := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, f := range wake {
		f()
	}
}

// bubble runs f with a broker on a slow store and a persistent subscriber of
// "t" that is offline, so that every QoS 1 message to it needs the store.
func bubble(t *testing.T, f func(t *testing.T, b *brokertest.Broker, s *slowStore)) {
	synctest.Test(t, func(t *testing.T) {
		s := new(slowStore)
		b := brokertest.New(t, func(o *broker.Options) { o.Store = s })
		c := b.Client(mqtt.V5)
		c.Connect("cid=keeper se=3600")
		c.Send("SUBSCRIBE id=1 f=t@2")
		c.Expect("SUBACK id=1 rcs=0x02")
		c.Close()
		synctest.Wait()
		f(t, b, s)
	})
}

func quiet(t *testing.T, c *brokertest.Client) {
	t.Helper()
	synctest.Wait()
	if got := c.Pending(); got != "" {
		t.Fatalf("received %s before the store was durable", got)
	}
}

func TestNoAcknowledgementBeforeTheStoreIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T, b *brokertest.Broker, s *slowStore) {
		p := b.Client(mqtt.V5)
		p.Connect("cid=p")
		s.set(true, nil)
		p.Send("PUBLISH topic=t payload=1 qos=1 id=1")
		p.Send("PUBLISH topic=t payload=2 qos=2 id=2")
		quiet(t, p)
		step(t, "PINGREQ does not wait behind them", func(t *testing.T) {
			p.Send("PINGREQ")
			p.Expect("PINGRESP")
		})
		step(t, "MQTT-4.6.0-2 what needs no record stays in order behind what does", func(t *testing.T) {
			p.Send("PUBLISH topic=nobody payload=3 qos=1 id=3")
			quiet(t, p)
		})
		step(t, "others are not held up", func(t *testing.T) {
			c := b.Client(mqtt.V311)
			c.Connect("cid=c")
			c.Send("SUBSCRIBE id=1 f=live@0")
			c.Expect("SUBACK id=1 rcs=0x00")
			synctest.Wait() // a writer at work may take a message before its acknowledgement
			c.Send("PUBLISH topic=live payload=x qos=1 id=9")
			c.Expect("PUBACK id=9")
			c.Expect("PUBLISH topic=live payload=x qos=0")
			p.Send("PUBLISH topic=live payload=y")
			c.Expect("PUBLISH topic=live payload=y qos=0")
		})
		time.Sleep(time.Minute)
		quiet(t, p)
		s.set(false, nil)
		p.Expect("PUBACK id=1")
		p.Expect("PUBREC id=2")
		p.Expect("PUBACK id=3 rc=0x10")
	})
}

// A client that sends many QoS 1 messages at once is read no further than its
// Receive Maximum while the store is behind.
func TestQoS1BeyondReceiveMaximumWaits(t *testing.T) {
	bubble(t, func(t *testing.T, b *brokertest.Broker, s *slowStore) {
		p := b.Client(mqtt.V5)
		p.Connect("cid=p")
		s.set(true, nil)
		before := len(s.kinds)
		var burst []byte
		for id := range 50 {
			burst = append(burst, 0x32, 6, 0, 1, 't', 0, byte(id+1), 0)
		}
		p.SendBytes(burst)
		quiet(t, p)
		step(t, "MQTT-3.3.4-7 no more are taken than may be in flight", func(t *testing.T) {
			if n := len(s.kinds) - before; n != 20 {
				t.Errorf("%d messages were taken", n)
			}
		})
		s.set(false, nil)
		for id := range 50 {
			p.Expect("PUBACK id=" + strconv.Itoa(id+1))
		}
	})
}

func TestSessionIsDurableBeforeConnackAndSuback(t *testing.T) {
	bubble(t, func(t *testing.T, b *brokertest.Broker, s *slowStore) {
		s.set(true, nil)
		c := b.Client(mqtt.V5)
		c.Send("CONNECT cid=new se=60")
		quiet(t, c)
		c.Send("SUBSCRIBE id=1 f=x@0")
		quiet(t, c)
		s.set(false, nil)
		c.Expect("CONNACK sp=0 rc=0x00 ...")
		c.Expect("SUBACK id=1 rcs=0x00")
		s.set(true, nil)
		c.Send("PUBREL id=5")
		c.Expect("PUBCOMP id=5 rc=0x92")
		c.Send("SUBSCRIBE id=2 f=y@0")
		quiet(t, c)
		s.set(false, nil)
		c.Expect("SUBACK id=2 rcs=0x00")
	})
}

func TestAFailedCommitIsNeverAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, b *brokertest.Broker, s *slowStore) {
		p := b.Client(mqtt.V5)
		p.Connect("cid=p")
		local, err := b.Attach(broker.ClientOptions{ID: "local"})
		if err != nil {
			t.Fatal(err)
		}
		s.set(true, nil)
		failed := make(chan error, 1)
		go func() {
			failed <- local.Publish(context.Background(), mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
		}()
		p.Send("PUBLISH topic=t payload=1 qos=1 id=1")
		quiet(t, p)
		s.set(true, errors.New("input/output error"))
		step(t, "MQTT-4.13.2-1 MQTT311-4.8.0-2 the connection ends", func(*testing.T) {
			p.Expect("DISCONNECT rc=0x83 reason=yes")
			p.ExpectClosed()
		})
		var e *mqtt.Error
		if err := <-failed; !errors.As(err, &e) || e.Code != mqtt.ImplementationSpecificError {
			t.Errorf("Publish = %v, want an *mqtt.Error 0x83", err)
		}
	})
}

func TestClientPublishWaitsForTheStore(t *testing.T) {
	bubble(t, func(t *testing.T, b *brokertest.Broker, s *slowStore) {
		c, err := b.Attach(broker.ClientOptions{ID: "local"})
		if err != nil {
			t.Fatal(err)
		}
		s.set(true, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = c.Publish(ctx, mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish = %v, want the deadline", err)
		}
		done := make(chan error, 1)
		go func() {
			done <- c.Publish(context.Background(), mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
		}()
		synctest.Wait()
		if len(done) != 0 {
			t.Fatal("Publish returned before the store was durable")
		}
		s.set(false, nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTheEndOfAKeptSessionIsRecorded(t *testing.T) {
	bubble(t, func(t *testing.T, b *brokertest.Broker, s *slowStore) {
		c := b.Client(mqtt.V5)
		c.Connect("cid=keeper clean=0 se=60")
		c.Send("DISCONNECT se=0")
		c.ExpectClosed()
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if last := s.kinds[len(s.kinds)-1]; last != store.SessionEnded {
			t.Errorf("the last record is of kind %d, want SessionEnded", last)
		}
	})
}

// A session that began under the name of one whose end was not yet recorded was
// lost with it at the next start.
func TestTheEndOfASessionIsRecordedBeforeTheNextBegins(t *testing.T) {
	for name, end := range map[string]func(*brokertest.Broker){
		"its client ends it":         func(b *brokertest.Broker) { resumed(b).Send("DISCONNECT se=0") },
		"its expiry interval passes": func(*brokertest.Broker) { time.Sleep(time.Hour) },
		"it is dropped":              func(b *brokertest.Broker) { go b.EndSession(context.Background(), "keeper") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *brokertest.Broker, s *slowStore) {
				gate := make(chan struct{})
				s.mu.Lock()
				s.gate = gate
				s.mu.Unlock()
				end(b)
				synctest.Wait()
				c := b.Client(mqtt.V5)
				c.Send("CONNECT cid=keeper clean=0 se=60")
				synctest.Wait()
				close(gate)
				c.Expect("CONNACK sp=0 rc=0x00 ...")
				s.mu.Lock()
				defer s.mu.Unlock()
				if last := s.kinds[len(s.kinds)-2:]; !slices.Equal(last, []store.Kind{store.SessionEnded, store.SessionKept}) {
					t.Errorf("the last records are of kinds %d, want SessionEnded, SessionKept", last)
				}
			})
		})
	}
}

func resumed(b *brokertest.Broker) *brokertest.Client {
	c := b.Client(mqtt.V5)
	c.Connect("cid=keeper clean=0 se=60")
	return c
}
