package broker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// faultyDisk is a server whose store is on a disk with faults. The session "away"
// wants all messages with QoS 2, and has no connection.
type faultyDisk struct {
	*brokertest.Broker
	store *store.Durable
	disk  *disktest.Fake
	end   func() // of the server, then of the store
}

func newFaultyDisk(t *testing.T, o store.Options, fail func(op, name string) error) *faultyDisk {
	t.Helper()
	d := disktest.New(1 << 30)
	d.Fail(fail)
	s, _, _, err := store.Open(d, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b := brokertest.New(t, func(o *broker.Options) { o.Store = s })
	away := b.Client(mqtt.V5)
	away.Connect("cid=away clean=0 se=100000")
	away.Send("SUBSCRIBE id=1 f=#@2")
	away.Expect("SUBACK id=1 rcs=0x02")
	away.Close()
	return &faultyDisk{b, s, d, func() {
		t.Helper()
		b.Stop()
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}}
}

// payloads are those that the disk has for the session that is away.
func (o *faultyDisk) payloads(t *testing.T) (all []string) {
	t.Helper()
	_, state, _, err := store.Open(o.disk, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range state.Lines["away"].Entries {
		all = append(all, string(e.Message.Payload))
	}
	return all
}

// failsWhile is a disk that takes nothing as long as it is broken.
func failsWhile(broken *atomic.Bool) func(op, name string) error {
	return func(op, _ string) error {
		if broken.Load() && op != "read" && op != "names" {
			return errors.New("input/output error")
		}
		return nil
	}
}
