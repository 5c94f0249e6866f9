package api

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/history"
)

// History is series of numbers from the recent past, all at the same times.
type History struct {
	Step   float64  `json:"step"` // seconds between two values
	End    float64  `json:"end"`  // when the last ones were, in Unix seconds
	Series []Series `json:"series"`
}

// Series is one of them; null is where there was no value.
type Series struct {
	Name   string `json:"name"`
	Values points `json:"values"`
}

// points are numbers that may be missing.
type points []float32

// MarshalJSON writes NaN as null.
func (p points) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, v := range p {
		if i > 0 {
			b = append(b, ',')
		}
		if v != v || math.IsInf(float64(v), 0) {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, float64(v), 'g', -1, 32)
		}
	}
	return append(b, ']'), nil
}

// past is the history and the clock of its samples. Only the goroutine of
// Remember writes what is not the ring's.
type past struct {
	ring history.Ring
	step time.Duration
	last *Status
	at   time.Time
}

// Remember samples the status at each history.step until ctx ends. A change of
// the step begins anew; without memory nothing is kept.
func (a *API) Remember(ctx context.Context) error {
	for {
		memory, step := a.Config().History.Memory.Int(), a.historyStep()
		a.past.ring.Bound(memory, step != a.past.step)
		a.past.step = step
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(time.Now().Truncate(step).Add(step))):
		}
		if memory > 0 {
			a.sample(time.Now())
		}
	}
}

// historyStep is history.step, which may not be shorter than a second.
func (a *API) historyStep() time.Duration { return max(time.Second, a.Config().History.Step) }

// sample adds one sample; those that were missed have no values.
func (a *API) sample(now time.Time) {
	p, s := &a.past, a.Status()
	names, values := s.series(p.last, now.Sub(p.at).Seconds())
	if p.last != nil {
		missed := make([]float32, len(names))
		for i := range missed {
			missed[i] = float32(math.NaN())
		}
		for range min(100, int(now.Sub(p.at)/p.step)-1) {
			p.ring.Add(names, missed)
		}
	}
	p.ring.Add(names, values)
	p.last, p.at = s, now
}

// series are the numbers of a status that are worth a plot. Rates are a second's,
// since the status before.
func (s *Status) series(before *Status, seconds float64) (names []string, values []float32) {
	add := func(name string, v float64) {
		names, values = append(names, name), append(values, float32(v))
	}
	old := Broker{}
	if before == nil {
		seconds = math.NaN()
	} else {
		old = before.Broker
	}
	add("published", float64(s.Broker.Published-old.Published)/seconds)
	add("sent", float64(s.Broker.Sent-old.Sent)/seconds)
	add("clients", float64(s.Broker.Clients))
	add("memory", float64(s.Memory))
	add("written", float64(s.Store.Written))
	for _, b := range s.Bridges {
		add("bridge/"+b.Name, float64(b.Waiting))
	}
	for _, d := range s.Devices {
		for _, v := range d.Values {
			if n, ok := number(v.Value); ok && d.Age >= 0 {
				add("device/"+d.Name+"/"+v.Entity, n)
			}
		}
	}
	return names, values
}

// pastSeries is GET /api/v1/history.
func pastSeries(c *call) (any, error) {
	p := &c.a.past
	step := c.a.historyStep().Seconds()
	span, err1 := c.args.number("span", 900)
	most, err2 := c.args.number("points", 300)
	if err1 != nil || err2 != nil {
		return nil, problem(400, "span is in seconds, points up to 2000")
	}
	found, every := p.ring.Read(strings.Split(c.args["series"], ","), int(span/step), int(min(max(most, 1), 2000)))
	out := History{Step: float64(every) * step, Series: []Series{}}
	out.End = math.Floor(float64(time.Now().UnixMilli())/1000/step) * step
	for _, s := range found {
		out.Series = append(out.Series, Series{s.Name, s.Values})
	}
	return out, nil
}

// number is an argument that is a number from 0 up.
func (v values) number(name string, otherwise float64) (float64, error) {
	if v[name] == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseFloat(v[name], 64)
	if err == nil && !(n >= 0 && n < 1e9) {
		err = strconv.ErrRange
	}
	return n, err
}
