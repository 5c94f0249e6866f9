package sensors_test

import (
	"context"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// busyRelay is a fakeRelay that talks to its device for as long as it is let:
// the worst moment for a fail-safe.
type busyRelay struct {
	*fakeRelay
	busy string // "read", "ON": what lasts until ctx ends
}

func (r *busyRelay) Read(ctx context.Context) ([]sensors.Reading, error) {
	if r.is("read") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return r.state()
}

func (r *busyRelay) is(busy string) (is bool) {
	r.become(func() { is = r.busy == busy })
	return is
}

func (r *busyRelay) Do(ctx context.Context, entity string, payload []byte) ([]sensors.Reading, error) {
	list, err := r.fakeRelay.Do(ctx, entity, payload)
	if r.is(string(payload)) {
		<-ctx.Done() // the device does not confirm
		return nil, ctx.Err()
	}
	return list, err
}

func TestFailsafeHasPrecedence(t *testing.T) {
	safety := sensors.Safety{Failsafe: sensors.Failsafe{State: "inactive", After: 5 * time.Second, Without: "heartbeat"}}
	for _, busy := range []string{"read", "ON"} {
		bubble(t, func(t *testing.T) {
			b, r := newFakeBroker(), &busyRelay{newFakeRelay(safety), ""}
			dev := sensors.Device{Name: "heater", Driver: r, Interval: time.Second, Timeout: 10 * time.Second, StaleAfter: time.Minute}
			_, stop := run(t, b, dev)
			defer stop()
			after(100 * time.Millisecond)
			b.send("dev:heater", mqtt.Message{Topic: base + "/heater/heartbeat/set"})
			began := time.Now()
			if busy == "ON" {
				after(4500 * time.Millisecond)
				r.become(func() { r.busy = busy })
			}
			b.send("dev:heater", set("relay", "ON"))
			if busy == "read" {
				after(2500 * time.Millisecond)
				r.become(func() { r.busy = busy })
			}
			after(10 * time.Second)
			r.wire.Lock()
			on, late := r.wire.on, r.wire.at.Sub(began)-5*time.Second
			r.wire.Unlock()
			if on || late < 0 || late > 200*time.Millisecond {
				t.Errorf("busy with %s: the relay is %v, %v after its time", busy, on, late)
			}
			if h := b.last("heater/availability"); h != "online" {
				t.Errorf("busy with %s: %s", busy, h)
			}
		})
	}
}
