package drivers

import (
	"context"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("system", sensors.DriverSpec{
		Doc: "This machine: temperature, supply, watchdog, load, memory, disk, uptime, clock, network counters.",
		Options: func() any {
			return &systemOptions{Disks: []string{"/"}, Include: []string{"*"}}
		},
		New: func(options any, _ map[string]any) (sensors.Driver, error) {
			return &system{systemOptions: *options.(*systemOptions), synced: sensors.ClockSynced}, nil
		},
	})
}

type systemOptions struct {
	Disks      []string `yaml:"disks" doc:"directories whose file systems are measured; / gives disk_used_percent, /var/lib gives disk_var_lib_used_percent"`
	Interfaces []string `yaml:"interfaces" doc:"network interfaces to count, as eth*; without it those that are hardware"`
	Include    []string `yaml:"include" doc:"entities to publish, as memory_*"`
}

// Validate reports patterns and paths that cannot be read.
func (o *systemOptions) Validate(report func(path, msg string)) {
	checkPatterns("interfaces", o.Interfaces, report)
	checkPatterns("include", o.Include, report)
	for _, d := range o.Disks {
		if !strings.HasPrefix(d, "/") {
			report("disks", "want absolute paths, not "+d)
		}
	}
}

var _ sensors.Selector = (*system)(nil)

// Selection implements sensors.Selector.
func (o *systemOptions) Selection() any { return o }

// system reads what the kernel says of the machine. What a kernel, a board or
// a container does not have is no entity and no error.
type system struct {
	systemOptions
	kernel kernel
	synced func() bool // whether the clock is right; nil: nobody knows
	busy   cpuTime     // at the last read
	list   readings
}

// readings collects those that the configuration includes.
type readings struct {
	at      time.Time
	include []string
	all     []sensors.Reading
}

func (r *readings) add(entity string, value any, unit string) {
	if matches(r.include, entity) {
		r.all = append(r.all, sensors.Reading{Entity: entity, Value: value, Unit: unit, At: r.at})
	}
}

// Open finds the machine's files and starts counting processor time.
func (s *system) Open(_ context.Context, b sensors.Buses) error {
	s.kernel = kernelOf(b)
	s.busy, _ = s.cpuTime()
	return nil
}

// Close has nothing to release.
func (s *system) Close() error { return nil }

// Read returns what can be read now.
func (s *system) Read(context.Context) ([]sensors.Reading, error) {
	s.list = readings{at: time.Now(), include: s.Include}
	s.load()
	s.cpu()
	s.memory()
	s.uptime()
	s.temperatures()
	s.supply()
	s.watchdog()
	s.network()
	s.disks()
	if s.synced != nil {
		s.list.add("clock_synced", s.synced(), "")
	}
	all := s.list.all
	s.list.all = nil // kept by nobody until the next
	return all, nil
}
