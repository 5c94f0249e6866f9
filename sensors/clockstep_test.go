//go:build clockstep

package sensors_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// TestClockSteps sets the clock of devices on which nothing happens: what is
// published anew has the time of the event by the clock of now, and nothing goes
// offline. scripts/clockstep.sh runs it.
func TestClockSteps(t *testing.T) {
	for name, step := range map[string]time.Duration{"from 1970": 56 * 365 * 24 * time.Hour, "an hour back": -time.Hour, "a slew": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				defer func() { time.WallStep = 0 }()
				b := newFakeBroker()
				p := newFakePusher(nil)
				m, stop := run(t, b, sensors.Device{Name: "door", Driver: p, StaleAfter: 20 * time.Second})
				p.events <- 1.0
				after(time.Second)
				then := time.Now()
				time.WallStep = int64(step / time.Second)
				after(30 * time.Second)
				all := b.on("door/t")
				if len(all) < 3 || m.Status()[0].Health.State != sensors.Online {
					t.Fatalf("%d values, %+v", len(all), m.Status()[0])
				}
				ts, _ := all[len(all)-1].Properties.Get("ts")
				at, err := time.Parse(time.RFC3339Nano, ts)
				if want := then.Round(0).Add(step.Truncate(time.Second) - time.Second); err != nil || at.Sub(want).Abs() > 100*time.Millisecond {
					t.Errorf("ts is %s, want %v", ts, want.UTC())
				}
				stop()
				if h := b.last("door/health"); !strings.Contains(h, time.Now().UTC().Format(`"since":"2006-01-02T15`)) {
					t.Errorf("health is %s", h)
				}
			})
		})
	}
}
