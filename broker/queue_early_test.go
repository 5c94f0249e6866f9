package broker_test

import (
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// slow is an intake that a message stays in until it is let go.
type slow struct{ entered, leave chan struct{} }

func (s *slow) Admit(_ time.Time, m *mqtt.Message) (*mqtt.Message, uint64) {
	s.entered <- struct{}{}
	<-s.leave
	return m, 0
}

func (s *slow) Queued(uint64, bool) {}

// A destination may acknowledge a message while it is still on its way to
// others, and not recorded: a later process does not have it again.
func TestAcknowledgedBeforeTheRecord(t *testing.T) {
	dir := t.TempDir()
	start := func(in broker.Intake) (*brokertest.Broker, *broker.Queue) {
		b := brokertest.New(t, onDisk(dir))
		q, err := b.AttachQueue(broker.QueueOptions{Name: "quick", Filters: []mqtt.Subscription{{Filter: "#", QoS: 1}}})
		if err == nil && in != nil {
			_, err = b.AttachQueue(broker.QueueOptions{Name: "slow", Filters: []mqtt.Subscription{{Filter: "#", QoS: 1}}, Intake: in})
		}
		if err != nil {
			t.Fatal(err)
		}
		return b, q
	}
	others := &slow{make(chan struct{}), make(chan struct{}, 1)}
	b, q := start(others)
	c := attach(t, b, broker.ClientOptions{ID: "c"})
	published := make(chan error, 1)
	for _, payload := range []string{"one that is recorded", "two that are not", "when they are acknowledged"} {
		go func() {
			published <- c.Publish(t.Context(), mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: 1})
		}()
		<-others.entered
		first := q.Stats().Removed == 0 // waits for its record
		if first {
			others.leave <- struct{}{}
		}
		e, err := q.Next(t.Context())
		if err == nil {
			err = q.Acknowledged(t.Context(), e.Seq)
		}
		if err != nil || string(e.Message.Payload) != payload {
			t.Fatalf("%s, %v", e.Message.Payload, err)
		}
		if !first {
			others.leave <- struct{}{}
		}
		if err := <-published; err != nil {
			t.Fatal(err)
		}
	}
	b.Stop()
	b, q = start(nil)
	if s := q.Stats(); s.Messages != 0 {
		t.Errorf("%d acknowledged messages are there again", s.Messages)
	}
	b.Stop()
}
