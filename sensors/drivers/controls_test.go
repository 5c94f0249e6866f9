package drivers

import (
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Every driver that takes commands says which: an output that is not announced
// is an output that nobody finds.
func TestControls(t *testing.T) {
	for name, want := range map[string]sensors.Control{
		"gpio_out": {Platform: "switch"}, "pwm": {Platform: "number", Max: 100}, "sim": {Platform: "switch"},
	} {
		d := mustBuild(t, name, func(o any) {
			switch o := o.(type) {
			case *gpioOutOptions:
				o.Line.Name = "GPIO4"
			case *pwmOptions:
				o.Period = 40 * time.Microsecond
			}
		}, nil)
		c, ok := d.(sensors.Controller)
		if !ok {
			t.Errorf("%s does not say what it takes", name)
			continue
		}
		if got := c.Controls(); len(got) != 1 || got["output"] != want && got["relay"] != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	low, high := 0.0, 50.0
	register := func(change func(r *modbusRegister)) *modbusRegister {
		r := Table()["modbus"].Entity().(*modbusRegister)
		change(r)
		return r
	}
	unit := mustBuild(t, "modbus", func(o any) { o.(*modbusOptions).Bus, o.(*modbusOptions).Unit = "line", 1 }, map[string]any{
		"speed": register(func(r *modbusRegister) { r.Writable = &modbusWritable{Min: &low, Max: &high, Step: 0.1} }),
		"run":   register(func(r *modbusRegister) { r.Type, r.Address, r.Writable = "bit", 1, &modbusWritable{} }),
		"open":  register(func(r *modbusRegister) { r.Address, r.Writable = 2, &modbusWritable{} }),
		"read":  register(func(r *modbusRegister) { r.Address = 3 }),
	}).(sensors.Controller)
	if got := unit.Controls(); len(got) != 3 || got["speed"] != (sensors.Control{Platform: "number", Min: low, Max: high, Step: 0.1}) ||
		got["run"].Platform != "switch" || got["open"].Min > -1e6 || got["open"].Max < 1e6 {
		t.Errorf("modbus: %v", got)
	}
}
