package broker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// lastOf keeps the last message of each topic, in capitals, and nothing of
// topics that begin with "no".
type lastOf struct {
	seqs  map[string]uint64
	topic string
}

func (l *lastOf) Admit(_ time.Time, m *mqtt.Message) (*mqtt.Message, uint64) {
	if strings.HasPrefix(m.Topic, "no") {
		return nil, 0
	}
	k := *m
	k.Payload = []byte(strings.ToUpper(string(m.Payload)))
	l.topic = m.Topic
	return &k, l.seqs[m.Topic]
}

func (l *lastOf) Queued(seq uint64, _ bool) { l.seqs[l.topic] = seq }

func waiting(q *Queue) string {
	var all []string
	q.Each(0, func(e *mqtt.Queued) bool {
		all = append(all, e.Message.Topic+"="+string(e.Message.Payload))
		return true
	})
	return strings.Join(all, " ")
}

func TestIntakeDecidesWhatAQueueKeeps(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	open := func() (*Broker, *Queue, func()) {
		b, err := New(Options{Data: &Data{Dir: dir}})
		if err != nil {
			t.Fatal(err)
		}
		q, err := b.AttachQueue(QueueOptions{Name: "up", Filters: []mqtt.Subscription{{Filter: "#", QoS: 2}}, Intake: &lastOf{seqs: map[string]uint64{}}})
		if err != nil {
			t.Fatal(err)
		}
		run, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- b.Run(run) }()
		return b, q, func() { cancel(); <-done }
	}
	b, q, stop := open()
	c, err := b.Attach(ClientOptions{ID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a one", "b two", "no three", "a four"} {
		topic, payload, _ := strings.Cut(text, " ")
		if err := c.Publish(ctx, mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got := waiting(q); got != "b=TWO a=FOUR" {
		t.Errorf("waiting %q", got)
	}
	if s := q.Stats(); s.Accepted != 3 || s.Dropped != 1 || s.Messages != 2 {
		t.Errorf("stats %+v", s)
	}
	// What was handed out is not replaced.
	if e, ok, err := q.Take(ctx); !ok || err != nil || e.Message.Topic != "b" {
		t.Fatalf("Take: %v %v %v", e, ok, err)
	}
	if err := c.Publish(ctx, mqtt.Message{Topic: "b", Payload: []byte("five"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if seq, err := q.Put(ctx, mqtt.Message{Topic: "own", Payload: []byte("put"), QoS: 1}); seq == 0 || err != nil {
		t.Fatalf("Put: %d %v", seq, err)
	}
	const all = "b=TWO a=FOUR b=FIVE own=put"
	if got := waiting(q); got != all {
		t.Errorf("waiting %q, want %q", got, all)
	}
	stop()
	_, q, stop = open()
	defer stop()
	if got := waiting(q); got != all {
		t.Errorf("after a restart %q, want %q", got, all)
	}
}

func TestTakeDoesNotWait(t *testing.T) {
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := b.AttachQueue(QueueOptions{Name: "up"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := q.Take(t.Context()); ok || err != nil {
		t.Fatalf("an empty queue: %v %v", ok, err)
	}
	if _, err := q.Put(t.Context(), mqtt.Message{Topic: "a"}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-q.Ready():
	default:
		t.Error("Ready did not tell")
	}
	if e, ok, err := q.Take(t.Context()); !ok || err != nil || e.Message.Topic != "a" {
		t.Errorf("Take: %v %v %v", e, ok, err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.Take(t.Context()); err != ErrQueueClosed {
		t.Errorf("closed: %v", err)
	}
}

func TestRefreshQueuesWhatIsRetained(t *testing.T) {
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := b.AttachQueue(QueueOptions{Name: "up"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Attach(ClientOptions{ID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(t.Context(), mqtt.Message{Topic: "a", Payload: []byte("on"), QoS: 2, Retain: true}); err != nil {
		t.Fatal(err)
	}
	q.Refresh("a")
	q.Refresh("gone")
	for _, want := range []mqtt.Message{{Topic: "a", Payload: []byte("on"), QoS: 2}, {Topic: "gone", QoS: 1}} {
		e, ok, err := q.Take(t.Context())
		if m := e.Message; !ok || err != nil || m.Topic != want.Topic || string(m.Payload) != string(want.Payload) || m.QoS != want.QoS || !m.Retain {
			t.Errorf("got %+v %v %v, want %+v", m, ok, err, want)
		}
	}
}
