package sensors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestLifeOfADevice(t *testing.T) {
	t.Run("values first, health, then online; clean stop says shutdown, then offline", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) { return one(20 + float64(n)/10) }}
			_, stop := run(t, b, sensors.Device{Name: "climate", Driver: d, Interval: 10 * time.Second, QoS: 1, WillDelay: 5 * time.Second})
			after(11 * time.Second)
			stop()
			wantLog(t, b.all(),
				"climate/t=20.1", `climate/health={"state":"online","reason":""*`, "climate/availability=online",
				"climate/t=20.2", `climate/health={"state":"offline","reason":"shutdown"*`, "climate/availability=offline")
			if opens, _, closes := d.counts(); opens != 1 || closes != 1 {
				t.Errorf("opened %d times, closed %d times", opens, closes)
			}
		})
	})

	t.Run("a value is retained, expires when stale and says what it is worth", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			at := time.Now().Add(-time.Second)
			d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) {
				return []sensors.Reading{{Entity: "t", Value: true, At: at}}, nil
			}}
			_, stop := run(t, b, sensors.Device{Name: "door", Driver: d, Interval: 30 * time.Second, StaleAfter: 90 * time.Second, QoS: 1})
			after(31 * time.Second)
			stop()
			v := b.on("door/t")[1]
			if !v.Retain || v.QoS != 1 || string(v.Payload) != "ON" || v.Expires.Sub(b.start) != 30*time.Second+90*time.Second {
				t.Errorf("value is %+v", v)
			}
			for name, want := range map[string]string{"ts": at.UTC().Format("2006-01-02T15:04:05.000Z"), "q": "good", "clock": "synced", "seq": "2"} {
				if got, _ := v.Properties.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			if a := b.on("door/availability")[0]; !a.Retain || a.QoS != 1 || !a.Expires.IsZero() {
				t.Errorf("availability is %+v", a)
			}
		})
	})

	t.Run("fail_after intervals: reason, then the will after its delay; back: values, then online", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			bad := func() bool { s := time.Since(b.start); return s > 5*time.Second && s < 60*time.Second }
			d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
				if bad() {
					return nil, fault(sensors.Nack)
				}
				return one(float64(n))
			}}
			_, stop := run(t, b, sensors.Device{Name: "climate", Driver: d, Interval: 10 * time.Second, StaleAfter: 10 * time.Minute, WillDelay: 5 * time.Second})
			after(50 * time.Second)
			wantLog(t, b.all(), "climate/t=1", "climate/health=*", "climate/availability=online",
				`climate/health={"state":"offline","reason":"nack"*`, "climate/availability=offline")
			said, gone := b.on("climate/health")[1].at, b.on("climate/availability")[1].at
			if said < 30*time.Second || said > 35*time.Second || gone-said != 5*time.Second {
				t.Errorf("reason at %v, offline at %v", said, gone)
			}
			after(2 * time.Minute)
			lines := b.all()[5:8]
			wantLog(t, lines, "climate/t=*", `climate/health={"state":"online"*`, "climate/availability=online")
			if opens, _, closes := d.counts(); opens < 2 || closes < 1 {
				t.Errorf("opened %d times, closed %d times: not initialized anew", opens, closes)
			}
			stop()
		})
	})

	t.Run("one bad read inside an interval is tried again and nobody hears of it", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
				if n%2 == 0 {
					return nil, fault(sensors.CRC)
				}
				return one(float64(n))
			}}
			m, stop := run(t, b, sensors.Device{Name: "climate", Driver: d, Interval: 8 * time.Second})
			after(81 * time.Second)
			if got := len(b.on("climate/t")); got != 11 {
				t.Errorf("%d values in 11 intervals", got)
			}
			if h := m.Status()[0].Health; h.Err != 10 || h.Reasons[sensors.CRC] != 10 || h.State != sensors.Online {
				t.Errorf("health is %+v", h)
			}
			stop()
		})
	})

	t.Run("unplugged: reason at once; back inside will_delay is invisible", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			gone := func() bool {
				s := time.Since(b.start)
				return s > 25*time.Second && s < 32*time.Second || s > 60*time.Second && s < 90*time.Second
			}
			d := &fakeDriver{
				open: func(int) error {
					if gone() {
						return fault(sensors.NotFound)
					}
					return nil
				},
				read: func(_ context.Context, n int) ([]sensors.Reading, error) {
					if gone() {
						return nil, fault(sensors.Unplugged)
					}
					return one(float64(n))
				},
			}
			_, stop := run(t, b, sensors.Device{Name: "scale", Driver: d, Interval: 10 * time.Second, WillDelay: 5 * time.Second, Offline: sensors.Clear})
			after(59 * time.Second)
			if got := b.on("scale/availability"); len(got) != 1 {
				t.Errorf("%d availability messages after a short absence, want 1", len(got))
			}
			h := b.on("scale/health")
			if len(h) != 3 || !strings.Contains(string(h[1].Payload), `"reason":"unplugged"`) || h[1].at != 30*time.Second || h[2].at > 33*time.Second {
				t.Errorf("health was %v", h)
			}
			after(21 * time.Second)
			if got := b.on("scale/availability"); len(got) != 2 || got[1].at != 67*time.Second {
				t.Errorf("availability was %v", got)
			}
			if h := b.last("scale/health"); !strings.Contains(h, `"reason":"unplugged"`) {
				t.Errorf("health says %s: that it is not found either must not hide that it was unplugged", h)
			}
			if v := b.last("scale/t"); v != "" {
				t.Errorf("value %q was not cleared", v)
			}
			after(12 * time.Second)
			if got := b.on("scale/availability"); len(got) != 3 || got[2].at > 92*time.Second {
				t.Errorf("availability was %v", got)
			}
			stop()
		})
	})

	t.Run("a device that never came is offline with its reason after fail_after tries", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			d := &fakeDriver{open: func(int) error { return fault(sensors.NotFound) }}
			other := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return one(1.0) }}
			_, stop := run(t, b, sensors.Device{Name: "ghost", Driver: d, WillDelay: time.Second},
				sensors.Device{Name: "host", Driver: other})
			after(0)
			if b.last("host/availability") != "online" {
				t.Error("a device that is missing holds up another")
			}
			after(time.Minute)
			wantLog(t, append(got(b, "ghost/health"), got(b, "ghost/availability")...),
				`{"state":"offline","reason":"not_found"*`, "offline")
			opens, _, _ := d.counts()
			after(time.Hour)
			if more, _, _ := d.counts(); more-opens < 60 || more-opens > 300 {
				t.Errorf("opened %d times in an hour", more-opens)
			}
			stop()
		})
	})

	t.Run("stale_after without a valid reading is offline with the last reason", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
				if n > 1 {
					return nil, fault(sensors.Timeout)
				}
				return one(1.0)
			}}
			_, stop := run(t, b, sensors.Device{Name: "a", Driver: d, Interval: 10 * time.Second, StaleAfter: 25 * time.Second, FailAfter: 100})
			after(time.Minute)
			if a := b.on("a/availability"); len(a) != 2 || a[1].at != 25*time.Second {
				t.Errorf("availability was %v", a)
			}
			if h := b.last("a/health"); !strings.Contains(h, `"reason":"timeout"`) {
				t.Errorf("health is %s", h)
			}
			stop()
		})
	})
}

func got(b *fakeBroker, topic string) (payloads []string) {
	for _, e := range b.on(topic) {
		payloads = append(payloads, string(e.Payload))
	}
	return payloads
}

type onBus struct {
	*fakeDriver
	bus string
}

func (d onBus) Bus() string { return d.bus }

func TestHungTransfer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		release := make(chan struct{})
		hanging := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
			if n == 2 {
				<-release
			}
			return one(float64(n))
		}}
		fine := func(_ context.Context, n int) ([]sensors.Reading, error) { return one(float64(n)) }
		beside, elsewhere := &fakeDriver{read: fine}, &fakeDriver{read: fine}
		dev := func(name string, d sensors.Driver) sensors.Device {
			return sensors.Device{Name: name, Driver: d, Interval: 10 * time.Second}
		}
		_, stop := run(t, b, dev("hangs", onBus{hanging, "i2c1"}), dev("beside", onBus{beside, "i2c1"}), dev("elsewhere", onBus{elsewhere, "i2c2"}))
		after(time.Minute)
		for _, name := range []string{"hangs", "beside"} {
			if h := b.last(name + "/health"); !strings.Contains(h, `"state":"offline","reason":"hung"`) || b.last(name+"/availability") != "offline" {
				t.Errorf("%s: health is %s", name, h)
			}
		}
		if b.last("elsewhere/availability") != "online" || b.last("elsewhere/t") != "7" {
			t.Errorf("another bus suffers: %s, %s", b.last("elsewhere/availability"), b.last("elsewhere/t"))
		}
		if _, reads, _ := hanging.counts(); reads != 2 {
			t.Errorf("%d reads while one hangs", reads)
		}
		close(release)
		after(2 * time.Minute)
		for _, name := range []string{"hangs", "beside"} {
			if b.last(name+"/availability") != "online" {
				t.Errorf("%s did not come back: %s", name, b.last(name+"/health"))
			}
		}
		if hanging.overlap {
			t.Error("two reads at once on one device")
		}
		stop()
	})
}

func TestHangingDriverDoesNotHoldUpTheStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		release := make(chan struct{})
		d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { <-release; return nil, nil }}
		_, stop := run(t, b, sensors.Device{Name: "hangs", Driver: d, Interval: time.Second})
		after(time.Minute)
		started := time.Now()
		stop()
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("the stop took %v", took)
		}
		close(release)
	})
}

func TestPanickingDriver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
			if n%3 == 0 {
				panic("index out of range")
			}
			return one(float64(n))
		}}
		other := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) { return one(float64(n)) }}
		m, stop := run(t, b, sensors.Device{Name: "bad", Driver: d, Interval: 10 * time.Second}, sensors.Device{Name: "good", Driver: other, Interval: 10 * time.Second})
		after(2 * time.Minute)
		h := m.Status()[0].Health
		if h.Reasons[sensors.Panic] < 3 || h.Reopened != h.Reasons[sensors.Panic] || h.State != sensors.Online {
			t.Errorf("health is %+v", h)
		}
		if n := len(b.on("good/t")); n != 13 {
			t.Errorf("the other device published %d values, want 13", n)
		}
		stop()
	})
}

func TestRejectedEntity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		limits, err := sensors.Filters()["range"].New(&sensors.RangeOptions{Min: 0, Max: 10})
		if err != nil {
			t.Fatal(err)
		}
		d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
			v := 5.0
			if n > 2 && n < 10 {
				v = 50
			}
			return []sensors.Reading{{Entity: "t", Value: 1.0}, {Entity: "u", Value: v}}, nil
		}}
		_, stop := run(t, b, sensors.Device{Name: "a", Driver: d, Interval: 10 * time.Second, FailAfter: 3,
			Entities: []sensors.Entity{{Name: "u", Filters: []sensors.Filter{limits}}}})
		after(55 * time.Second)
		if v := got(b, "a/u"); len(v) != 3 || v[2] != "" {
			t.Errorf("a dead entity among good ones shows %q", v)
		}
		if h := b.last("a/health"); !strings.Contains(h, `"state":"online","reason":"out_of_range"`) || !strings.Contains(h, `"failed":{"u":"out_of_range"}`) {
			t.Errorf("health is %s", h)
		}
		after(50 * time.Second)
		if v := b.last("a/u"); v != "5" {
			t.Errorf("recovered entity shows %q", v)
		}
		if h := b.last("a/health"); !strings.Contains(h, `"reason":""`) {
			t.Errorf("health is %s", h)
		}
		stop()
	})
}

func TestPayloadForms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) {
			return []sensors.Reading{{Entity: "t", Value: 0.1 + 0.2}, {Entity: "on", Value: false}, {Entity: "s", Value: "a\"b<>"}, {Entity: "n", Value: int64(1 << 60)}, {Entity: "ms", Value: 1763830123457.0}, {Entity: "u", Value: uint64(math.MaxUint64)}, {Entity: "z", Value: 0x1p64}}, nil
		}}
		_, stop := run(t, b, sensors.Device{Name: "j", Driver: d, Payload: sensors.JSON, Offline: sensors.Clear}, sensors.Device{Name: "b", Driver: d, Payload: sensors.Both})
		after(0)
		const doc = `{"ms":1763830123457,"n":1152921504606846976,"on":false,"s":"a\"b<>","t":0.3,"u":18446744073709551615,"z":1.8446744073709552e+19}`
		if b.last("j/state") != doc || b.last("b/state") != doc || len(b.on("j/t")) != 0 || b.last("b/t") != "0.3" || b.last("b/on") != "OFF" {
			t.Errorf("published %q", b.all())
		}
		stop()
		if b.last("j/state") != "" {
			t.Errorf("state was not cleared")
		}
	})
}

func TestSlowAndDeafBroker(t *testing.T) {
	t.Run("a publish that does not end is given up and reading goes on", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) { return one(float64(n)) }}
			m, stop := run(t, b, sensors.Device{Name: "a", Driver: d, Interval: 10 * time.Second})
			b.mu.Lock()
			b.stall = true
			b.mu.Unlock()
			after(61 * time.Second)
			if _, reads, _ := d.counts(); reads < 6 {
				t.Errorf("%d reads in a minute", reads)
			}
			if m.Status()[0].Unsent == 0 {
				t.Error("nothing counted")
			}
			b.mu.Lock()
			b.stall = false
			b.mu.Unlock()
			after(11 * time.Second)
			if b.last("a/availability") != "online" {
				t.Errorf("published %q", b.all())
			}
			stop()
		})
	})
	t.Run("what is refused is counted, and told once an hour", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) { return one(float64(n)) }}
			var log bytes.Buffer
			m, err := sensors.New(sensors.Options{
				Devices: []sensors.Device{{Name: "a", Driver: d, Interval: 10 * time.Second}},
				Attach:  b.attach, Base: base, Log: slog.New(slog.NewTextHandler(&log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- m.Run(ctx) }()
			b.mu.Lock()
			b.refuse = errors.New("the store failed")
			b.mu.Unlock()
			after(90 * time.Minute)
			if unsent := m.Status()[0].Unsent; unsent < 100 {
				t.Errorf("%d counted", unsent)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "not published"); n != 2 {
				t.Errorf("told %d times in 90 minutes", n)
			}
		})
	})
	t.Run("a session that was taken over is opened anew", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) { return one(float64(n)) }}
			_, stop := run(t, b, sensors.Device{Name: "a", Driver: d, Interval: 10 * time.Second, WillDelay: time.Second})
			after(5 * time.Second)
			b.kick("dev:a")
			after(20 * time.Second)
			if a := got(b, "a/availability"); len(a) != 3 || a[2] != "online" {
				t.Errorf("availability was %q", a)
			}
			stop()
		})
	})
}

func TestHealthDocument(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	doc, err := json.Marshal(sensors.Health{State: sensors.Offline, Reason: sensors.Nack, Error: "nack: no", Since: at, LastOK: at, OK: 981, Err: 3, Reopened: 1,
		Reasons: map[sensors.Reason]uint64{sensors.Nack: 3}})
	const want = `{"state":"offline","reason":"nack","error":"nack: no","since":"2026-01-02T03:04:05.678Z","last_ok":"2026-01-02T03:04:05.678Z","ok":981,"err":3,"reopened":1,"reasons":{"nack":3}}`
	if err != nil || string(doc) != want {
		t.Errorf("%s, %v, want %s", doc, err, want)
	}
}

func TestNewRefuses(t *testing.T) {
	d := &fakeDriver{}
	for name, devices := range map[string][]sensors.Device{
		"a reserved device":   {{Name: "status", Driver: d}},
		"a reserved entity":   {{Name: "a", Driver: d, Entities: []sensors.Entity{{Name: "health"}}}},
		"two levels":          {{Name: "a/b", Driver: d}},
		"a wildcard":          {{Name: "a", Driver: d, Entities: []sensors.Entity{{Name: "+"}}}},
		"no name":             {{Driver: d}},
		"no driver":           {{Name: "a"}},
		"a name twice":        {{Name: "a", Driver: d}, {Name: "a", Driver: d}},
		"a negative interval": {{Name: "a", Driver: d, Interval: -1}},
		"QoS 3":               {{Name: "a", Driver: d, QoS: 3}},
	} {
		if _, err := sensors.New(sensors.Options{Devices: devices, Attach: newFakeBroker().attach, Base: base}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := sensors.New(sensors.Options{Attach: newFakeBroker().attach, Base: "a/#"}); err == nil {
		t.Error("a base with a wildcard was accepted")
	}
}
