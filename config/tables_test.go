package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The drivers and filters of these tests: as the real ones, of the shapes that
// a binder has to fill.
type (
	fakeLine struct {
		Name   string `yaml:"name"`
		Chip   string `yaml:"chip"`
		Offset int    `yaml:"offset"`
	}
	fakeGPIO struct {
		Line      fakeLine      `yaml:"line" req:"1"`
		Bias      string        `yaml:"bias" enum:"as_is|disabled|pull_up|pull_down"`
		ActiveLow bool          `yaml:"active_low"`
		Debounce  time.Duration `yaml:"debounce"`
		Initial   string        `yaml:"initial" enum:"active|inactive"`
		MaxOn     time.Duration `yaml:"max_on"`
		Require   string        `yaml:"require"`
		Failsafe  *fakeFailsafe `yaml:"failsafe"`
	}
	fakeFailsafe struct {
		State   string        `yaml:"state" enum:"active|inactive"`
		After   time.Duration `yaml:"after" req:"1"`
		Without string        `yaml:"without"`
	}
	fakeI2C struct {
		Bus     string `yaml:"bus" req:"1" ex:"i2c1"`
		Address uint16 `yaml:"address"`
	}
	fakeUSB struct {
		VID    string `yaml:"vid"`
		PID    string `yaml:"pid"`
		Serial string `yaml:"serial"`
	}
	fakePort struct {
		Path string        `yaml:"path"`
		USB  fakeUSB       `yaml:"usb"`
		Baud int           `yaml:"baud"`
		DTR  string        `yaml:"dtr" enum:"keep|on|off|pulse"`
		Wait time.Duration `yaml:"settle"`
	}
	fakeLines struct {
		Port    fakePort          `yaml:"port" req:"1"`
		Format  string            `yaml:"format" enum:"json|csv|key_value|regex"`
		Pattern string            `yaml:"pattern"`
		Columns []string          `yaml:"columns"`
		Send    map[string]string `yaml:"send"`
	}
	fakeHwmon struct {
		Match struct {
			Name []string `yaml:"name"`
		} `yaml:"match"`
		Include []string `yaml:"include"`
	}
	fakeSim struct {
		fakeSeed `yaml:",inline"`
		Waves    map[string]fakeWave `yaml:"waves"`
		Extra    any                 `yaml:"extra"`
		Level    *float64            `yaml:"level"`
		Small    uint8               `yaml:"small"`
	}
	fakeSeed struct {
		Seed int64 `yaml:"seed"`
	}
	fakeWave struct {
		Mean   float64       `yaml:"mean"`
		Period time.Duration `yaml:"period" min:"1s"`
	}
	fakeEntity struct {
		Path  string `yaml:"path"`
		Group string `yaml:"group"`
	}
	fakeSPI struct {
		Bus string `yaml:"bus" bus:"spi" req:"1" ex:"spi0"`
	}
	fakeModbus struct {
		Bus    string `yaml:"bus" bus:"modbus" req:"1" ex:"rs485a"`
		Unit   int    `yaml:"unit"`
		MaxGap int    `yaml:"max_gap"`
	}
	fakeRegister struct {
		Address  int           `yaml:"address" req:"1"`
		Table    string        `yaml:"table" enum:"holding|input|coil|discrete"`
		Type     string        `yaml:"type"`
		Order    string        `yaml:"word_order"`
		Bit      int           `yaml:"bit"`
		Scale    float64       `yaml:"scale"`
		Interval time.Duration `yaml:"interval"`
		Writable any           `yaml:"writable"`
		Verify   string        `yaml:"verify"`
		OnStop   string        `yaml:"on_stop"`
	}
	fakeMedian struct {
		Size int `yaml:"window_size"`
	}
	fakeDelta struct {
		Absolute float64 `yaml:"absolute"`
	}
	fakePeriod struct {
		Period time.Duration `yaml:"period" req:"1" ex:"10s"`
	}
	fakePair      struct{ From, To float64 }
	fakeCalibrate struct {
		Pairs []fakePair `yaml:",list"`
	}
	fakeRange struct {
		Min float64 `yaml:"min"`
		Max float64 `yaml:"max"`
	}
)

func (m *fakeModbus) ValidateOn(bus string, report func(path, msg string)) {
	if bus == "modbus_rtu" && m.Unit == 0 {
		report("unit", "0 is no unit of a serial line")
	}
}

func (l *fakeLine) UnmarshalText(b []byte) error {
	if _, err := strconv.Atoi(string(b)); err == nil {
		return fmt.Errorf("%q is not the name of a line", b)
	}
	l.Name = string(b)
	return nil
}

func (l *fakeLine) Validate(report func(path, msg string)) {
	if *l == (fakeLine{}) {
		report("", "which line?")
	}
}

func (o *fakeLines) Validate(report func(path, msg string)) {
	if o.Port.Path == "" && o.Port.USB == (fakeUSB{}) {
		report("port", "which port? give path or usb")
	}
	if o.Port.Baud < 50 {
		report("port.baud", "is too slow")
	}
	if o.Format == "regex" && o.Pattern == "" {
		report("pattern", "is missing: format regex needs it")
	}
}

func (d *fakeDelta) UnmarshalText(b []byte) (err error) {
	if d.Absolute, err = strconv.ParseFloat(string(b), 64); err != nil {
		return fmt.Errorf("%q is not a number", b)
	}
	return nil
}

func (p *fakePeriod) UnmarshalText(b []byte) (err error) {
	p.Period, err = time.ParseDuration(string(b))
	return err
}

func (p *fakePair) UnmarshalText(b []byte) error {
	if _, err := fmt.Sscanf(string(b), "%g -> %g", &p.From, &p.To); err != nil {
		return fmt.Errorf("%q is not a pair, as 0.0 -> 0.4", b)
	}
	return nil
}

func (c *fakeCalibrate) Validate(report func(path, msg string)) {
	if len(c.Pairs) < 2 {
		report("", "needs two points")
	}
}

func testTables() Tables {
	gpio := Driver{Options: func() any { return &fakeGPIO{Bias: "as_is", Initial: "inactive"} }}
	return Tables{
		Drivers: map[string]Driver{
			"system":  {Options: func() any { return &struct{}{} }},
			"hwmon":   {Options: func() any { return &fakeHwmon{} }},
			"lines":   {Options: func() any { return &fakeLines{Port: fakePort{Baud: 9600, DTR: "keep"}, Format: "json"} }, Entity: func() any { return &fakeEntity{} }},
			"bme280":  {Options: func() any { return &fakeI2C{Address: 0x76} }},
			"mcp3008": {Options: func() any { return &fakeSPI{} }},
			"modbus": {Options: func() any { return &fakeModbus{Unit: 1} }, EntityList: "registers",
				Entity: func() any { return &fakeRegister{Table: "holding", Scale: 1} }},
			"gpio_in":  gpio,
			"gpio_out": gpio,
			"sim":      {Options: func() any { return &fakeSim{} }, Entity: func() any { return nil }},
		},
		Filters: map[string]Filter{
			"median":           {Options: func() any { return &fakeMedian{Size: 5} }},
			"delta":            {Options: func() any { return &fakeDelta{} }},
			"throttle":         {Options: func() any { return &fakePeriod{} }},
			"calibrate_linear": {Options: func() any { return &fakeCalibrate{} }},
			"range":            {Options: func() any { return &fakeRange{} }},
			"round":            {Options: func() any { return &fakeDelta{} }},
		},
	}
}

// environment is the env of tests.
func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, p := range pairs {
			if k, v, _ := strings.Cut(p, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}
