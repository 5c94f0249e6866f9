package drivers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestGPIOIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		l.active = true
		d := mustBuild(t, "gpio_in", func(o any) {
			opts := o.(*gpioInOptions)
			opts.Line.Name, opts.Bias, opts.ActiveLow, opts.Debounce = "GPIO17", "pull_up", true, 30*time.Millisecond
		}, nil)
		if err := d.Open(t.Context(), &fakeHardware{line: l.request}); err != nil {
			t.Fatal(err)
		}
		want := sensors.LineOptions{Name: "GPIO17", Consumer: "dunlin", ActiveLow: true, Bias: sensors.PullUp, Debounce: 30 * time.Millisecond, Edges: sensors.BothEdges}
		if l.o != want {
			t.Errorf("requested %+v, want %+v", l.o, want)
		}
		expect := func(at time.Time, readings ...sensors.Reading) {
			t.Helper()
			list, err := d.Read(t.Context())
			if err != nil || len(list) != len(readings) {
				t.Fatalf("Read = %v, %v; want %v", list, err, readings)
			}
			for i, r := range readings {
				if list[i].Entity != r.Entity || list[i].Value != r.Value {
					t.Errorf("reading %d = %v, want %v", i, list[i], r)
				}
			}
			if !list[0].At.Equal(at) {
				t.Errorf("time %v, want the kernel's %v", list[0].At, at)
			}
		}
		expect(time.Now(), sensors.Reading{Entity: "input", Value: true})
		at := l.edge(false, 0)
		time.Sleep(time.Minute) // read late: the time is that of the edge
		expect(at, sensors.Reading{Entity: "input", Value: false})
		at1, at2 := l.edge(true, 0), l.edge(false, 0)
		expect(at1, sensors.Reading{Entity: "input", Value: true})
		expect(at2, sensors.Reading{Entity: "input", Value: false})

		// Three edges are lost before one that says active, and the last one
		// after it: the level now is inactive, and that is what stays.
		at = l.edge(true, 3)
		l.active = false
		expect(at, sensors.Reading{Entity: "input", Value: true}, sensors.Reading{Entity: "input", Value: false},
			sensors.Reading{Entity: "lost_events", Value: int64(3)})

		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if list, err := d.Read(ctx); err != nil || len(list) != 1 || list[0].Value != false || !list[0].At.Equal(time.Now()) {
			t.Errorf("a silent line: %v, %v, want its level now", list, err)
		}
		l.setFail(&sensors.Fault{Reason: sensors.Unplugged, Err: errors.New("gone")})
		if list, err := d.Read(ctx); sensors.ReasonOf(err) != sensors.Unplugged {
			t.Errorf("a line whose controller is gone: %v, %v", list, err)
		}
		canceled, stop := context.WithCancel(t.Context())
		stop()
		if list, err := d.Read(canceled); !errors.Is(err, context.Canceled) || list != nil {
			t.Errorf("a read that makes way: %v, %v", list, err)
		}
		if err := d.(sensors.Pusher).OnSilence(); err != nil {
			t.Errorf("OnSilence = %v: an input that does not change is well", err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		l.happened(t, "request in low", "close")
	})
}

func TestGPIOInCloseEndsARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		d := mustBuild(t, "gpio_in", func(o any) { o.(*gpioInOptions).Line.Name = "GPIO17" }, nil)
		if err := d.Open(t.Context(), &fakeHardware{line: l.request}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { _, err := d.Read(t.Context()); done <- err }()
		synctest.Wait()
		d.Close()
		if err := <-done; err == nil {
			t.Error("Read of a closed line succeeded")
		}
	})
}

func TestGPIOEntityNames(t *testing.T) {
	name := func(o any) { o.(*gpioInOptions).Line.Name = "GPIO17" }
	for _, tc := range []struct {
		option   string
		entities map[string]any
		want     string // "" is refused
	}{
		{"", nil, "input"},
		{"contact", nil, "contact"},
		{"", map[string]any{"contact": nil}, "contact"},
		{"contact", map[string]any{"contact": nil}, "contact"},
		{"contact", map[string]any{"door": nil}, ""},
		{"", map[string]any{"a": nil, "b": nil}, ""},
		{"state", nil, ""},
		{"a/b", nil, ""},
	} {
		d, err := build(t, "gpio_in", func(o any) { name(o); o.(*gpioInOptions).Entity = tc.option }, tc.entities)
		got := ""
		if err == nil {
			got = d.(*gpioIn).entity
		}
		if got != tc.want {
			t.Errorf("entity %q, entities %v: %q (%v), want %q", tc.option, tc.entities, got, err, tc.want)
		}
	}
}

func TestLineRef(t *testing.T) {
	var l lineRef
	if err := l.UnmarshalText([]byte("GPIO17")); err != nil || l.Name != "GPIO17" {
		t.Errorf("GPIO17: %v, %v", l, err)
	}
	for _, bad := range []string{"", "17"} {
		if err := l.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is accepted as a line", bad)
		}
	}
	for _, bad := range []lineRef{{}, {Name: "a", Chip: "b"}, {Chip: "gpiochip0", Offset: -1}} {
		if err := validated(&bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
