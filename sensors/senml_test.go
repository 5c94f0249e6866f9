package sensors_test

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// senmlRecord is one record as a reader of RFC 8428 takes it.
type senmlRecord struct {
	BaseName   string   `json:"bn"`
	BaseTime   float64  `json:"bt"`
	Name       string   `json:"n"`
	Time       float64  `json:"t"`
	Unit       string   `json:"u"`
	Value      *float64 `json:"v"`
	BoolValue  *bool    `json:"vb"`
	TextValue  *string  `json:"vs"`
	resolvedAt float64
}

// resolve makes each record stand for itself [RFC 8428, 4.6], by name.
func resolve(t *testing.T, pack string) map[string]senmlRecord {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(pack))
	d.DisallowUnknownFields()
	var records []senmlRecord
	if err := d.Decode(&records); err != nil {
		t.Fatalf("%s: %v", pack, err)
	}
	var name string
	var at float64
	all := map[string]senmlRecord{}
	for _, r := range records {
		if r.BaseName != "" {
			name = r.BaseName
		}
		if r.BaseTime != 0 {
			at = r.BaseTime
		}
		full := name + r.Name
		if _, twice := all[full]; twice {
			t.Errorf("%s is there twice in %s", full, pack)
		}
		if strings.Trim(full, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:./_") != "" || strings.ContainsAny(full[:1], "-:./_") {
			t.Errorf("%q is no name [RFC 8428, 4.5.1]", full)
		}
		r.resolvedAt = at + r.Time
		all[full] = r
	}
	return all
}

// runSenML runs one device until its first values are out and returns the
// last message on its state topic.
func runSenML(t *testing.T, synced bool, read func(time.Time) []sensors.Reading) (e entry) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		time.Sleep(time.Until(time.Unix(1_795_300_000, 123e6))) // a time of today, to the millisecond
		d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return read(time.Now()), nil }}
		m, err := sensors.New(sensors.Options{
			Devices: []sensors.Device{{Name: "über", Driver: d}}, Payload: sensors.SenML,
			Attach: b.attach, Base: base, ClockSynced: func() bool { return synced },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		after(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		packs := b.on("über/state")
		if len(packs) != 1 {
			t.Fatalf("%d packs: %v", len(packs), b.all())
		}
		e = packs[0]
		for _, line := range b.all() {
			if strings.HasPrefix(line, "über/temperature=") {
				t.Errorf("a value beside the pack: %s", line)
			}
		}
	})
	return e
}

func senmlReadings(now time.Time) []sensors.Reading {
	return []sensors.Reading{
		{Entity: "temperature", Value: 23.1, Unit: "°C", At: now},
		{Entity: "humidity", Value: 41.5, Unit: "%", At: now.Add(-1500 * time.Millisecond)},
		{Entity: "battery", Value: int64(50), Unit: "%", At: now},
		{Entity: "sea level", Value: 1013.25, Unit: "hPa", At: now},
		{Entity: "sea:level", Value: 1.0, Unit: "furlong", At: now},
		{Entity: "serial", Value: uint64(1<<64 - 1), At: now},
		{Entity: "count", Value: int64(1<<53 + 1), At: now},
		{Entity: "door", Value: true, At: now},
		{Entity: "text", Value: "say \"<ü>\"\n", At: now},
	}
}

func TestSenMLPack(t *testing.T) {
	var read time.Time
	m := runSenML(t, true, func(now time.Time) []sensors.Reading { read = now; return senmlReadings(now) })
	if m.Properties.ContentType != "application/senml+json" || !m.Retain || m.Expires.IsZero() {
		t.Errorf("published as %+v, %+v", m.Message, m.Properties)
	}
	for _, want := range []string{"ts", "q", "clock", "seq"} {
		if _, ok := m.Properties.Get(want); !ok {
			t.Errorf("no user property %s", want)
		}
	}
	all := resolve(t, string(m.Payload))
	const at = "dunlin/barn/:C3:BCber/"
	number := func(name, unit string, v, age float64) {
		r, ok := all[at+name]
		if !ok || r.Value == nil || r.Unit != unit || math.Abs(*r.Value-v) > 1e-9 {
			t.Errorf("%s: %+v, want %v %s", name, r, v, unit)
		}
		if want := float64(read.UnixMilli())/1000 - age; math.Abs(r.resolvedAt-want) > 0.0005 {
			t.Errorf("%s was read at %.3f, want %.3f", name, r.resolvedAt, want)
		}
	}
	number("temperature", "Cel", 23.1, 0)
	number("humidity", "%RH", 41.5, 1.5)
	number("battery", "/", 0.5, 0)
	number("sea:20level", "Pa", 101325, 0)
	number("sea:3Alevel", "", 1, 0)
	for _, exact := range []string{`"n":"serial","v":18446744073709551615}`, `"n":"count","v":9007199254740993}`} {
		if !strings.Contains(string(m.Payload), exact) {
			t.Errorf("%s has not %s", m.Payload, exact)
		}
	}
	if r := all[at+"door"]; r.BoolValue == nil || !*r.BoolValue {
		t.Errorf("door: %+v", r)
	}
	if r := all[at+"text"]; r.TextValue == nil || *r.TextValue != "say \"<ü>\"\n" {
		t.Errorf("text: %+v", r)
	}
}

// A time below 2^28 counts from now: without a clock nothing else is true.
func TestSenMLWithoutClock(t *testing.T) {
	m := runSenML(t, false, senmlReadings)
	for name, r := range resolve(t, string(m.Payload)) {
		want := 0.0
		if strings.HasSuffix(name, "humidity") {
			want = -1.5
		}
		if r.resolvedAt != want {
			t.Errorf("%s: time %v, want %v", name, r.resolvedAt, want)
		}
	}
}

// Every unit that a driver or a person is likely to write comes out as a
// primary unit of the registry with the same quantity.
func TestSenMLUnits(t *testing.T) {
	want := map[string]struct {
		unit   string
		factor float64
	}{
		"V": {"V", 1}, "mV": {"V", 1e-3}, "kWh": {"J", 3.6e6}, "W": {"W", 1}, "m³": {"m3", 1}, "L/min": {"m3/s", 1. / 60000},
		"lx": {"lx", 1}, "ppm": {"/", 1e-6}, "km/h": {"m/s", 1 / 3.6}, "µg/m³": {"kg/m3", 1e-9}, "MiB": {"B", 1 << 20},
		"min": {"s", 60}, "kg": {"kg", 1}, "g": {"kg", 1e-3}, "°": {"deg", 1}, "rpm": {"1/s", 1. / 60}, "Hz": {"Hz", 1}, "s": {"s", 1},
	}
	var list []sensors.Reading
	m := runSenML(t, true, func(now time.Time) []sensors.Reading {
		list = nil
		for unit := range want {
			list = append(list, sensors.Reading{Entity: sensors.EntityName("u " + strings.Map(plainLetters, unit)), Unit: unit, Value: 7.0, At: now})
		}
		return list
	})
	all := resolve(t, string(m.Payload))
	for _, r := range list {
		got, w := all["dunlin/barn/:C3:BCber/"+r.Entity], want[r.Unit]
		if got.Value == nil || got.Unit != w.unit || math.Abs(*got.Value-7*w.factor) > 1e-11*7*w.factor {
			t.Errorf("7 %s is written as %s, want %v %s", r.Unit, m.Payload, 7*w.factor, w.unit)
		}
	}
}

// plainLetters makes a unit an entity's name that no other unit has.
func plainLetters(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r - 'A' + '0' // differs from the small letter
	case r > 0x7f || r == '/':
		return 'q'
	}
	return r
}

// A value that is withdrawn is withdrawn from the document too.
func TestDocumentLosesAWithdrawnEntity(t *testing.T) {
	for _, payload := range []sensors.Payload{sensors.JSON, sensors.SenML} {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			d := &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
				list := []sensors.Reading{{Entity: "good", Value: 1.0}, {Entity: "dead", Value: 2.0}}
				if n > 1 {
					list[1].Err = fault(sensors.WireBreak)
				}
				return list, nil
			}}
			_, stop := run(t, b, sensors.Device{Name: "adc", Driver: d, Interval: time.Second, StaleAfter: time.Minute, Payload: payload,
				Entities: []sensors.Entity{{Name: "good", Filters: []sensors.Filter{only{}}}}})
			defer stop()
			after(10 * time.Second)
			if s := b.last("adc/state"); strings.Contains(s, "dead") || !strings.Contains(s, "good") {
				t.Errorf("%s: the document says %s", payload, s)
			}
		})
	}
}

// only reports the first sample, so that nothing else renews a document.
type only struct{}

func (only) Stage() sensors.Stage { return sensors.Report }
func (only) Reset()               {}
func (only) Decide(_, _ sensors.Sample, _ time.Time) sensors.Verdict {
	return sensors.Verdict{Refuse: true}
}
