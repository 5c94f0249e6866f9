package drivers

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestModbusOutputs(t *testing.T) {
	writable := func(table, kind, onStop string, s sensors.Safety) *modbusRegister {
		return &modbusRegister{Table: table, Type: kind, Scale: 1, Write: "single", Verify: "none", Writable: &modbusWritable{}, OnStop: onStop, Safety: s}
	}
	fall := sensors.Failsafe{State: "40", After: time.Second, Without: "heartbeat"}
	d := mustBuild(t, "modbus", func(o any) { o.(*modbusOptions).Bus = "line" }, map[string]any{
		"coil":     writable("coil", "", "", sensors.Safety{MaxOn: time.Minute}),
		"setpoint": writable("holding", "uint16", "5", sensors.Safety{Failsafe: fall}),
		"meter":    &modbusRegister{Table: "input", Scale: 1, Write: "single", Verify: "none"},
	})
	want := []sensors.Safety{
		{Entity: "coil", Path: ".", Off: "OFF", Timed: true, MaxOn: time.Minute},
		{Entity: "setpoint", Path: ".", Off: "5", Failsafe: fall},
	}
	if got := d.(sensors.Guarded).Outputs(); !slices.Equal(got, want) {
		t.Errorf("outputs are %+v, want %+v", got, want)
	}
	for key, bad := range map[string]*modbusRegister{
		"failsafe.state": writable("holding", "uint16", "", sensors.Safety{Failsafe: sensors.Failsafe{State: "70000", After: 1, Without: "client x"}}),
		"max_on":         writable("holding", "uint16", "", sensors.Safety{MaxOn: time.Second}),
		"require":        writable("coil", "", "", sensors.Safety{Require: "tank is full"}),
		"writable":       {Table: "coil", Scale: 1, Write: "single", Verify: "none", Safety: sensors.Safety{Require: "tank.level > 1"}},
	} {
		_, err := build(t, "modbus", func(o any) { o.(*modbusOptions).Bus = "line" }, map[string]any{"r": bad})
		if err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// A unit reads the configuration's registers; a hundred units with a copy of each
// had 100 kB for nothing. It does not change them either.
func TestModbusKeepsNoCopyOfItsOptions(t *testing.T) {
	e := &modbusRegister{Table: "holding", Scale: 1, Write: "single", Verify: "none", Writable: &modbusWritable{not: true}}
	before := *e
	d, err := newModbus(modbusOptions{Bus: "line", Unit: 1, WordOrder: "little"}, map[string]any{"r": e})
	if err != nil {
		t.Fatal(err)
	}
	if r := d.registers[0]; r.modbusRegister != e || r.format.Order != "little" || len(d.Outputs()) != 0 {
		t.Errorf("the unit has %+v", r)
	}
	if *e != before {
		t.Errorf("the options became %+v", e)
	}
}
