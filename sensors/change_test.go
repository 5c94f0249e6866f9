package sensors_test

import (
	"context"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestChangeTouchesOnlyWhatItNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		device := func(name string, value float64) sensors.Device {
			d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return one(value) }}
			return sensors.Device{Name: name, Driver: d, Interval: 10 * time.Second}
		}
		m, stop := run(t, b, device("stays", 1), device("changes", 2), device("goes", 3))
		after(time.Second)
		before := len(b.on("stays/t"))
		if err := m.Change([]string{"changes", "goes"}, []sensors.Device{device("changes", 20), device("comes", 4)}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		for topic, want := range map[string]string{
			"stays/availability": "online", "changes/availability": "online", "goes/availability": "", "goes/t": "", "comes/availability": "online",
			"changes/t": "20", "comes/t": "4",
		} {
			if got := b.last(topic); got != want {
				t.Errorf("%s = %q, want %q", topic, got, want)
			}
		}
		if n := len(b.on("stays/t")); n != before {
			t.Errorf("the device that was not named published %d times in a second without an interval", n-before)
		}
		var names []string
		for _, s := range m.Status() {
			names = append(names, s.Name)
		}
		wantLog(t, names, "stays", "changes", "comes")

		if err := m.Change([]string{"stays"}, []sensors.Device{device("comes", 5)}); err == nil {
			t.Error("a name that is taken was taken twice")
		}
		after(time.Second)
		if got := b.last("stays/availability"); got != "online" || len(m.Status()) != 3 {
			t.Errorf("a refused change stopped a device: %s", got)
		}
		stop()
		for _, name := range []string{"stays", "changes", "comes"} {
			if got := b.last(name + "/availability"); got != "offline" {
				t.Errorf("%s after the stop: %s", name, got)
			}
		}
	})
}

// A Change right before Run leaves nobody behind.
func TestChangeBeforeRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return one(1) }}
		m, err := sensors.New(sensors.Options{Devices: []sensors.Device{{Name: "a", Driver: d}}, Attach: b.attach, Base: base})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Change([]string{"a"}, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		after(time.Minute)
		cancel()
		if err := <-done; err != nil || len(b.all()) != 0 {
			t.Errorf("%v, and %q published", err, b.all())
		}
	})
}

// Without outputs nothing is subscribed; the first one that a reload brings
// makes the gateway hear commands.
func TestChangeBringsTheFirstOutput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return one(1.0) }}
		m, stop := run(t, b, sensors.Device{Name: "d", Driver: d, Interval: 10 * time.Second})
		defer stop()
		after(time.Second)
		if subs := b.sessions["sensors"].subs; len(subs) != 0 {
			t.Errorf("subscribed to %v without a device that takes commands", subs)
		}
		for _, name := range []string{"heater", "pump"} {
			if err := m.Change(nil, []sensors.Device{{Name: name, Driver: newFakeOutput(), Interval: 10 * time.Second}}); err != nil {
				t.Fatal(err)
			}
			after(time.Second)
			if subs := b.sessions["sensors"].subs; len(subs) != 1 || subs[0].Filter != base+"/+/+/set" {
				t.Errorf("with %s it is subscribed to %v", name, subs)
			}
		}
	})
}
