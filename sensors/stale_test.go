package sensors_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// An entity of which nothing is read any more is no current value, although its
// device goes on.
func TestEntityThatIsReadNoMore(t *testing.T) {
	for _, payload := range []sensors.Payload{sensors.Plain, sensors.JSON, sensors.Both, sensors.SenML} {
		t.Run(string(payload), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newFakeBroker()
				mean, err := sensors.Filters()["throttle_average"].New(&sensors.PeriodOptions{Period: 10 * time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
					list := []sensors.Reading{{Entity: "here", Value: float64(n)}}
					if n <= 5 || n > 60 {
						list = append(list, sensors.Reading{Entity: "listed", Value: 1.0}, sensors.Reading{Entity: "found", Value: 2.0})
					}
					return list, nil
				}}
				m, stop := run(t, b, sensors.Device{Name: "board", Driver: d, Interval: time.Second, StaleAfter: 10 * time.Second, Payload: payload,
					Entities: []sensors.Entity{{Name: "listed", Filters: []sensors.Filter{mean}}}})
				defer stop()
				after(30 * time.Second)
				if s := b.last("board/state"); strings.Contains(s, "listed") || strings.Contains(s, "found") {
					t.Errorf("the document has %s", s)
				}
				if v := m.Status()[0].Values; len(v) != 1 {
					t.Errorf("current are %v", v)
				}
				if v := got(b, "board/listed"); payload == sensors.Plain && v[len(v)-1] != "" {
					t.Errorf("published %q", v)
				}
				if h := b.last("board/health"); !strings.Contains(h, `"state":"online","reason":"no_data"`) || !strings.Contains(h, `"failed":{"listed":"no_data"}`) {
					t.Errorf("health is %s", h)
				}
				after(40 * time.Second)
				if s := b.last("board/state"); payload != sensors.Plain && (!strings.Contains(s, "listed") || !strings.Contains(s, "found")) {
					t.Errorf("the document has %s", s)
				}
				if v := b.last("board/listed"); payload == sensors.Plain && v != "1" {
					t.Errorf("published %q", v)
				}
				if h := b.last("board/health"); !strings.Contains(h, `"state":"online","reason":""`) || strings.Contains(h, "failed") {
					t.Errorf("health is %s", h)
				}
			})
		})
	}
}

// A value that is as new as its filters make it does not expire before the next.
func TestValueOutlivesItsFilters(t *testing.T) {
	filter := func(name string, options any) sensors.Filter {
		f, err := sensors.Filters()[name].New(options)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, filters := range map[string][]sensors.Filter{
		"send_every":       {filter("median", &sensors.WindowOptions{Size: 10, SendEvery: 10, SendFirstAt: 1})},
		"one after other":  {filter("min", &sensors.WindowOptions{Size: 4, SendEvery: 4, SendFirstAt: 1}), filter("exponential_moving_average", &sensors.AlphaOptions{Alpha: 1, SendEvery: 3, SendFirstAt: 1})},
		"throttle_average": {filter("throttle_average", &sensors.PeriodOptions{Period: 10 * time.Minute})},
		"delta":            {filter("delta", &sensors.DeltaOptions{Absolute: 5})},
		"delta behind":     {filter("median", &sensors.WindowOptions{Size: 7, SendEvery: 7, SendFirstAt: 1}), filter("delta", &sensors.DeltaOptions{Absolute: 5})},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newFakeBroker()
				d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return one(20.0) }}
				m, stop := run(t, b, sensors.Device{Name: "room", Driver: d, Interval: 30 * time.Second, StaleAfter: 60 * time.Second,
					Entities: []sensors.Entity{{Name: "t", Filters: filters}}})
				after(2 * time.Hour)
				if s := m.Status()[0]; s.Health.Reason != "" || len(s.Values) != 1 {
					t.Errorf("it is %+v", s)
				}
				stop()
				all := b.on("room/t")
				if len(all) < 5 {
					t.Fatalf("%d values", len(all))
				}
				for i, v := range all[1:] {
					if at := b.start.Add(v.at); !all[i].Expires.After(at) {
						t.Fatalf("a value expires at %v, the next comes at %v", all[i].Expires.Sub(b.start), v.at)
					}
				}
			})
		})
	}
}

// A window that is not full within a life neither overflows nor has the value
// expire before it is there.
func TestValueOutlivesAnyWindow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return one(20.0) }}
		var filters []sensors.Filter
		for range 3 {
			f, err := sensors.Filters()["median"].New(&sensors.WindowOptions{Size: 5, SendEvery: 1000000, SendFirstAt: 1})
			if err != nil {
				t.Fatal(err)
			}
			filters = append(filters, f)
		}
		_, stop := run(t, b, sensors.Device{Name: "room", Driver: d, Interval: 10000 * 24 * time.Hour, Entities: []sensors.Entity{{Name: "t", Filters: filters}}})
		after(time.Second)
		stop()
		all := b.on("room/t")
		if len(all) != 1 {
			t.Fatalf("%d values", len(all))
		}
		if in := all[0].Expires.Sub(b.start); in < 30000*24*time.Hour || in > math.MaxUint32*time.Second {
			t.Errorf("it expires in %v", in)
		}
	})
}

// What filters remember of an entity that failed is no part of what comes after.
func TestFiltersAfterAnEntityFailed(t *testing.T) {
	filter := func(name string, options any) sensors.Filter {
		f, err := sensors.Filters()[name].New(options)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, tc := range []struct {
		name   string
		filter sensors.Filter
		values []any // one a second, nil fails
		want   []string
	}{
		{"a counter that was replaced begins anew", filter("monotonic", &sensors.StepOptions{MaxStep: 5}),
			[]any{100.0, 101.0, 3.0, 3.0, 4.0, 4.0, 5.0}, []string{"100", "101", "", "4", "5"}},
		{"a window has readings of one time only", filter("min", &sensors.WindowOptions{Size: 10, SendEvery: 1, SendFirstAt: 1}),
			[]any{1.0, nil, nil, nil, 20.0, 21.0}, []string{"1", "", "20", "20"}},
		{"what a throttle held back is not said of an entity that fails", filter("throttle", &sensors.PeriodOptions{Period: 5 * time.Second}),
			[]any{1.0, 2.0, nil, nil, nil, nil, nil, nil, nil}, []string{"1", ""}},
		{"what happened meanwhile is not in an integral", filter("integrate", &sensors.TimeOptions{Unit: "s", Method: "left"}),
			[]any{10.0, 10.0, nil, nil, nil, 10.0, 10.0}, []string{"0", "10", "", "10", "20"}},
		{"a value that is stuck stays so", filter("stuck", &sensors.CountOptions{Count: 3}),
			[]any{7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0}, []string{"7", "7", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newFakeBroker()
				d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
					list := []sensors.Reading{{Entity: "other", Value: 1.0}, {Entity: "t", Err: fault(sensors.IO)}}
					if v := tc.values[min(n, len(tc.values))-1]; v != nil {
						list[1] = sensors.Reading{Entity: "t", Value: v}
					}
					return list, nil
				}}
				_, stop := run(t, b, sensors.Device{Name: "a", Driver: d, Interval: time.Second, StaleAfter: 30 * time.Second,
					Entities: []sensors.Entity{{Name: "t", Filters: []sensors.Filter{tc.filter}}}})
				after(time.Duration(len(tc.values))*time.Second - time.Millisecond)
				if v := got(b, "a/t"); !slices.Equal(v, tc.want) {
					t.Errorf("published %q, want %q", v, tc.want)
				}
				stop()
			})
		})
	}
}
