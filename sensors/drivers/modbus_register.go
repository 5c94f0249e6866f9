package drivers

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// modbusRegister is one value of a unit: an entry of a table, or several.
type modbusRegister struct {
	Address   int             `yaml:"address" doc:"from 0, as the protocol counts: 40001 of a manual is table holding, address 0" req:"1" ex:"0x0156"`
	Table     string          `yaml:"table" doc:"where it is" enum:"holding|input|coil|discrete"`
	Type      string          `yaml:"type" doc:"what the registers mean; uint16, or bit in tables of bits, when it is not given" enum:"bit|bits|uint8|int8|uint16|int16|uint32|int32|uint64|int64|float32|float64|bcd16|bcd32|bcd64|string"`
	Bit       int             `yaml:"bit" doc:"lowest bit of bit and bits, 0 to 15; 8 for the high byte of uint8 and int8"`
	Length    int             `yaml:"length" doc:"bits: how many; string: how many bytes"`
	WordOrder string          `yaml:"word_order" doc:"the unit's, when it is not given" enum:"big|little|big_swap|little_swap"`
	Scale     float64         `yaml:"scale" doc:"value = registers x scale + offset"`
	Offset    float64         `yaml:"offset" doc:"see scale"`
	Interval  time.Duration   `yaml:"interval" max:"10000d" doc:"read less often than the device" ex:"60s"`
	Writable  *modbusWritable `yaml:"writable" doc:"takes commands: true, or {min: 0, max: 50, step: 0.1}"`
	Write     string          `yaml:"write" doc:"functions 05 and 06, or 0F and 10, for units that know only those" enum:"single|multiple"`
	Verify    string          `yaml:"verify" doc:"a command is confirmed by reading back, or not at all" enum:"readback|none"`
	OnStop    string          `yaml:"on_stop" doc:"command to itself at a clean shutdown, as OFF or 0"`
	sensors.Safety
}

// modbusValue is a register as it is read.
type modbusValue struct {
	*modbusRegister // the configuration's, which nobody changes
	name            string
	span            modbus.Span
	format          modbus.Format
	read            time.Time // last
}

// modbusWritable is true, or the bounds of what may be written.
type modbusWritable struct {
	Min  *float64 `yaml:"min" doc:"least value"`
	Max  *float64 `yaml:"max" doc:"greatest value"`
	Step float64  `yaml:"step" doc:"distance of values from min, or from 0; without it, what the type cannot hold is rounded"`
	not  bool
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (w *modbusWritable) UnmarshalText(b []byte) error {
	switch string(b) {
	case "true":
	case "false":
		w.not = true
	default:
		return fmt.Errorf("%q is not true, false or {min: 0, max: 50, step: 0.1}", b)
	}
	return nil
}

// modbusTables are the tables by their names in the configuration.
var modbusTables = map[string]modbus.Table{
	"coil": modbus.Coils, "discrete": modbus.Discrete, "input": modbus.Input, "holding": modbus.Holding,
}

// value is the register of this name in a unit whose order of words is known.
func (r *modbusRegister) value(name, order string) *modbusValue {
	table := modbusTables[r.Table]
	v := &modbusValue{modbusRegister: r, name: name, format: modbus.Format{Type: r.Type, Order: r.WordOrder, Bit: r.Bit, Length: r.Length}}
	if v.format.Order == "" {
		v.format.Order = order
	}
	if table.Bits() {
		v.format = modbus.Format{Type: "bit"}
	} else if r.Type == "" {
		v.format.Type = "uint16"
	}
	v.span = modbus.Span{Table: table, Address: uint16(r.Address), Count: v.format.Registers()}
	return v
}

// writable is what may be written; nil: nothing.
func (r *modbusRegister) writable() *modbusWritable {
	if r.Writable != nil && r.Writable.not {
		return nil
	}
	return r.Writable
}

// Validate reports what no register can be.
func (r *modbusRegister) Validate(report func(path, msg string)) {
	table, ok := modbusTables[r.Table]
	if !ok {
		return // the list of words is checked before
	}
	whole := r.value("", r.WordOrder)
	if key, err := whole.format.Check(); err != nil {
		report(key, err.Error())
		return
	}
	switch {
	case table.Bits() && (r.Type != "" && r.Type != "bit" || r.Bit != 0 || r.Length != 0):
		report("type", fmt.Sprintf("a %s is a single bit", r.Table))
	case r.Address < 0 || r.Address+whole.span.Count > 1<<16:
		report("address", fmt.Sprintf("%d is not between 0 and 65535; addresses count from 0 in each table: 400001 of a manual is table holding, address 0", r.Address))
	case r.Scale == 0:
		report("scale", "is 0: every value would be the same")
	case r.Interval < 0:
		report("interval", "is negative")
	case whole.writable() == nil && r.OnStop != "":
		report("on_stop", "needs writable: true")
	case whole.writable() != nil && table != modbus.Coils && table != modbus.Holding:
		report("writable", fmt.Sprintf("the table %s cannot be written", r.Table))
	case whole.writable() != nil && r.OnStop != "":
		if _, _, err := whole.command([]byte(r.OnStop)); err != nil {
			report("on_stop", err.Error())
		}
	}
	whole.checkSafety(report)
	if w := whole.writable(); w != nil && (w.Step < 0 || w.Min != nil && w.Max != nil && *w.Min > *w.Max) {
		report("writable", "its bounds leave nothing to write")
	}
}

// command is what a payload asks for: the words to write, and whether they are
// the opposite of what is there.
func (r *modbusValue) command(payload []byte) (words []uint16, toggle bool, err error) {
	if len(payload) > maxPayload {
		return nil, false, fmt.Errorf("payload of %d bytes, at most %d", len(payload), maxPayload)
	}
	text := strings.TrimSpace(string(payload))
	switch r.format.Type {
	case "bit":
		c, err := sensors.ParseSwitch(payload)
		if err == nil && c.OnFor > 0 {
			err = errors.New("a Modbus unit knows no on_for")
		}
		if err != nil {
			return nil, false, err
		}
		words, err = r.format.Encode(c.On)
		return words, c.Toggle, err
	case "string":
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return nil, false, errors.New("the payload is not plain text")
		}
		words, err = r.format.Encode(text)
		return words, false, err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, false, fmt.Errorf("%.40q is not a number", text)
	}
	if err := r.writable().check(v); err != nil {
		return nil, false, err
	}
	raw := (v - r.Offset) / r.Scale
	if !strings.HasPrefix(r.format.Type, "float") && math.Abs(raw) >= 1<<53 {
		return nil, false, fmt.Errorf("%.40s has more digits than can be written without a mistake", text)
	}
	words, err = r.format.Encode(raw)
	return words, false, err
}

// check holds a number to the bounds.
func (w *modbusWritable) check(v float64) error {
	base := 0.0
	switch {
	case w.Min != nil && !(v >= *w.Min):
		return fmt.Errorf("%g is less than %g", v, *w.Min)
	case w.Max != nil && !(v <= *w.Max):
		return fmt.Errorf("%g is more than %g", v, *w.Max)
	case w.Min != nil:
		base = *w.Min
	}
	if steps := (v - base) / w.Step; w.Step > 0 && math.Abs(steps-math.Round(steps)) > 1e-6 {
		return fmt.Errorf("%g is not %g and whole steps of %g", v, base, w.Step)
	}
	return nil
}
