package sensors_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// TestNoOldValueUnderOnline drives devices through random failures and reads
// the log as a subscriber does: whenever availability turns online, every
// value that is retained must be younger than the last offline, and gone
// values must not come back to life.
func TestNoOldValueUnderOnline(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			bubble(t, func(t *testing.T) { oneLife(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func oneLife(t *testing.T, r *rand.Rand) {
	b := newFakeBroker()
	skip, err := sensors.Filters()["skip_initial"].New(&sensors.CountOptions{Count: r.IntN(3)})
	if err != nil {
		t.Fatal(err)
	}
	mode, until := 0, 0
	d := &fakeDriver{
		open: func(int) error {
			if r.IntN(4) == 0 {
				return fault(sensors.NotFound)
			}
			return nil
		},
		read: func(_ context.Context, n int) ([]sensors.Reading, error) {
			if n >= until {
				mode, until = r.IntN(6), n+r.IntN(12)
			}
			switch mode {
			case 0:
				return nil, fault(sensors.Nack)
			case 1:
				return nil, fault(sensors.Unplugged)
			case 2:
				if n == until-1 {
					panic("driver")
				}
			case 3:
				time.Sleep(time.Duration(r.IntN(20)) * time.Second) // late, or hung for a while
			}
			now := int64(time.Since(b.start))
			all := []sensors.Reading{{Entity: "t", Value: now}, {Entity: "u", Value: now}}
			if mode == 4 {
				all[1].Err = fault(sensors.WireBreak)
			}
			return all, nil
		},
	}
	policy := []sensors.ValuePolicy{sensors.Keep, sensors.Clear, sensors.NaN}[r.IntN(3)]
	delay, lifetime := time.Duration(r.IntN(3))*4*time.Second, time.Duration(1+r.IntN(30))*time.Minute
	// From here on r belongs to the driver.
	_, stop := run(t, b, sensors.Device{
		Name: "a", Driver: d, Interval: 10 * time.Second, WillDelay: delay, Offline: policy,
		Entities: []sensors.Entity{{Name: "t"}, {Name: "u", Filters: []sensors.Filter{skip}}},
	})
	time.Sleep(lifetime)
	stop()
	time.Sleep(time.Minute) // a hung read comes back into the void
	checkTruth(t, b)
}

func checkTruth(t *testing.T, b *fakeBroker) {
	t.Helper()
	retained := map[string]time.Duration{} // entity -> when its value was captured
	state, offlineAt := "", time.Duration(0)
	for _, e := range b.log {
		switch topic := e.Topic[len(base+"/a/"):]; topic {
		case "t", "u":
			ns, err := strconv.ParseInt(string(e.Payload), 10, 64)
			if err != nil {
				delete(retained, topic)
				continue
			}
			retained[topic] = time.Duration(ns)
		case "availability":
			if state = string(e.Payload); state == "offline" {
				offlineAt = e.at
				continue
			}
			if len(retained) == 0 {
				t.Fatalf("online at %v without a value", e.at)
			}
			for entity, at := range retained {
				if at < offlineAt {
					t.Fatalf("online at %v with %s of %v, offline since %v", e.at, entity, at, offlineAt)
				}
			}
		}
	}
	if state != "offline" {
		t.Errorf("after the stop availability is %q", state)
	}
}
