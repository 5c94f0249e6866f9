package drivers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

func init() {
	register("modbus", sensors.DriverSpec{
		Doc:        "A Modbus unit, over RS-485 or TCP: meters, drives, controllers.",
		Options:    func() any { return &modbusOptions{Unit: 1, WordOrder: "big"} },
		EntityList: "registers",
		Entity:     func() any { return &modbusRegister{Table: "holding", Scale: 1, Write: "single", Verify: "readback"} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newModbus(*options.(*modbusOptions), entities)
		},
	})
}

type modbusOptions struct {
	Bus       string `yaml:"bus" bus:"modbus" doc:"id of a bus of type modbus_rtu or modbus_tcp" req:"1" ex:"rs485a"`
	Unit      int    `yaml:"unit" doc:"the unit's address, 1 to 247 on a serial line"`
	WordOrder string `yaml:"word_order" doc:"order of bytes in what is wider than a register: big is ABCD, little DCBA, big_swap BADC, little_swap CDAB" enum:"big|little|big_swap|little_swap"`
	MaxGap    int    `yaml:"max_gap" doc:"read over holes of up to this many entries to save requests"`
	MaxRead   int    `yaml:"max_read" doc:"most entries in one request, for units that take fewer than the protocol allows"`
}

// Validate reports what no unit can be.
func (o *modbusOptions) Validate(report func(path, msg string)) {
	if o.Unit < 0 || o.Unit > 255 {
		report("unit", fmt.Sprintf("%d is not between 0 and 255", o.Unit))
	}
	if o.MaxGap < 0 || o.MaxGap > 2000 {
		report("max_gap", fmt.Sprintf("%d is not between 0 and 2000", o.MaxGap))
	}
	if o.MaxRead < 0 || o.MaxRead > 2000 {
		report("max_read", fmt.Sprintf("%d is not between 1 and 2000", o.MaxRead))
	}
}

// ValidateOn reports what does not go with the type of the device's bus.
func (o *modbusOptions) ValidateOn(bus string, report func(path, msg string)) {
	if bus == "modbus_rtu" && (o.Unit < 1 || o.Unit > 247) {
		report("unit", fmt.Sprintf("%d is no unit of a serial line, which are 1 to 247", o.Unit))
	}
}

// modbusUnit reads and writes the registers of one unit.
type modbusUnit struct {
	o         modbusOptions
	registers []*modbusValue // by table and address
	master    *modbus.Master
	words     []uint16      // of one answer
	whole     []modbus.Span // the reads when all registers are due

	// What the unit turned out not to like, since Open.
	noMask bool // function 16
	noGaps bool // reads over addresses that nobody asked for
}

var (
	_ sensors.Guarded = (*modbusUnit)(nil)
	_ sensors.Paced   = (*modbusUnit)(nil)
)

func newModbus(o modbusOptions, entities map[string]any) (*modbusUnit, error) {
	if err := validated(&o); err != nil {
		return nil, err
	}
	d := &modbusUnit{o: o}
	for name, e := range entities {
		r := e.(*modbusRegister)
		if err := validated(r); err != nil {
			return nil, fmt.Errorf("registers: %s: %w", name, err)
		}
		d.registers = append(d.registers, r.value(name, o.WordOrder))
	}
	if len(d.registers) == 0 {
		return nil, errors.New("registers: which are to be read? for example - {name: voltage, address: 0, table: input, type: float32}")
	}
	sort.Slice(d.registers, func(i, j int) bool {
		a, b := d.registers[i], d.registers[j]
		return a.span.Table < b.span.Table || a.span.Table == b.span.Table && (a.Address < b.Address || a.Address == b.Address && a.name < b.name)
	})
	d.words = make([]uint16, 1) // grows to the longest answer that is asked for
	return d, nil
}

// Open implements sensors.Driver: it opens the line, which may be open already,
// and asks the unit for nothing.
func (d *modbusUnit) Open(ctx context.Context, b sensors.Buses) error {
	master, err := b.Modbus(d.o.Bus)
	if err != nil {
		return err
	}
	if err := master.Open(ctx); err != nil {
		return modbusFault(err)
	}
	d.master, d.noMask, d.noGaps, d.whole = master, false, false, nil
	for _, r := range d.registers {
		r.read = time.Time{}
	}
	return nil
}

// Close implements sensors.Driver. The line is shared and stays open.
func (d *modbusUnit) Close() error { return nil }

// Every implements sensors.Paced.
func (d *modbusUnit) Every(entity string) time.Duration {
	if r := d.register(entity); r != nil {
		return r.Interval
	}
	return 0
}

func (d *modbusUnit) register(name string) *modbusValue {
	for _, r := range d.registers {
		if r.name == name {
			return r
		}
	}
	return nil
}

// Read implements sensors.Driver: all registers whose time has come, in as few
// requests as it takes. A request that fails fails its registers only, unless
// the line itself failed.
func (d *modbusUnit) Read(ctx context.Context) ([]sensors.Reading, error) {
	start := time.Now()
	due := d.due(start)
	list := make([]sensors.Reading, 0, len(due))
	var failure error // the first
	good := false
	for _, span := range d.plan(due) {
		words, err := d.ask(ctx, span)
		switch {
		case err == nil:
			good = true
		case !ofUnit(err) && failure != nil && ctx.Err() != nil:
			return list, failure // it is what took the time
		case !ofUnit(err):
			return list, err
		case d.split(err, span, due):
			return d.Read(ctx) // each on its own now, and never again over gaps
		case failure == nil:
			failure = err
		}
		list = collect(list, due, span, words, err, start)
	}
	if good {
		return list, nil
	}
	for _, r := range due {
		r.read = time.Time{}
	}
	return nil, failure
}

// collect adds the readings of the registers in a span that were not read since
// start. err fails them all.
func collect(list []sensors.Reading, due []*modbusValue, span modbus.Span, words []uint16, err error, start time.Time) []sensors.Reading {
	at := time.Now()
	for _, r := range due {
		if !span.Contains(r.span) || !r.read.Before(start) {
			continue
		}
		reading := sensors.Reading{Entity: r.name, At: at, Err: err}
		if err == nil {
			reading = r.reading(words[r.span.Address-span.Address:], at)
		}
		r.read = at
		list = append(list, reading)
	}
	return list
}

// due are the registers to read at now. A register with an interval of its own
// waits for it, give or take an eighth; if that leaves none, all are read: an
// interval without any reading would be a failure.
func (d *modbusUnit) due(now time.Time) []*modbusValue {
	var due []*modbusValue
	for _, r := range d.registers {
		if now.Sub(r.read) >= r.Interval-r.Interval/8 {
			due = append(due, r)
		}
	}
	if len(due) == 0 {
		return d.registers
	}
	return due
}

func (d *modbusUnit) plan(due []*modbusValue) []modbus.Span {
	if len(due) == len(d.registers) && d.whole != nil {
		return d.whole
	}
	spans := make([]modbus.Span, len(due))
	for i, r := range due {
		spans[i] = r.span
	}
	gap := d.o.MaxGap
	if d.noGaps {
		gap = -1
	}
	reads := modbus.Plan(spans, gap, d.o.MaxRead)
	if len(due) == len(d.registers) {
		d.whole = reads
	}
	return reads
}

// ask reads one span. An answer that arrived damaged is asked for once more at
// once: noise is short, an interval is long.
func (d *modbusUnit) ask(ctx context.Context, s modbus.Span) ([]uint16, error) {
	if len(d.words) < int(s.Count) {
		d.words = make([]uint16, s.Count)
	}
	words := d.words[:s.Count]
	err := d.master.Read(ctx, byte(d.o.Unit), s.Table, s.Address, words)
	if damaged(err) {
		again := d.master.Read(ctx, byte(d.o.Unit), s.Table, s.Address, words)
		if again == nil || ctx.Err() == nil {
			err = again // else it was the noise that took the time
		}
	}
	return words, modbusFault(err)
}

// damaged reports whether an answer came that noise has spoiled.
func damaged(err error) bool {
	return errors.Is(err, modbus.ErrCRC) || errors.Is(err, modbus.ErrGarbage) || errors.Is(err, modbus.ErrTruncated)
}

// split reports whether a refused request is to be tried in its parts: the
// unit may have nothing at an address between two that were asked for.
func (d *modbusUnit) split(err error, s modbus.Span, due []*modbusValue) bool {
	if d.noGaps || !errors.Is(err, modbus.IllegalDataAddress) && !errors.Is(err, modbus.IllegalDataValue) {
		return false
	}
	for _, r := range due {
		if s.Contains(r.span) && r.span != s {
			d.noGaps, d.whole = true, nil
		}
		r.read = time.Time{}
	}
	return d.noGaps
}

// reading makes the register's value of its words.
func (r *modbusValue) reading(words []uint16, at time.Time) sensors.Reading {
	out := sensors.Reading{Entity: r.name, At: at}
	v, err := r.format.Decode(words[:r.span.Count])
	if err != nil {
		out.Err = &sensors.Fault{Reason: sensors.Parse, Err: err}
		return out
	}
	if n, ok := v.(uint64); ok && n <= math.MaxInt64 {
		v = int64(n)
	}
	if n, ok := number(v).(float64); ok && (r.Scale != 1 || r.Offset != 0) {
		v = n
	}
	f, ok := v.(float64)
	switch {
	case !ok:
	case math.IsNaN(f), math.IsInf(f, 0):
		out.Err = &sensors.Fault{Reason: sensors.OutOfRange, Err: fmt.Errorf("the unit says %v: it has no measurement", f)}
		return out
	default:
		v = f*r.Scale + r.Offset
	}
	out.Value = v
	return out
}
