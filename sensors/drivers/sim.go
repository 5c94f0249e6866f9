package drivers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
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
	sensors.Safety
}

// Validate reports bounds that are none.
func (e *simEntity) Validate(report func(path, msg string)) {
	if e.Min > e.Max && e.Max != 0 {
		report("max", "is less than min")
	}
	if e.Period < 0 {
		report("period", "is negative")
	}
	switch {
	case e.Safety == (sensors.Safety{}):
	case e.Signal != "output":
		report("signal", "is no output: what takes no commands obeys nothing")
	default:
		e.Safety.Check(report, "active", "inactive")
	}
}

// simDefaults is what there is when the configuration names no signal.
func simDefaults() []simSignal {
	return []simSignal{
		{name: "temperature", unit: "°C", simEntity: simEntity{Signal: "sine", Min: 18, Max: 24}},
		{name: "humidity", unit: "%", simEntity: simEntity{Signal: "random_walk", Min: 35, Max: 65, Period: 2 * time.Minute}},
		{name: "door", simEntity: simEntity{Signal: "binary", Period: 45 * time.Second}},
		{name: "relay", simEntity: simEntity{Signal: "output"}},
	}
}

// simSignal is a signal with its name.
type simSignal struct {
	name, unit string
	on         bool // an output's state
	simEntity
}

// sim makes values from the time alone, so a restart does not show in them.
type sim struct {
	simOptions
	own     chan struct{} // one slot, which guards the outputs' states
	signals []simSignal   // by name
	reads   int
}

var (
	_ sensors.Guarded   = (*sim)(nil)
	_ sensors.Immediate = (*sim)(nil)
)

func newSim(o simOptions, entities map[string]any) (*sim, error) {
	s := &sim{simOptions: o, own: make(chan struct{}, 1)}
	standard, own := simDefaults(), false
	for name, options := range entities {
		e, ok := options.(*simEntity)
		if options != nil && !ok {
			return nil, fmt.Errorf("entity %s: options are %T", name, options)
		}
		if ok && e.Signal != "" {
			own = true
			s.signals = append(s.signals, simSignal{name: name, simEntity: *e})
		} else if !slices.ContainsFunc(standard, called(name)) {
			s.signals = append(s.signals, simSignal{name: name, simEntity: simEntity{Signal: "random_walk"}})
		}
	}
	for _, e := range standard {
		if _, listed := entities[e.name]; (listed || !own) && !slices.ContainsFunc(s.signals, called(e.name)) {
			s.signals = append(s.signals, e)
		}
	}
	for i := range s.signals {
		e := &s.signals[i]
		if e.Min == 0 && e.Max == 0 {
			e.Max = 100
		}
		e.Period = cmp.Or(e.Period, 10*time.Minute)
		e.Entity, e.Path, e.Off, e.Timed = e.name, ".", "OFF", true
	}
	sort.Slice(s.signals, func(i, j int) bool { return s.signals[i].name < s.signals[j].name })
	return s, nil
}

func called(name string) func(simSignal) bool {
	return func(e simSignal) bool { return e.name == name }
}

// Outputs implements sensors.Guarded.
func (s *sim) Outputs() (all []sensors.Safety) {
	for _, e := range s.signals {
		if e.Signal == "output" {
			all = append(all, e.Safety)
		}
	}
	return all
}

// Immediate implements sensors.Immediate.
func (s *sim) Immediate() {}

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
	s.own <- struct{}{}
	defer func() { <-s.own }()
	all := make([]sensors.Reading, 0, len(s.signals))
	for i := range s.signals {
		all = append(all, s.reading(&s.signals[i], now))
	}
	return all, nil
}

func (s *sim) reading(e *simSignal, now time.Time) sensors.Reading {
	r := sensors.Reading{Entity: e.name, Unit: e.unit, At: now, Value: e.on}
	if e.Signal != "output" {
		r.Value = e.at(now, s.Seed, e.name)
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

// Do switches an output: ON, OFF or TOGGLE. on_for is the manager's.
func (s *sim) Do(_ context.Context, entity string, payload []byte) ([]sensors.Reading, error) {
	i := slices.IndexFunc(s.signals, called(entity))
	if i < 0 || s.signals[i].Signal != "output" {
		return nil, fmt.Errorf("%s takes no commands", entity)
	}
	c, err := sensors.ParseSwitch(payload)
	if err != nil {
		return nil, err
	}
	s.own <- struct{}{}
	defer func() { <-s.own }()
	e := &s.signals[i]
	e.on = c.On || c.Toggle && !e.on
	return []sensors.Reading{s.reading(e, time.Now())}, nil
}

// Stop switches every output off.
func (s *sim) Stop(context.Context) error {
	s.own <- struct{}{}
	defer func() { <-s.own }()
	for i := range s.signals {
		s.signals[i].on = false
	}
	return nil
}
