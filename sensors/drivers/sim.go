package drivers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("sim", sensors.DriverSpec{
		Doc:     "Simulated sensors and a switch that need no hardware, with faults on request.",
		Options: func() any { return &simOptions{Seed: 1} },
		Entity:  func() any { return &simEntity{} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newSim(*options.(*simOptions), entities)
		},
	})
}

type simOptions struct {
	Seed         uint64        `yaml:"seed" doc:"another seed, other values; the same seed, the same values at the same time"`
	FailEvery    int           `yaml:"fail_every" doc:"every how manieth read fails; 0 is none"`
	OfflineEvery time.Duration `yaml:"offline_every" doc:"how often the device is unplugged; 0 is never"`
	OfflineFor   time.Duration `yaml:"offline_for" doc:"for how long it then is"`
}

// Validate reports faults that leave no time to work.
func (o *simOptions) Validate(report func(path, msg string)) {
	if o.FailEvery < 0 {
		report("fail_every", "is negative")
	}
	if o.OfflineEvery < 0 || o.OfflineFor < 0 {
		report("offline_every", "a time is negative")
	}
	if o.OfflineEvery > 0 && (o.OfflineFor == 0 || o.OfflineFor >= o.OfflineEvery) {
		report("offline_for", "want more than 0, less than offline_every")
	}
}

// simEntity is one simulated signal.
type simEntity struct {
	Signal string        `yaml:"signal" doc:"what the value does; binary is ON or OFF, output takes commands" enum:"sine|random_walk|step|square|binary|output"`
	Min    float64       `yaml:"min" doc:"smallest value"`
	Max    float64       `yaml:"max" doc:"largest value; 0 with min 0 is 100"`
	Period time.Duration `yaml:"period" doc:"time of one wave, or between changes; 0 is 10 minutes"`
	unit   string
}

// Validate reports bounds that are none.
func (e *simEntity) Validate(report func(path, msg string)) {
	if e.Min > e.Max && e.Max != 0 {
		report("max", "is less than min")
	}
	if e.Period < 0 {
		report("period", "is negative")
	}
}

// simDefaults is what there is when the configuration names no signal.
func simDefaults() map[string]simEntity {
	return map[string]simEntity{
		"temperature": {Signal: "sine", Min: 18, Max: 24, Period: 10 * time.Minute, unit: "°C"},
		"humidity":    {Signal: "random_walk", Min: 35, Max: 65, Period: 2 * time.Minute, unit: "%"},
		"door":        {Signal: "binary", Period: 45 * time.Second},
		"relay":       {Signal: "output"},
	}
}

// sim makes values from the time alone, so a restart does not show in them.
type sim struct {
	simOptions
	names    []string
	entities map[string]simEntity
	outputs  map[string]bool // state of the outputs
	reads    int
}

func newSim(o simOptions, entities map[string]any) (*sim, error) {
	s := &sim{simOptions: o, entities: map[string]simEntity{}, outputs: map[string]bool{}}
	standard, own := simDefaults(), false
	for name, options := range entities {
		e, ok := options.(*simEntity)
		if options != nil && !ok {
			return nil, fmt.Errorf("entity %s: options are %T", name, options)
		}
		if ok && e.Signal != "" {
			own = true
			s.entities[name] = *e
		} else if _, known := standard[name]; !known {
			s.entities[name] = simEntity{Signal: "random_walk"}
		}
	}
	for name, e := range standard {
		_, listed := entities[name]
		if _, taken := s.entities[name]; !taken && (listed || !own) {
			s.entities[name] = e
		}
	}
	for name, e := range s.entities {
		if e.Min == 0 && e.Max == 0 {
			e.Max = 100
		}
		e.Period = cmp.Or(e.Period, 10*time.Minute)
		s.entities[name] = e
		if e.Signal == "output" {
			s.outputs[name] = false
		}
	}
	s.names = slices.Sorted(maps.Keys(s.entities))
	return s, nil
}

// Open succeeds unless the device is unplugged just now.
func (s *sim) Open(context.Context, sensors.Buses) error { return s.plugged(time.Now()) }

// Close releases nothing; the outputs keep their state.
func (s *sim) Close() error { return nil }

// Read returns every signal at this moment.
func (s *sim) Read(context.Context) ([]sensors.Reading, error) {
	now := time.Now()
	if err := s.plugged(now); err != nil {
		return nil, err
	}
	if s.reads++; s.FailEvery > 0 && s.reads%s.FailEvery == 0 {
		return nil, &sensors.Fault{Reason: sensors.Timeout, Err: fmt.Errorf("simulated: read %d fails", s.reads)}
	}
	all := make([]sensors.Reading, 0, len(s.names))
	for _, name := range s.names {
		all = append(all, s.reading(name, now))
	}
	return all, nil
}

func (s *sim) reading(name string, now time.Time) sensors.Reading {
	e := s.entities[name]
	r := sensors.Reading{Entity: name, Unit: e.unit, At: now}
	if e.Signal == "output" {
		r.Value = s.outputs[name]
	} else {
		r.Value = e.at(now, s.Seed, name)
	}
	return r
}

func (s *sim) plugged(now time.Time) error {
	if s.OfflineEvery <= 0 {
		return nil
	}
	if into := time.Duration(now.UnixNano()) % s.OfflineEvery; into >= s.OfflineEvery-s.OfflineFor {
		return &sensors.Fault{Reason: sensors.Unplugged, Err: fmt.Errorf("simulated: unplugged for another %v",
			(s.OfflineEvery - into).Round(time.Millisecond))}
	}
	return nil
}

// Do switches an output: ON, OFF or TOGGLE.
func (s *sim) Do(_ context.Context, entity string, payload []byte) ([]sensors.Reading, error) {
	state, ok := s.outputs[entity]
	if !ok {
		return nil, fmt.Errorf("%s takes no commands", entity)
	}
	switch command := strings.ToUpper(strings.TrimSpace(string(payload))); command {
	case "ON", "1", "TRUE":
		state = true
	case "OFF", "0", "FALSE":
		state = false
	case "TOGGLE":
		state = !state
	default:
		return nil, fmt.Errorf("want ON, OFF or TOGGLE, not %.32q", command)
	}
	s.outputs[entity] = state
	return []sensors.Reading{s.reading(entity, time.Now())}, nil
}

// Stop switches every output off.
func (s *sim) Stop(context.Context) error {
	for name := range s.outputs {
		s.outputs[name] = false
	}
	return nil
}
