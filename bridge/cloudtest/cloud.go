package cloudtest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Options of a Cloud. The zero value is a server without limits or journal.
type Options struct {
	Limits  Limits
	Faults  Faults
	Journal string // file; empty: all is lost with the process
}

// Cloud is one fake server.
type Cloud struct {
	limits  Limits
	journal *journal // nil: none
	conns   sync.WaitGroup

	mu struct {
		sync.Mutex
		faults     Faults
		sessions   map[string]*session
		open       map[*conn]bool
		count      int // connections ever
		got        []Message
		seen       []Message // refused and repeated ones included
		retained   map[string]mqtt.Message
		connects   []Connect
		violations []string
		throttled  int
		maxFlight  int
		closed     bool
	}
}

// New makes a server; the only error is one of the journal.
func New(o Options) (*Cloud, error) {
	c := &Cloud{limits: o.Limits}
	c.mu.faults = o.Faults
	c.mu.sessions, c.mu.open, c.mu.retained = map[string]*session{}, map[*conn]bool{}, map[string]mqtt.Message{}
	if o.Journal == "" {
		return c, nil
	}
	var err error
	c.journal, err = openJournal(o.Journal, c.replay)
	return c, err
}

// Dial connects through memory; it is an Options.Dial of a bridge.
func (c *Cloud) Dial(context.Context, string) (net.Conn, error) {
	client, server := net.Pipe()
	c.Attach(server)
	return client, nil
}

// Attach serves one connection until it ends; it returns at once.
func (c *Cloud) Attach(nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		_ = nc.Close()
		return
	}
	c.mu.count++
	n := newConn(c, nc, c.mu.count)
	c.mu.open[n] = true
	c.conns.Go(func() {
		n.serve()
		c.mu.Lock()
		delete(c.mu.open, n)
		c.mu.Unlock()
	})
}

// Serve accepts connections until ln is closed.
func (c *Cloud) Serve(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		c.Attach(nc)
	}
}

// Set switches faults.
func (c *Cloud) Set(change func(*Faults)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.mu.faults)
}

func (c *Cloud) faults() Faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.faults
}

// Down reports whether the server refuses connections, for a Dial that stands
// before it.
func (c *Cloud) Down() bool { return c.faults().Refuse }

// Kill closes all connections, as a crash of the server does.
func (c *Cloud) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.mu.open {
		_ = n.nc.Close()
	}
}

// Close ends the server and waits for its connections.
func (c *Cloud) Close() {
	c.mu.Lock()
	c.mu.closed = true
	c.mu.Unlock()
	c.Kill()
	c.conns.Wait()
	c.journal.close()
}

// Messages returns what was taken, in order.
func (c *Cloud) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mu.got)
}

// Payloads returns the payloads of what was taken, in order.
func (c *Cloud) Payloads() []string {
	var out []string
	for _, m := range c.Messages() {
		out = append(out, string(m.Payload))
	}
	return out
}

// Seen returns every PUBLISH that arrived, also those not taken.
func (c *Cloud) Seen() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mu.seen)
}

// Retained returns the retained message of a topic.
func (c *Cloud) Retained(name string) (mqtt.Message, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.mu.retained[name]
	return m, ok
}

// Connects returns every CONNECT that arrived.
func (c *Cloud) Connects() []Connect {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mu.connects)
}

// Violations returns what clients did that Limits do not allow.
func (c *Cloud) Violations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mu.violations)
}

// Throttled returns how often a client was over the rate of Limits.
func (c *Cloud) Throttled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.throttled
}

// MaxFlight returns the most PUBLISH packets that were unanswered at a time on
// one connection.
func (c *Cloud) MaxFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.maxFlight
}

// Held returns how many QoS 2 identifiers are taken and not released.
func (c *Cloud) Held(client string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.mu.sessions[client]; s != nil {
		return len(s.received)
	}
	return 0
}

// Filters returns a client's subscriptions.
func (c *Cloud) Filters(client string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	if s := c.mu.sessions[client]; s != nil {
		for _, f := range s.filters {
			out = append(out, f.Filter)
		}
	}
	return out
}

// Publish sends m to every client that has subscribed to it.
func (c *Cloud) Publish(m mqtt.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.route(m, "")
}

// route is called with the lock held.
func (c *Cloud) route(m mqtt.Message, from string) {
	if m.Retain {
		c.mu.retained[m.Topic] = m
		if len(m.Payload) == 0 {
			delete(c.mu.retained, m.Topic)
		}
	}
	for _, s := range c.mu.sessions {
		for _, f := range s.filters {
			if f.NoLocal && s.id == from || !topic.Match(f.Filter, m.Topic) {
				continue
			}
			copied := m
			copied.QoS, copied.Retain = min(m.QoS, f.QoS), m.Retain && f.RetainAsPublished
			s.queue(copied)
			break
		}
	}
}

// violate notes what a client may not do.
func (c *Cloud) violate(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.violations = append(c.mu.violations, fmt.Sprintf(format, args...))
}

// WaitFor polls until ok or the time is up, for tests with real sockets.
func WaitFor(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}
