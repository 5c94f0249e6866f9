package drivers

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// memoryTotals are totals that also remember every save.
type memoryTotals struct {
	kept  map[string]float64
	saves []float64
}

func (m *memoryTotals) Load(key string) (float64, bool) { v, ok := m.kept[key]; return v, ok }
func (m *memoryTotals) Save(key string, v float64) {
	if m.kept == nil {
		m.kept = map[string]float64{}
	}
	m.kept[key] = v
	m.saves = append(m.saves, v)
}

// waterMeter is a pulse driver with a total in m³ and a flow in L/min.
func waterMeter(t *testing.T, l *fakeLine, kept sensors.Totals, more func(total, flow *pulseEntity)) sensors.Driver {
	t.Helper()
	total := Table()["pulse"].Entity().(*pulseEntity)
	flow := Table()["pulse"].Entity().(*pulseEntity)
	total.PerPulse, flow.Per = 0.001, time.Minute
	if more != nil {
		more(total, flow)
	}
	d := mustBuild(t, "pulse", func(o any) {
		opts := o.(*pulseOptions)
		opts.Line, opts.Edge, opts.Debounce = lineRef{Chip: "gpiochip0", Offset: 22}, "falling", 5*time.Millisecond
	}, map[string]any{"total": total, "flow": flow})
	if kept != nil {
		d.(sensors.Keeper).Keep(kept)
	}
	if err := d.Open(t.Context(), &fakeHardware{line: l.request}); err != nil {
		t.Fatal(err)
	}
	return d
}

// next is what the next Read returns.
func next(t *testing.T, d sensors.Driver) map[string]any {
	t.Helper()
	list, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return values(list)
}

func wantValues(t *testing.T, got, want map[string]any) {
	t.Helper()
	for entity, w := range want {
		g, ok := got[entity].(float64)
		if f, is := w.(float64); !is && got[entity] != w || is && (!ok || g-f > 1e-9 || f-g > 1e-9) {
			t.Errorf("%s is %v, want %v", entity, got[entity], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestPulse(t *testing.T) {
	type m = map[string]any
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		kept := &memoryTotals{kept: map[string]float64{"total": 1234.567}}
		d := waterMeter(t, l, kept, nil)
		want := sensors.LineOptions{Chip: "gpiochip0", Offset: 22, Consumer: "dunlin", Edges: sensors.Falling, Debounce: 5 * time.Millisecond}
		if l.o != want {
			t.Errorf("requested %+v, want %+v", l.o, want)
		}
		// The total of the last time comes at once; a flow needs two pulses.
		wantValues(t, next(t, d), m{"total": 1234.567})
		go func() {
			for range 11 {
				l.edge(false, 0)
				time.Sleep(100 * time.Millisecond)
			}
		}()
		start := time.Now()
		list, err := d.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Ten or eleven pulses have come when the second ends; all but the first
		// count for the flow, which is one pulse in 100 ms.
		n := (list[0].Value.(float64) - 1234.567) * 1000
		if took := time.Since(start); took != pulseReport || n < 9.5 || n > 11.5 || list[1].Entity != "flow" || list[1].Value.(float64)-600 > 1e-6 || list[1].Value.(float64)-600 < -1e-6 {
			t.Errorf("after %v: %v", took, list)
		}
		if n < 10.5 {
			next(t, d)
		}
		last := start.Add(time.Second) // when the eleventh came
		wantValues(t, next(t, d), m{"flow": 0.0})
		if passed := time.Since(last); passed != 30*time.Second {
			t.Errorf("zero after %v", passed)
		}

		// Three pulses that the kernel could not keep: they are counted, since
		// their numbers are missing.
		time.Sleep(30 * time.Second)
		at := l.edge(false, 3)
		list, err = d.Read(t.Context())
		if err != nil || !list[0].At.Equal(at) {
			t.Errorf("at %v, %v; want the pulse's own time %v", list[0].At, err, at)
		}
		wantValues(t, values(list), m{"total": 1234.582, "flow": 4.0, "lost_events": int64(3)})

		// What flows again after an hour flows as fast as its pulses come; the
		// hour is no part of it.
		next(t, d)
		time.Sleep(time.Hour)
		for range 5 {
			l.edge(false, 0)
			time.Sleep(200 * time.Millisecond)
		}
		wantValues(t, next(t, d), m{"total": 1234.587, "flow": 300.0})

		if err := d.(sensors.Pusher).OnSilence(); err != nil {
			t.Error(err)
		}
		for fail, want := range map[error]sensors.Reason{nil: sensors.Timeout, &sensors.Fault{Reason: sensors.Unplugged, Err: errors.New("gone")}: sensors.Unplugged} {
			l.setFail(fail)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := d.Read(ctx); sensors.ReasonOf(err) != want {
				t.Errorf("a silent line that answers %v: %v", fail, err)
			}
			cancel()
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		wantValues(t, m{"kept": kept.kept["total"]}, m{"kept": 1234.587})
	})
}

func TestPulseTotalsAreSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			pause time.Duration // between pulses
			want  float64       // the pulses between two saves
		}{
			{100 * time.Millisecond, 100}, // by their number, looked at once a second
			{time.Second, 10},             // by the time
			{time.Minute, 1},
		} {
			l, kept := newFakeLine(), &memoryTotals{}
			d := waterMeter(t, l, kept, func(total, _ *pulseEntity) {
				total.PerPulse, total.Persist = 1, persist{Every: 10 * time.Second, Pulses: 100}
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				for {
					if _, err := d.Read(ctx); err != nil {
						done <- err
						return
					}
				}
			}()
			for range 600 {
				time.Sleep(tc.pause)
				l.edge(false, 0)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			// A crash now would lose nothing, nor more than this before.
			if last := kept.saves[len(kept.saves)-1]; last != 600 {
				t.Errorf("a pulse every %v: %v of 600 are kept", tc.pause, last)
			}
			for i, v := range kept.saves[1:] {
				if step := v - kept.saves[i]; step > tc.want+11 {
					t.Errorf("a pulse every %v: %v pulses between two saves, want about %v", tc.pause, step, tc.want)
				}
			}
			if saves := float64(len(kept.saves)); saves > 600/tc.want+2 {
				t.Errorf("a pulse every %v: %v saves of 600 pulses", tc.pause, saves)
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			d.Close()
		}
	})
}

func TestPulseTotalIsSet(t *testing.T) {
	type m = map[string]any
	synctest.Test(t, func(t *testing.T) {
		l, kept := newFakeLine(), &memoryTotals{}
		d := waterMeter(t, l, kept, func(total, _ *pulseEntity) { total.Settable = true })
		c := d.(sensors.Commander)
		wantValues(t, next(t, d), m{"total": 0.0})
		l.edge(false, 0)
		list, err := c.Do(t.Context(), "total", []byte(" 512.25\n"))
		if err != nil || kept.kept["total"] != 512.25 {
			t.Errorf("%v, %v, kept %v", list, err, kept.kept)
		}
		wantValues(t, values(list), m{"total": 512.25})
		wantValues(t, next(t, d), m{"total": 512.251})
		for entity, payload := range map[string]string{"total": "many", "flow": "1", "x": "1", "": "NaN"} {
			if _, err := c.Do(t.Context(), entity, []byte(payload)); err == nil {
				t.Errorf("%s was set to %s", entity, payload)
			}
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		d.Close()
		if _, ok := waterMeter(t, newFakeLine(), nil, nil).(sensors.Commander); ok {
			t.Error("a meter that nobody may set takes commands")
		}
	})
}

// Whatever the pauses, losses, cancellations and restarts: the total is the
// number of pulses.
func TestPulseCountsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		l, kept := newFakeLine(), &memoryTotals{}
		one := func(total, _ *pulseEntity) { total.PerPulse = 1 }
		d := waterMeter(t, l, kept, one)
		pulses, seen := 0, -1.0
		read := func(limit time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			list, err := d.Read(ctx)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if v, ok := values(list)["total"].(float64); ok {
				if v < seen {
					t.Fatalf("the total goes from %v back to %v", seen, v)
				}
				seen = v
			}
		}
		for range 2000 {
			switch r.IntN(12) {
			case 0: // the line is lost, or the program ends
				for len(l.events) > 0 {
					read(time.Millisecond)
				}
				d.Close()
				l.seq = 0
				if r.IntN(2) == 0 {
					d = waterMeter(t, l, kept, one)
				} else if err := d.Open(t.Context(), &fakeHardware{line: l.request}); err != nil {
					t.Fatal(err)
				}
			case 1, 2, 3, 4:
				time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
			case 5, 6:
				lost := r.Uint32N(3)
				l.edge(false, lost)
				pulses += 1 + int(lost)
				read(time.Duration(1+r.IntN(200)) * time.Millisecond)
			default:
				l.edge(false, 0)
				pulses++
				read(time.Duration(1+r.IntN(2000)) * time.Millisecond)
			}
		}
		for range 3 {
			read(2 * time.Second)
		}
		if seen != float64(pulses) {
			t.Errorf("counted %v of %d pulses", seen, pulses)
		}
		d.Close()
	})
}

func TestPulseOptions(t *testing.T) {
	good := Table()["pulse"].Entity().(*pulseEntity)
	for want, change := range map[string]func(o *pulseOptions, e *pulseEntity){
		"line":       func(o *pulseOptions, _ *pulseEntity) { o.Line = lineRef{} },
		"edge":       func(o *pulseOptions, _ *pulseEntity) { o.Edge = "both" },
		"debounce":   func(o *pulseOptions, _ *pulseEntity) { o.Debounce = -1 },
		"per_pulse":  func(_ *pulseOptions, e *pulseEntity) { e.PerPulse = 0 },
		"per:":       func(_ *pulseOptions, e *pulseEntity) { e.Per = -1 },
		"zero_after": func(_ *pulseOptions, e *pulseEntity) { e.Per, e.ZeroAfter = time.Second, 0 },
		"settable":   func(_ *pulseOptions, e *pulseEntity) { e.Per, e.Settable = time.Second, true },
		"persist":    func(_ *pulseOptions, e *pulseEntity) { e.Persist.Every = 0 },
	} {
		e := *good
		_, err := build(t, "pulse", func(o any) {
			opts := o.(*pulseOptions)
			opts.Line.Name = "GPIO22"
			change(opts, &e)
		}, map[string]any{"x": &e})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	d := mustBuild(t, "pulse", func(o any) { o.(*pulseOptions).Line.Name = "GPIO22" }, nil)
	if names := d.(*pulse).meter.totals; !slices.ContainsFunc(names, func(x total) bool { return x.entity == "total" }) {
		t.Errorf("without entities: %v", names)
	}
}

// What only grows, to those who announce it.
func TestCounts(t *testing.T) {
	settable := waterMeter(t, newFakeLine(), nil, func(total, _ *pulseEntity) { total.Settable = true })
	for _, tc := range []struct {
		d      sensors.Driver
		entity string
		want   bool
	}{
		{waterMeter(t, newFakeLine(), nil, nil), "total", true},
		{waterMeter(t, newFakeLine(), nil, nil), "flow", false},
		{settable, "total", false},
		{mustBuild(t, "system", nil, nil), "net_eth0_rx_bytes", true},
		{mustBuild(t, "system", nil, nil), "memory_total", false},
	} {
		if got := tc.d.(sensors.Counter).Counts(tc.entity); got != tc.want {
			t.Errorf("%T counts %s: %v", tc.d, tc.entity, got)
		}
	}
}
