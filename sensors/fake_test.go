package sensors_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

const base = "dunlin/barn"

// entry is one message as the broker routed it, with the time since the
// start.
type entry struct {
	at time.Duration
	mqtt.Message
}

// fakeBroker keeps what was published, in order, and fires wills as a broker
// does: after their delay, unless the same Client Identifier attaches before.
type fakeBroker struct {
	mu       sync.Mutex
	start    time.Time
	log      []entry
	sessions map[string]*fakeSession
	wills    map[string]*time.Timer
	refuse   error // what Publish answers
	stall    bool  // Publish blocks until its context ends
	before   func(m *mqtt.Message) error
}

func newFakeBroker() *fakeBroker {
	return &fakeBroker{start: time.Now(), sessions: map[string]*fakeSession{}, wills: map[string]*time.Timer{}}
}

func (b *fakeBroker) attach(id string, will *mqtt.Will, news func()) (sensors.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.wills[id]; t != nil {
		t.Stop()
	}
	if news == nil {
		news = func() {}
	}
	s := &fakeSession{broker: b, id: id, will: will, news: news, inbox: make(chan mqtt.Message, 16), gone: make(chan struct{})}
	b.sessions[id] = s
	return s, nil
}

func (b *fakeBroker) route(m mqtt.Message) {
	b.log = append(b.log, entry{time.Since(b.start), m})
}

// all returns the log as "topic=payload" below base.
func (b *fakeBroker) all() (lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.log {
		lines = append(lines, strings.TrimPrefix(e.Topic, base+"/")+"="+string(e.Payload))
	}
	return lines
}

// on returns the messages of one topic below base.
func (b *fakeBroker) on(topic string) (found []entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.log {
		if e.Topic == base+"/"+topic {
			found = append(found, e)
		}
	}
	return found
}

// last is the newest payload of a topic below base, "" when there is none.
func (b *fakeBroker) last(topic string) string {
	found := b.on(topic)
	if len(found) == 0 {
		return ""
	}
	return string(found[len(found)-1].Payload)
}

// send delivers a message to a session.
func (b *fakeBroker) send(id string, m mqtt.Message) {
	b.mu.Lock()
	s := b.sessions[id]
	b.mu.Unlock()
	s.inbox <- m
	s.news()
}

// kick ends a session as an administrator does.
func (b *fakeBroker) kick(id string) {
	b.mu.Lock()
	s := b.sessions[id]
	b.mu.Unlock()
	s.end(func() { s.fire(s.will.Delay) })
}

type fakeSession struct {
	broker *fakeBroker
	id     string
	will   *mqtt.Will
	subs   []mqtt.Subscription
	inbox  chan mqtt.Message
	gone   chan struct{}
	news   func()
	ended  bool
}

var errEnded = errors.New("session has ended")

func (s *fakeSession) Publish(ctx context.Context, m mqtt.Message) error {
	s.broker.mu.Lock()
	stall := s.broker.stall
	s.broker.mu.Unlock()
	if stall {
		<-ctx.Done()
		return ctx.Err()
	}
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	switch {
	case s.ended:
		return errEnded
	case s.broker.refuse != nil:
		return s.broker.refuse
	case s.broker.before != nil:
		if err := s.broker.before(&m); err != nil {
			return err
		}
	}
	m.Publisher = s.id
	s.broker.route(m)
	return nil
}

func (s *fakeSession) Subscribe(_ context.Context, subs ...mqtt.Subscription) error {
	s.subs = append(s.subs, subs...)
	return nil
}

func (s *fakeSession) Next(ctx context.Context) (mqtt.Message, error) {
	select {
	case m := <-s.inbox:
		return m, nil
	case <-s.gone:
		return mqtt.Message{}, errEnded
	default:
	}
	select {
	case m := <-s.inbox:
		return m, nil
	case <-s.gone:
		return mqtt.Message{}, errEnded
	case <-ctx.Done():
		return mqtt.Message{}, ctx.Err()
	}
}

func (s *fakeSession) end(then func()) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.gone)
		s.news()
		then()
	}
}

func (s *fakeSession) fire(delay time.Duration) {
	if s.will == nil {
		return
	}
	if delay == 0 {
		s.broker.route(s.will.Message)
		return
	}
	s.broker.wills[s.id] = time.AfterFunc(delay, func() {
		s.broker.mu.Lock()
		defer s.broker.mu.Unlock()
		s.broker.route(s.will.Message)
	})
}

func (s *fakeSession) Abort() error {
	s.end(func() { s.fire(s.will.Delay) })
	return nil
}

func (s *fakeSession) DisconnectWithWill() error {
	s.end(func() { s.fire(0) })
	return nil
}

// fakeDriver reads what its function returns.
type fakeDriver struct {
	open    func(n int) error
	read    func(ctx context.Context, n int) ([]sensors.Reading, error)
	mu      sync.Mutex
	opens   int
	reads   int
	closes  int
	reading int // Reads on their way
	overlap bool
}

func (d *fakeDriver) Open(context.Context, sensors.Buses) error {
	d.mu.Lock()
	d.opens++
	n := d.opens
	d.mu.Unlock()
	if d.open == nil {
		return nil
	}
	return d.open(n)
}

func (d *fakeDriver) Read(ctx context.Context) ([]sensors.Reading, error) {
	d.mu.Lock()
	d.reads++
	n := d.reads
	d.reading++
	d.overlap = d.overlap || d.reading > 1
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.reading--
		d.mu.Unlock()
	}()
	return d.read(ctx, n)
}

func (d *fakeDriver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closes++
	return nil
}

func (d *fakeDriver) counts() (opens, reads, closes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opens, d.reads, d.closes
}

// one is a reading of the entity "t".
func one(v any) ([]sensors.Reading, error) {
	return []sensors.Reading{{Entity: "t", Value: v}}, nil
}

func fault(r sensors.Reason) error { return &sensors.Fault{Reason: r, Err: fmt.Errorf("as told")} }

// run starts a manager in the bubble; the returned function ends it cleanly.
func run(t *testing.T, b *fakeBroker, devices ...sensors.Device) (m *sensors.Manager, stop func()) {
	t.Helper()
	m, err := sensors.New(sensors.Options{
		Devices: devices, Attach: b.attach, Base: base, ClockSynced: func() bool { return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return m, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// bubble runs f in time that costs nothing.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// after lets d pass and everything that follows from it happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantLog compares the broker's log with lines; a line that ends in "*" is a
// prefix.
func wantLog(t *testing.T, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		prefix, wild := strings.CutSuffix(want[i], "*")
		ok = got[i] == want[i] || wild && strings.HasPrefix(got[i], prefix)
	}
	if !ok {
		t.Errorf("published\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
