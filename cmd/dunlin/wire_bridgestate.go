package main

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
)

// bridgeSys tells below $SYS how a bridge is: on
// $SYS/broker/connection/{client id upstream}/state whether it is connected, 1
// or 0, where mosquitto tells it of its own, and on $SYS/dunlin/bridge/{name}/
// the rest. A value is published when it differs from the one before.
type bridgeSys struct {
	local      *broker.Client
	base       string // with the slash
	connection string
	next       func(bridge.Event)

	mu struct {
		sync.Mutex
		last map[string]string
	}
}

func newBridgeSys(local *broker.Client, name, clientID string, next func(bridge.Event)) *bridgeSys {
	s := &bridgeSys{
		local: local, base: "$SYS/dunlin/bridge/" + name + "/", next: next,
		connection: connectionTopic(clientID),
	}
	s.mu.last = map[string]string{}
	s.set(s.connection, "0")
	s.set(s.base+"state", string(bridge.Starting))
	return s
}

// set publishes text if it is new. It waits for nothing: $SYS is not recorded.
func (s *bridgeSys) set(topic, text string) {
	s.mu.Lock()
	old, had := s.mu.last[topic]
	s.mu.last[topic] = text
	s.mu.Unlock()
	if had && old == text {
		return
	}
	m := mqtt.Message{Topic: topic, Payload: []byte(text), Retain: true}
	s.local.Publish(context.Background(), m) // fails only when all ends
}

// event hears of the bridge's changes.
func (s *bridgeSys) event(e bridge.Event) {
	switch e.Kind {
	case bridge.EventUp:
		s.set(s.connection, "1")
		s.set(s.base+"state", string(bridge.Up))
		s.set(s.base+"error", "none")
	case bridge.EventDown:
		s.set(s.connection, "0")
		s.set(s.base+"state", string(bridge.Down))
		s.set(s.base+"error", string(e.Class)+": "+e.Reason)
	}
	if s.next != nil {
		s.next(e)
	}
}

// ended tells that the bridge has gone.
func (s *bridgeSys) ended() {
	s.set(s.connection, "0")
	s.set(s.base+"state", string(bridge.Down))
}

// forgetBridgeSys takes back what a bridge that is gone has told. Another one with
// its Client Identifier, at another server, tells of that again.
func forgetBridgeSys(b *broker.Broker, name, clientID string, others []config.Bridge) error {
	c, err := b.Attach(broker.ClientOptions{ID: bridge.LocalID(name), CleanStart: true})
	if err != nil {
		return err
	}
	defer c.Close() // a clean end of an in-process session cannot fail
	filters := []string{"$SYS/dunlin/bridge/" + name + "/#"}
	if !slices.ContainsFunc(others, func(o config.Bridge) bool { return o.ClientID == clientID }) {
		filters = append(filters, connectionTopic(clientID))
	}
	for _, f := range filters {
		told, err := b.Retained(f)
		if err != nil {
			return err
		}
		for _, m := range told {
			if err := c.Publish(context.Background(), mqtt.Message{Topic: m.Topic, Retain: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// connectionTopic tells whether a bridge with that Client Identifier is connected.
func connectionTopic(clientID string) string {
	return "$SYS/broker/connection/" + broker.TopicLevel(clientID) + "/state"
}

// run publishes the numbers every interval of the wall clock, until ctx ends.
func (s *bridgeSys) run(ctx context.Context, b *bridge.Bridge, interval time.Duration) {
	for {
		now := time.Now()
		t := time.NewTimer(now.Truncate(interval).Add(interval).Sub(now.Round(0)))
		select {
		case <-t.C:
			s.publish(b.Stats())
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

func (s *bridgeSys) publish(b bridge.Stats) {
	fault := "none"
	if b.Class != "" {
		fault = string(b.Class) + ": " + b.Reason
	}
	s.set(s.base+"state", string(b.State))
	s.set(s.base+"error", fault)
	for _, v := range []struct {
		name string
		n    uint64
	}{
		{"spool/messages", uint64(b.Queue.Messages)}, {"spool/bytes", uint64(b.Queue.Bytes)},
		{"spool/oldest_seconds", uint64(b.Queue.Oldest / time.Second)}, {"spool/in_flight", uint64(b.InFlight)},
		{"spool/drain_seconds", uint64(b.Drain / time.Second)},
		{"accepted", b.Queue.Accepted}, {"acknowledged", b.Queue.Removed}, {"dropped", b.Queue.Dropped}, {"dead", b.Dead}, {"received", b.Received},
		{"ack_age_seconds", uint64(b.AckAge / time.Second)}, {"rtt_ms", uint64(b.RTT / time.Millisecond)},
		{"connects", b.Connects}, {"attempts", b.Attempts},
	} {
		s.set(s.base+v.name, strconv.FormatUint(v.n, 10))
	}
	for reason, n := range b.Queue.Drops {
		if n > 0 {
			s.set(s.base+"dropped/"+mqtt.DropReason(reason).String(), strconv.FormatUint(n, 10))
		}
	}
}
