package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A retained message that waits for sessions as well is in the account of memory
// once: as retained while it is, then as a message, then not at all.
func TestRetainedMessagesAreCountedOnce(t *testing.T) {
	const n, size = 100, 1000
	held := func(b *brokertest.Broker) (retained, messages int64) {
		for _, c := range b.Stats().Memory.By {
			switch c.Name {
			case "retained":
				retained = c.Bytes
			case "messages":
				messages = c.Bytes
			}
		}
		return retained, messages
	}
	for _, tc := range []struct {
		name                                         string
		between                                      string // what ends first
		retained, messages, retainedAfter, waitAfter int64
	}{
		{"the retained messages go first", "retained", n * size, 0, 0, n * size},
		{"the session goes first", "session", n * size, 0, n * size, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := brokertest.New(t, func(o *broker.Options) { o.Limits.QueueMessages = 1000 })
			r0, m0 := held(b)
			about := func(when string, retained, messages int64) {
				t.Helper()
				const beside = n * 500
				for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // some is booked a little later
					r, m := held(b)
					r, m = r-r0, m-m0
					if r >= retained && r <= retained+beside && m >= messages && m <= messages+beside {
						return
					}
					if time.Now().After(deadline) {
						t.Fatalf("%s: %d of retained messages, want %d; %d of messages, want %d", when, r, retained, m, messages)
					}
				}
			}
			p := heldClient(t, b, "p")
			away, err := b.Attach(broker.ClientOptions{ID: "away"})
			if err != nil {
				t.Fatal(err)
			}
			heldSubscription(t, away, "r/#")
			publish := func(size int) {
				for i := range n {
					m := mqtt.Message{Topic: fmt.Sprint("r/", i), Payload: make([]byte, size), Retain: true, QoS: mqtt.AtLeastOnce}
					if err := p.Publish(context.Background(), m); err != nil {
						t.Fatal(err)
					}
				}
			}
			publish(size)
			about("both", tc.retained, tc.messages)
			if tc.between == "retained" {
				publish(0)
			} else {
				away.Close()
			}
			about("one", tc.retainedAfter, tc.waitAfter)
			if tc.between == "retained" {
				away.Close()
			} else {
				publish(0)
			}
			about("none", 0, 0)
		})
	}
}
