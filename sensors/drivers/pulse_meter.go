package drivers

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// meter makes totals and rates of pulses. Its lock is for Close, which may come
// beside a Read.
type meter struct {
	kept sensors.Totals // nil: totals are forgotten

	mu     sync.Mutex
	totals []total
	rates  []rate
	fresh  int64     // pulses since the last report
	first  time.Time // when the first of them was counted
	last   time.Time // the newest pulse's own time, or when the line was opened
	saved  time.Time
}

// total is a sum from a number at which it began.
type total struct {
	entity string
	pulseEntity
	base    float64
	count   int64 // pulses since base
	unsaved int64
	known   bool // base was looked up
}

func (t *total) value() float64 { return t.base + float64(t.count)*t.PerPulse }

// rate is what pulses are in time, between the last pulse of a report and the
// last of the one before. After a rate of 0 the time that nothing flowed is no
// part of it, unless there is no more than one pulse yet.
type rate struct {
	entity string
	pulseEntity
	since time.Time // zero: no pulse yet
	count int64
	zero  bool // was reported

	// Of the first pulse after zero: when it came, and how many with it.
	began time.Time
	with  int64
}

// open begins at now, with the totals of the last time.
func (m *meter) open(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.saved, m.fresh = now, now, 0
	for i := range m.totals {
		t := &m.totals[i]
		if !t.known && m.kept != nil {
			if v, ok := m.kept.Load(t.entity); ok {
				t.base = v
			}
		}
		t.known = true
	}
	for i := range m.rates {
		r := &m.rates[i]
		r.since, r.count, r.zero = time.Time{}, 0, false
	}
}

// count adds n pulses, the last of which came at this time. It reports whether
// they are the first since the last report.
func (m *meter) count(n int64, at time.Time) (first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if first = m.fresh == 0; first {
		m.first = time.Now()
	}
	m.fresh += n
	m.last = at
	for i := range m.totals {
		m.totals[i].count += n
		m.totals[i].unsaved += n
	}
	for i := range m.rates {
		r := &m.rates[i]
		if r.since.IsZero() {
			r.since = at // a rate needs a second pulse
			continue
		}
		if r.zero && r.count == 0 {
			r.began, r.with = at, n
		}
		r.count += n
	}
	return first
}

// wake is when there is something to do though no pulse comes.
func (m *meter) wake(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	if m.fresh > 0 {
		sooner(m.first.Add(pulseReport))
	}
	for i := range m.rates {
		if r := &m.rates[i]; !r.zero {
			sooner(m.last.Add(r.ZeroAfter))
		}
	}
	for i := range m.totals {
		if t := &m.totals[i]; t.unsaved > 0 {
			sooner(m.saved.Add(t.Persist.Every))
		}
	}
	return at
}

// due returns what is to be published at now.
func (m *meter) due(now time.Time) []sensors.Reading {
	m.mu.Lock()
	fresh := m.fresh > 0 && now.Sub(m.first) >= pulseReport
	m.mu.Unlock()
	if fresh {
		return m.report(now)
	}
	return m.zeros(now)
}

// report returns the totals, and the rates since the last report.
func (m *meter) report(now time.Time) []sensors.Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := now
	if m.fresh > 0 {
		at = m.last
	}
	var list []sensors.Reading
	for i := range m.totals {
		t := &m.totals[i]
		list = append(list, sensors.Reading{Entity: t.entity, Value: t.value(), At: at})
	}
	for i := range m.rates {
		r := &m.rates[i]
		passed := m.last.Sub(r.since)
		if r.count == 0 || passed <= 0 {
			continue
		}
		if r.zero && r.count > r.with && m.last.After(r.began) {
			r.count, passed = r.count-r.with, m.last.Sub(r.began)
		}
		v := float64(r.count) * r.PerPulse * float64(r.Per) / float64(passed)
		list = append(list, sensors.Reading{Entity: r.entity, Value: v, At: at})
		r.since, r.count, r.zero = m.last, 0, false
	}
	m.fresh = 0
	return list
}

// zeros returns the rates that have just become 0.
func (m *meter) zeros(now time.Time) []sensors.Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []sensors.Reading
	for i := range m.rates {
		r := &m.rates[i]
		if !r.zero && now.Sub(m.last) >= r.ZeroAfter {
			list = append(list, sensors.Reading{Entity: r.entity, Value: 0.0, At: now})
			r.zero = true
		}
	}
	return list
}

// save keeps the totals whose time has come; all at the end.
func (m *meter) save(now time.Time, all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	passed := now.Sub(m.saved)
	for i := range m.totals {
		t := &m.totals[i]
		if t.unsaved == 0 || !all && passed < t.Persist.Every && (t.Persist.Pulses == 0 || t.unsaved < int64(t.Persist.Pulses)) {
			continue
		}
		m.keep(t)
		m.saved = now
	}
}

func (m *meter) keep(t *total) {
	t.unsaved = 0
	if m.kept != nil {
		m.kept.Save(t.entity, t.value())
	}
}

// set makes the total of an entity what was read off the meter.
func (m *meter) set(entity, text string, now time.Time) ([]sensors.Reading, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, fmt.Errorf("%.40q is not a number", text)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.totals {
		if t := &m.totals[i]; t.entity == entity && t.Settable {
			t.base, t.count = v, 0
			m.keep(t)
			return []sensors.Reading{{Entity: entity, Value: v, At: now}}, nil
		}
	}
	return nil, fmt.Errorf("%q is no total that can be set", entity)
}
