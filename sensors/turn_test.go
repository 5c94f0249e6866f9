package sensors_test

import (
	"context"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// A reading is one goroutine from the alarm to what is published: each stack
// that grows for it is copied. A Read that waits for the device has one of its
// own, which is small.
func TestReadingIsOneGoroutine(t *testing.T) {
	for _, waits := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			var stack string
			read := func(context.Context, int) ([]sensors.Reading, error) {
				stack = string(debug.Stack())
				time.Sleep(time.Second / 2)
				return []sensors.Reading{{Entity: "value", Value: 1.0}}, nil
			}
			var d sensors.Driver = &fakeDriver{read: read}
			if waits {
				d = &eventDriver{fakeDriver: fakeDriver{read: read}}
			}
			_, stop := run(t, b, sensors.Device{Name: "d", Driver: d, Interval: time.Second, StaleAfter: time.Minute})
			after(10 * time.Second)
			stop()
			if own := strings.Contains(stack, "created by github.com/dunlin-mqtt/dunlin/sensors."); own != waits {
				t.Errorf("a Read that waits (%v) has a goroutine of its own: %v\n%s", waits, own, stack)
			}
		})
	}
}

// eventDriver is a fakeDriver whose Read waits for events.
type eventDriver struct{ fakeDriver }

func (*eventDriver) OnSilence() error { return nil }
