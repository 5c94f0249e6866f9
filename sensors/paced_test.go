package sensors_test

import (
	"context"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// pacedDriver reads "slow" less often than "t".
type pacedDriver struct{ fakeDriver }

func (*pacedDriver) Every(entity string) time.Duration {
	if entity == "slow" {
		return 10 * time.Minute
	}
	return 0
}

// The value of an entity that is read seldom does not expire in between, and
// no other value lives longer for it.
func TestPacedEntityOutlivesTheDevicesInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		d := &pacedDriver{}
		d.read = func(_ context.Context, n int) ([]sensors.Reading, error) {
			list, _ := one(n)
			if n%20 == 1 { // each ten minutes
				list = append(list, sensors.Reading{Entity: "slow", Value: n})
			}
			return list, nil
		}
		_, stop := run(t, b, sensors.Device{Name: "meter", Driver: d, Interval: 30 * time.Second})
		defer stop()
		after(time.Hour)
		for topic, least := range map[string]time.Duration{"meter/t": 90 * time.Second, "meter/slow": 30 * time.Minute} {
			published := b.on(topic)
			if len(published) < 6 {
				t.Fatalf("%s: %d values", topic, len(published))
			}
			for i, m := range published {
				if life := m.Expires.Sub(b.start.Add(m.at)); life != least {
					t.Errorf("%s: value %d lives %v, want %v", topic, i, life, least)
				}
			}
		}
	})
}
