//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/freeport"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Whatever is wrong upstream, local clients must not feel it: gateways with
// upstream servers that refuse, that accept and never answer, and that cannot
// be reached are compared with one whose server answers, in one run. One without
// a bridge would keep nothing, and a microsecond is not to be compared with.
func TestUpstreamTroubleStaysUpstream(t *testing.T) {
	answering, refusing := freeAddress(t), freeAddress(t)
	cloudAt(t, answering)
	lost := func(ctx context.Context, _ string) (net.Conn, error) { // no answer to SYN
		<-ctx.Done()
		return nil, ctx.Err()
	}
	cases := []struct {
		name, bridges string
		dial          func(context.Context, string) (net.Conn, error)
	}{
		{"answering", bridgeTo(answering), nil},
		{"refusing", bridgeTo(refusing), nil},
		{"black hole", bridgeTo(blackHole(t)), nil},
		{"unreachable", bridgeTo("127.0.0.1:1"), lost},
	}
	const rounds, perRound = 15, 100
	latency := make([][]time.Duration, len(cases))
	started := make([]time.Duration, len(cases))
	var pairs []*pair
	for i, c := range cases {
		begin := time.Now()
		_, g, _ := startGateway(t, "mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\n"+c.bridges, deps{dial: c.dial})
		pairs = append(pairs, newPair(t, g))
		pairs[i].roundTrip(t)
		started[i] = time.Since(begin)
	}
	for range rounds { // interleaved, so that a noisy moment hits all of them
		for i := range cases {
			for range perRound {
				latency[i] = append(latency[i], pairs[i].roundTrip(t))
			}
		}
	}
	base := median(latency[0])
	for i, c := range cases {
		got := median(latency[i])
		t.Logf("%-12s first delivery after start %8s, publish to deliver median %8s (%.2f of the first)",
			c.name, started[i].Round(time.Millisecond), got, float64(got)/float64(base))
		if got > 10*base {
			t.Errorf("%s: publish to deliver takes %s, with a server that answers %s", c.name, got, base)
		}
		if started[i] > 10*time.Second {
			t.Errorf("%s: the first local delivery took %s", c.name, started[i])
		}
	}
}

func bridgeTo(server string) string {
	return fmt.Sprintf("bridges: {cloud: {servers: [\"mqtt://%s\"], out: [{from: \"#\"}]}}\n", server)
}

// freeAddress is one where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	return freeport.Address(t)
}

// blackHole accepts connections and never answers.
func blackHole(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// pair is a publisher and a subscriber of one gateway.
type pair struct{ pub, sub *broker.Client }

func newPair(t *testing.T, g *gateway) *pair {
	t.Helper()
	attach := func(id string) *broker.Client {
		c, err := g.broker.Attach(broker.ClientOptions{ID: id, CleanStart: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	p := &pair{attach("pub"), attach("sub")}
	if err := p.sub.Subscribe(t.Context(), mqtt.Subscription{Filter: "ping", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) roundTrip(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := p.pub.Publish(t.Context(), mqtt.Message{Topic: "ping", Payload: []byte("x"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.sub.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	return time.Since(begin)
}

func median(d []time.Duration) time.Duration {
	s := slices.Clone(d)
	slices.Sort(s)
	return s[len(s)/2]
}
