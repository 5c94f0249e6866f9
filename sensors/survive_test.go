package sensors_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// A panic that is not a driver's ends its device, which is offline and says why,
// and no other.
func TestAPanicEndsOneDevice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, d := newFakeBroker(), describer("found")
		describe := d.Describe
		d.Describe = func(p *sensors.Profile, gone []sensors.Part) (string, []byte, []sensors.Part) {
			if len(p.Features) > 1 {
				panic("a fault of ours")
			}
			return describe(p, gone)
		}
		bad := sensors.Device{Name: "bad", Interval: time.Second, WillDelay: time.Millisecond}
		bad.Driver = &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
			return []sensors.Reading{{Entity: "v", Value: 1.0}, {Entity: "w", Value: 1.0}}[:min(n, 2)], nil
		}}
		life(t, b, sensors.Options{Discovery: d, Devices: []sensors.Device{bad, reads("good", "m", "v")}}, func() {
			if got := b.last("good/availability"); got != "online" {
				t.Errorf("the other device is %q", got)
			}
			if got := got(b, "bad/availability"); !slices.Equal(got, []string{"online", "offline"}) {
				t.Errorf("the device was %q", got)
			}
			if got := b.last("bad/health"); !strings.Contains(got, `"state":"offline","reason":"panic"`) {
				t.Errorf("its health is %s", got)
			}
		})
	})
}
