package drivers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// relay is an open output in a bubble.
type relay struct {
	t    *testing.T
	line *fakeLine
	d    sensors.Driver
}

func onRelay(t *testing.T, set func(*gpioOutOptions), f func(r *relay)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &relay{t: t, line: newFakeLine()}
		r.d = mustBuild(t, "gpio_out", func(o any) {
			opts := o.(*gpioOutOptions)
			opts.Line.Name = "GPIO27"
			if set != nil {
				set(opts)
			}
		}, nil)
		if err := r.d.Open(t.Context(), &fakeHardware{line: r.line.request}); err != nil {
			t.Fatal(err)
		}
		defer r.d.Close()
		f(r)
	})
}

// do sends a command and returns the level that is reported.
func (r *relay) do(payload string) any {
	r.t.Helper()
	list, err := r.d.(sensors.Commander).Do(r.t.Context(), "output", []byte(payload))
	if err != nil || len(list) != 1 {
		r.t.Fatalf("%s: %v, %v", payload, list, err)
	}
	return list[0].Value
}

// next waits up to limit for a level that the driver reports by itself.
func (r *relay) next(limit time.Duration) any {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), limit)
	defer cancel()
	list, err := r.d.Read(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	if err != nil {
		return err
	}
	return list[0].Value
}

// An output that another life of the program left on is on, and ends when
// max_on does.
func TestGPIOOutKeeps(t *testing.T) {
	for _, on := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			line := newFakeLine()
			line.active = on
			d := mustBuild(t, "gpio_out", func(o any) {
				opts := o.(*gpioOutOptions)
				opts.Line.Name, opts.Initial, opts.OnStop, opts.MaxOn = "GPIO27", "keep", "keep", time.Hour
			}, nil)
			if err := d.Open(t.Context(), &fakeHardware{line: line.request}); err != nil {
				t.Fatal(err)
			}
			r := &relay{t: t, line: line, d: d}
			if got := r.next(time.Second); got != on {
				t.Errorf("it is %v, want %v", got, on)
			}
			if on {
				line.happened(t, "request out as it is, high")
				if got := r.next(2 * time.Hour); got != false {
					t.Errorf("after max_on it is %v", got)
				}
				line.happened(t, "request out as it is, high", "write low")
			}
			if err := errors.Join(d.(sensors.Commander).Stop(t.Context()), d.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	for _, more := range []func(*gpioOutOptions){
		func(o *gpioOutOptions) { o.Require = "tank.level > 10" },
		func(o *gpioOutOptions) { o.Drive = "open_drain" },
	} {
		o := gpioOutOptions{Line: lineRef{Name: "GPIO27"}, Initial: "keep", OnStop: "keep", Drive: "push_pull", Bias: "as_is", Verify: "none"}
		if err := validated(&o); err != nil {
			t.Error(err)
		}
		if more(&o); validated(&o) == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestGPIOOutStartsWithoutAGlitch(t *testing.T) {
	for _, tc := range []struct {
		activeLow bool
		initial   string
		wire      string
		value     bool
	}{
		{false, "inactive", "request out low", false},
		{false, "active", "request out high", true},
		{true, "inactive", "request out high", false},
		{true, "active", "request out low", true},
	} {
		set := func(o *gpioOutOptions) { o.ActiveLow, o.Initial = tc.activeLow, tc.initial }
		onRelay(t, set, func(r *relay) {
			if got := r.next(time.Second); got != tc.value {
				t.Errorf("initial value %v, want %v", got, tc.value)
			}
			if got := r.next(time.Hour); got != nil {
				t.Errorf("a second value %v", got)
			}
			r.line.happened(t, tc.wire) // and nothing else, neither before nor after
		})
	}
}

func TestGPIOOutCommands(t *testing.T) {
	onRelay(t, func(o *gpioOutOptions) { o.ActiveLow = true }, func(r *relay) {
		r.next(time.Second)
		want := []string{"request out high"}
		for _, c := range []struct {
			payload string
			on      bool
		}{
			{"ON", true}, {"OFF", false}, {"1", true}, {"0", false}, {"true", true}, {"false", false}, {"on", true},
			{"TOGGLE", false}, {"TOGGLE", true}, {`{"state":"OFF"}`, false}, {`{"state":true}`, true}, {` off `, false},
		} {
			if got := r.do(c.payload); got != c.on {
				t.Errorf("%s: reported %v", c.payload, got)
			}
			want = append(want, map[bool]string{true: "write low", false: "write high"}[c.on])
		}
		r.line.happened(t, want...)
		if got := r.next(time.Hour); got != nil {
			t.Errorf("Read returned %v after commands that were answered", got)
		}
	})
}

func TestGPIOOutRefuses(t *testing.T) {
	onRelay(t, func(o *gpioOutOptions) { o.MaxOn = time.Minute }, func(r *relay) {
		for _, bad := range []string{
			"", "maybe", "2", "ON OFF", "{}", `{"state":"ON"} x`, `{"state":"ON","on_for":5}`, `{"state":"ON","on_for":"-5s"}`,
			`{"state":"OFF","on_for":"5s"}`, `{"state":"TOGGLE","on_for":"5s"}`, `{"state":"ON","for":"5s"}`,
			`{"state":"ON","on_for":"2m"}`, `{"state":["ON"]}`, "\x00", strings.Repeat("x", 5000),
		} {
			if _, err := r.d.(sensors.Commander).Do(t.Context(), "output", []byte(bad)); err == nil {
				t.Errorf("%.60q is carried out", bad)
			} else if len(err.Error()) > 300 {
				t.Errorf("%.60q: the error has %d characters", bad, len(err.Error()))
			}
		}
		if _, err := r.d.(sensors.Commander).Do(t.Context(), "input", []byte("ON")); err == nil {
			t.Error("a command to another entity is carried out")
		}
		r.line.happened(t, "request out low")
	})
}

func TestGPIOOutMaxOn(t *testing.T) {
	onRelay(t, func(o *gpioOutOptions) { o.MaxOn = 2 * time.Hour }, func(r *relay) {
		r.next(time.Second)
		r.do("ON")
		start := time.Now()
		for range 2 {
			time.Sleep(45 * time.Minute)
			r.do("ON") // does not extend it, however often
		}
		if got := r.next(24 * time.Hour); got != false || time.Since(start) != 2*time.Hour {
			t.Errorf("reported %v after %v, want off after 2h", got, time.Since(start))
		}
		r.do("ON") // a new time begins
		start = time.Now()
		if got := r.next(24 * time.Hour); got != false || time.Since(start) != 2*time.Hour {
			t.Errorf("reported %v after %v, want off after 2h again", got, time.Since(start))
		}
		r.line.happened(t, "request out low", "write high", "write high", "write high", "write low", "write high", "write low")
	})
}

func TestGPIOOutMaxOnHoldsWithoutAReader(t *testing.T) {
	onRelay(t, func(o *gpioOutOptions) { o.MaxOn, o.Initial = time.Minute, "active" }, func(r *relay) {
		time.Sleep(time.Minute)
		synctest.Wait()
		r.line.happened(t, "request out high", "write low")
		if got := r.next(time.Second); got != false {
			t.Errorf("reported %v, want the newest level", got)
		}
	})
}

func TestGPIOOutPulse(t *testing.T) {
	onRelay(t, nil, func(r *relay) {
		r.next(time.Second)
		start := time.Now()
		r.do(`{"state":"ON","on_for":"5s"}`)
		if got := r.next(time.Hour); got != false || time.Since(start) != 5*time.Second {
			t.Errorf("reported %v after %v, want off after 5s", got, time.Since(start))
		}
		r.do(`{"state":"ON","on_for":"5s"}`)
		r.do("ON") // without end now
		if got := r.next(time.Hour); got != nil {
			t.Errorf("reported %v although ON came after the pulse", got)
		}
		r.do(`{"state":"ON","on_for":"5s"}`)
		r.do("OFF")
		if got := r.next(time.Hour); got != nil {
			t.Errorf("reported %v: the pulse ended with OFF", got)
		}
		r.line.happened(t, "request out low", "write high", "write low", "write high", "write high", "write high", "write low")
	})
}

func TestGPIOOutTurnsOffAgainAfterAnError(t *testing.T) {
	onRelay(t, func(o *gpioOutOptions) { o.MaxOn = time.Minute }, func(r *relay) {
		r.next(time.Second)
		r.do("ON")
		r.line.setFail(errors.New("input/output error"))
		if err, ok := r.next(2 * time.Minute).(error); !ok || sensors.ReasonOf(err) != sensors.IO {
			t.Errorf("a line that cannot be turned off reports %v", err)
		}
		r.line.setFail(nil)
		if got := r.next(2 * time.Second); got != false {
			t.Errorf("reported %v, want off at the next try", got)
		}
		r.line.happened(t, "request out low", "write high", "write low")
	})
}

func TestGPIOOutVerifies(t *testing.T) {
	onRelay(t, func(o *gpioOutOptions) { o.Verify = "readback" }, func(r *relay) {
		r.next(time.Second)
		if got := r.do("ON"); got != true {
			t.Errorf("reported %v", got)
		}
		r.line.held = true
		list, err := r.d.(sensors.Commander).Do(t.Context(), "output", []byte("ON"))
		if sensors.ReasonOf(err) != sensors.ShortCircuit || len(list) != 1 || list[0].Value != false {
			t.Errorf("a line that is held: %v, %v", list, err)
		}
		if got := r.do("OFF"); got != false {
			t.Errorf("reported %v", got)
		}
	})
}

func TestGPIOOutStop(t *testing.T) {
	for onStop, wire := range map[string][]string{
		"inactive": {"request out low", "write high", "write low", "close"},
		"active":   {"request out low", "write high", "write high", "close"},
		"keep":     {"request out low", "write high", "close"},
	} {
		onRelay(t, func(o *gpioOutOptions) { o.OnStop, o.MaxOn = onStop, time.Minute }, func(r *relay) {
			r.do("ON")
			if err := r.d.(sensors.Commander).Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if err := r.d.Close(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
			r.line.happened(t, wire...)
			if _, err := r.d.(sensors.Commander).Do(t.Context(), "output", []byte("ON")); err == nil {
				t.Error("a closed line takes commands")
			}
		})
	}
}

// A change of the configuration that leaves the wire what it is switches nothing.
func TestGPIOOutInherits(t *testing.T) {
	change := func(r *relay, set func(*gpioOutOptions)) (inherits bool) {
		next := mustBuild(t, "gpio_out", func(o any) {
			o.(*gpioOutOptions).Line.Name = "GPIO27"
			set(o.(*gpioOutOptions))
		}, nil)
		if inherits = next.(sensors.Heir).Inherit(r.d); !inherits {
			return false
		}
		if err := errors.Join(r.d.Close(), next.Open(t.Context(), &fakeHardware{line: r.line.request})); err != nil {
			t.Error(err)
		}
		r.d = next
		return true
	}
	onRelay(t, func(o *gpioOutOptions) { o.MaxOn = time.Hour }, func(r *relay) {
		r.do("ON")
		start := time.Now()
		time.Sleep(10 * time.Minute)
		if !change(r, func(o *gpioOutOptions) { o.MaxOn, o.Initial, o.OnStop = 40*time.Minute, "active", "keep" }) {
			t.Error("other limits open the line anew")
		}
		if got := r.next(time.Second); got != true {
			t.Errorf("reported %v after the change", got)
		}
		if got := r.next(time.Hour); got != false || time.Since(start) != 40*time.Minute {
			t.Errorf("reported %v after %v, want off after the new max_on", got, time.Since(start))
		}
		r.do(`{"state":"ON","on_for":"5s"}`)
		start = time.Now()
		change(r, func(o *gpioOutOptions) {})
		r.next(time.Second)
		if got := r.next(time.Hour); got != false || time.Since(start) != 5*time.Second {
			t.Errorf("reported %v after %v, want off after on_for", got, time.Since(start))
		}
		for _, set := range []func(*gpioOutOptions){
			func(o *gpioOutOptions) { o.Line.Name = "GPIO4" }, func(o *gpioOutOptions) { o.ActiveLow = true },
			func(o *gpioOutOptions) { o.Drive = "open_drain" }, func(o *gpioOutOptions) { o.Bias = "pull_up" },
		} {
			if change(r, set) {
				t.Error("another wire is taken for the same")
			}
		}
		r.line.happened(t, "request out low", "write high", "write low", "write high", "write low")
	})
}

func TestGPIOOutNoticesThatItsChipIsGone(t *testing.T) {
	onRelay(t, nil, func(r *relay) {
		r.next(time.Second)
		r.line.setFail(&sensors.Fault{Reason: sensors.IO, Err: errors.New("input/output error")})
		if got := r.next(time.Hour); got != nil {
			t.Errorf("a controller that cannot be read reports %v", got)
		}
		r.line.setFail(&sensors.Fault{Reason: sensors.Unplugged, Err: errors.New("no such device")})
		if err, _ := r.next(time.Hour).(error); sensors.ReasonOf(err) != sensors.Unplugged {
			t.Errorf("reported %v", err)
		}
	})
}

func TestGPIOOutChecksWhatItObeys(t *testing.T) {
	for path, set := range map[string]func(*gpioOutOptions){
		"require": func(o *gpioOutOptions) { o.Require = "tank is full" },
		"failsafe.state": func(o *gpioOutOptions) {
			o.Failsafe = sensors.Failsafe{State: "off", After: time.Second, Without: "heartbeat"}
		},
		"failsafe.after": func(o *gpioOutOptions) { o.Failsafe = sensors.Failsafe{State: "inactive", Without: "heartbeat"} },
		"failsafe.without": func(o *gpioOutOptions) {
			o.Failsafe = sensors.Failsafe{State: "inactive", After: time.Second, Without: "homeassistant"}
		},
		"initial ": func(o *gpioOutOptions) { o.Require, o.Initial = "tank.level > 10", "active" },
		"initial":  func(o *gpioOutOptions) { o.Initial = "off" },
		"max_on":   func(o *gpioOutOptions) { o.MaxOn = -1 },
	} {
		_, err := build(t, "gpio_out", func(o any) { o.(*gpioOutOptions).Line.Name = "GPIO27"; set(o.(*gpioOutOptions)) }, nil)
		if err == nil || !strings.HasPrefix(err.Error(), strings.TrimSpace(path)+": ") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
