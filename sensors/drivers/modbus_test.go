package drivers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
)

// modbusLine is a master in a bubble, with units at the far end of its line.
func modbusLine(t *testing.T, u *modbustest.Units) *fakeHardware {
	t.Helper()
	var serving sync.WaitGroup
	m := modbus.New(modbus.Options{
		Timeout: 300 * time.Millisecond, Recovery: time.Second, Turnaround: 20 * time.Millisecond,
		Open: func(context.Context) (modbus.Conn, error) {
			near, far := modbustest.Wire()
			serving.Go(func() { u.ServeRTU(far) })
			return near, nil
		},
	})
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return &fakeHardware{modbus: map[string]*modbus.Master{"line": m}}
}

// modbusDevice is an open driver of unit 1 with these registers.
func modbusDevice(t *testing.T, h *fakeHardware, set func(*modbusOptions), registers map[string]modbusRegister) sensors.Commander {
	t.Helper()
	entities := map[string]any{}
	for name, r := range registers {
		whole := Table()["modbus"].Entity().(*modbusRegister)
		scale, table, write, verify := whole.Scale, whole.Table, whole.Write, whole.Verify
		*whole = r
		if r.Scale == 0 {
			whole.Scale = scale
		}
		if r.Table == "" {
			whole.Table = table
		}
		if r.Write == "" {
			whole.Write = write
		}
		if r.Verify == "" {
			whole.Verify = verify
		}
		entities[name] = whole
	}
	d := mustBuild(t, "modbus", func(o any) {
		o.(*modbusOptions).Bus = "line"
		if set != nil {
			set(o.(*modbusOptions))
		}
	}, entities)
	if err := d.Open(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	return d.(sensors.Commander)
}

func modbusRead(t *testing.T, d sensors.Driver) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	list, err := d.Read(ctx)
	got := map[string]any{}
	for _, r := range list {
		if _, twice := got[r.Entity]; twice {
			t.Errorf("%s was read twice", r.Entity)
		}
		got[r.Entity] = r.Value
		if r.Err != nil {
			got[r.Entity] = sensors.ReasonOf(r.Err)
		}
	}
	return got, err
}

func expectValues(t *testing.T, d sensors.Driver, want map[string]any) {
	t.Helper()
	if got, err := modbusRead(t, d); err != nil || !maps.Equal(got, want) {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
}

func f32(v float32) []uint16 {
	b := math.Float32bits(v)
	return []uint16{uint16(b >> 16), uint16(b)}
}

func TestModbusReadsAllKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		u.Set(1, modbustest.Input, 0, f32(230.5)...)
		u.Set(1, modbustest.Input, 6, f32(float32(math.NaN()))...)
		u.Set(1, modbustest.Holding, 100, 0xFF38, 0x1234, 0x8001, 0x12A4)
		u.Set(1, modbustest.Holding, 200, 0x4142, 0x4300)
		u.Set(1, modbustest.Holding, 300, 0, 0, 1, 0, 0x8000, 0, 0, 1)
		u.Set(1, modbustest.Coils, 3, 1)
		u.Set(1, modbustest.Discrete, 9, 0)
		d := modbusDevice(t, modbusLine(t, u), nil, map[string]modbusRegister{
			"voltage": {Address: 0, Table: "input", Type: "float32"},
			"broken":  {Address: 6, Table: "input", Type: "float32"},
			"temp":    {Address: 100, Type: "int16", Scale: 0.1, Offset: -5},
			"raw":     {Address: 100},
			"total":   {Address: 300, Type: "uint64"},
			"huge":    {Address: 304, Type: "uint64"},
			"meter":   {Address: 101, Type: "bcd16"},
			"high":    {Address: 102, Type: "bit", Bit: 15},
			"low":     {Address: 102, Type: "bits", Bit: 0, Length: 2},
			"nobcd":   {Address: 103, Type: "bcd16"},
			"label":   {Address: 200, Type: "string", Length: 4},
			"pump":    {Address: 3, Table: "coil"},
			"door":    {Address: 9, Table: "discrete"},
		})
		expectValues(t, d, map[string]any{
			"voltage": 230.5, "broken": sensors.OutOfRange, "temp": -25.0, "raw": int64(0xFF38), "total": int64(65536), "huge": uint64(1<<63 + 1), "meter": int64(1234), "high": true,
			"low": int64(1), "nobcd": sensors.Parse, "label": "ABC", "pump": true, "door": false,
		})
	})
}

// Registers near each other are one request; a unit that refuses to be read
// over a hole is read in parts from then on.
func TestModbusMergesAndSplits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		u.Set(1, modbustest.Holding, 0, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
		u.Set(1, modbustest.Holding, 50, 50)
		d := modbusDevice(t, modbusLine(t, u), func(o *modbusOptions) { o.MaxGap = 4 }, map[string]modbusRegister{
			"a": {Address: 0}, "b": {Address: 1}, "c": {Address: 6}, "far": {Address: 50, Interval: time.Hour},
		})
		want := map[string]any{"a": int64(10), "b": int64(11), "c": int64(16), "far": int64(50)}
		expectValues(t, d, want)
		if n := u.Requests(); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}

		holes := &modbustest.Units{}
		holes.Set(1, modbustest.Holding, 50, 50)
		holes.Set(1, modbustest.Holding, 0, 10, 11)
		holes.Set(1, modbustest.Holding, 6, 16)
		d = modbusDevice(t, modbusLine(t, holes), func(o *modbusOptions) { o.MaxGap = 50 }, map[string]modbusRegister{
			"a": {Address: 0}, "b": {Address: 1}, "c": {Address: 6}, "far": {Address: 50, Interval: time.Hour},
		})
		expectValues(t, d, want)
		before := holes.Requests()
		time.Sleep(time.Minute)
		delete(want, "far")
		expectValues(t, d, want)
		if n := holes.Requests() - before; n != 3 {
			t.Errorf("%d requests, want 3: each on its own", n)
		}
	})
}

// A register with an interval of its own is read that often, and after every
// Open.
func TestModbusIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		u.Set(1, modbustest.Holding, 0, 1, 2)
		h := modbusLine(t, u)
		d := modbusDevice(t, h, nil, map[string]modbusRegister{"fast": {Address: 0}, "slow": {Address: 1, Interval: time.Minute}})
		count := map[string]int{}
		for range 60 { // five minutes
			got, err := modbusRead(t, d)
			if err != nil {
				t.Fatal(err)
			}
			for name := range got {
				count[name]++
			}
			time.Sleep(5 * time.Second)
		}
		if count["fast"] != 60 || count["slow"] < 5 || count["slow"] > 6 {
			t.Errorf("reads %v, want 60 and 5", count)
		}
		if p := d.(sensors.Paced); p.Every("slow") != time.Minute || p.Every("fast") != 0 {
			t.Error("Every is wrong")
		}
		if err := d.Open(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		expectValues(t, d, map[string]any{"fast": int64(1), "slow": int64(2)})
	})
}

// Each way in which a unit fails is its own reason.
func TestModbusReasons(t *testing.T) {
	exception := func(code byte) func(r, a []byte) []byte {
		return func(r, a []byte) []byte { return modbustest.WithCRC([]byte{r[0], r[1] | 0x80, code}) }
	}
	for _, tc := range []struct {
		want  sensors.Reason
		twist func(request, answer []byte) []byte
	}{
		{"timeout", func(r, a []byte) []byte { return nil }},
		{"garbage", func(r, a []byte) []byte { return []byte("#!rkPq") }},
		{"crc", func(r, a []byte) []byte { a[3] ^= 1; return a }},
		{"wrong_unit", func(r, a []byte) []byte { return modbustest.WithCRC([]byte{7, 3, 2, 0, 1}) }},
		{"truncated", func(r, a []byte) []byte { return a[:4] }},
		{"echo", func(r, a []byte) []byte { return r }},
		{"illegal_function", exception(1)},
		{"illegal_address", exception(2)},
		{"illegal_value", exception(3)},
		{"device_failure", exception(4)},
		{"busy", exception(5)},
		{"busy", exception(6)},
		{"memory_parity", exception(8)},
		{"gateway_path", exception(10)},
		{"gateway_target", exception(11)},
		{"exception", exception(99)},
	} {
		t.Run(string(tc.want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &modbustest.Units{Twist: func(_ int, r, a []byte, send func([]byte)) {
					if out := tc.twist(r, a); out != nil {
						send(out)
					}
				}}
				u.Set(1, modbustest.Holding, 0, 1)
				d := modbusDevice(t, modbusLine(t, u), nil, map[string]modbusRegister{"a": {Address: 0}})
				for range 3 { // the same reason every time
					if got, err := modbusRead(t, d); sensors.ReasonOf(err) != tc.want || len(got) > 0 {
						t.Errorf("%v, %v; want %s", got, err, tc.want)
					}
					time.Sleep(30 * time.Second)
				}
				var f *sensors.Fault
				if _, err := modbusRead(t, d); !errors.As(err, &f) {
					t.Errorf("%v is no fault", err)
				}
			})
		})
	}
}

// One answer damaged by noise costs nothing; a register that is not there
// fails alone.
func TestModbusPartialFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{Twist: func(n int, _, a []byte, send func([]byte)) {
			if n == 0 {
				a[4] ^= 0x20
			}
			send(a)
		}}
		u.Set(1, modbustest.Holding, 0, 1)
		d := modbusDevice(t, modbusLine(t, u), nil, map[string]modbusRegister{"a": {Address: 0}, "none": {Address: 500}})
		expectValues(t, d, map[string]any{"a": int64(1), "none": sensors.IllegalAddress})
	})
}

// A unit that never answers one of its registers gives the others.
func TestModbusSilentRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{Twist: func(_ int, r, a []byte, send func([]byte)) {
			if r[3] != 100 {
				send(a)
			}
		}}
		u.Set(1, modbustest.Holding, 0, 1)
		u.Set(1, modbustest.Holding, 100, 2)
		u.Set(1, modbustest.Holding, 200, 3)
		d := modbusDevice(t, modbusLine(t, u), nil, map[string]modbusRegister{"a": {Address: 0}, "mute": {Address: 100}, "z": {Address: 200}})
		for range 5 {
			expectValues(t, d, map[string]any{"a": int64(1), "mute": sensors.Timeout, "z": int64(3)})
			time.Sleep(5 * time.Second)
		}
	})
}

// A line that is lost ends the read: what was read before it counts, what comes
// after is not tried.
func TestModbusLostLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		for i := range uint16(5) {
			u.Set(1, modbustest.Holding, 100*i, i)
		}
		opened := 0
		m := modbus.New(modbus.Options{Timeout: time.Second, Open: func(context.Context) (modbus.Conn, error) {
			if opened++; opened > 1 {
				return nil, errors.New("no such port")
			}
			near, far := modbustest.Wire()
			u.Twist = func(n int, _, a []byte, send func([]byte)) {
				if send(a); n == 1 {
					far.Close()
				}
			}
			go u.ServeRTU(far)
			return near, nil
		}})
		defer m.Close()
		registers := map[string]modbusRegister{}
		for i := range 5 {
			registers[fmt.Sprint("r", i)] = modbusRegister{Address: 100 * i}
		}
		d := modbusDevice(t, &fakeHardware{modbus: map[string]*modbus.Master{"line": m}}, nil, registers)
		got, err := modbusRead(t, d)
		if want := map[string]any{"r0": int64(0), "r1": int64(1)}; !maps.Equal(got, want) || sensors.ReasonOf(err) == "" || opened != 1 {
			t.Errorf("%v, %v, opened %d times", got, err, opened)
		}
		if got, err := modbusRead(t, d); len(got) > 0 || err == nil || opened != 2 {
			t.Errorf("%v, %v, opened %d times", got, err, opened)
		}
	})
}

func TestModbusCommands(t *testing.T) {
	fifty, zero := 50.0, 0.0
	registers := map[string]modbusRegister{
		"count":    {Address: 60, Type: "int64", Writable: &modbusWritable{}},
		"setpoint": {Address: 0, Scale: 0.01, Writable: &modbusWritable{Min: &zero, Max: &fifty, Step: 0.1}},
		"signed":   {Address: 1, Type: "int16", Scale: 0.5, Offset: 10, Writable: &modbusWritable{}},
		"run":      {Address: 2, Type: "bit", Bit: 3, Writable: &modbusWritable{}, OnStop: "OFF"},
		"mode":     {Address: 2, Type: "bits", Bit: 8, Length: 4, Writable: &modbusWritable{}},
		"limit":    {Address: 4, Type: "float32", WordOrder: "little_swap", Writable: &modbusWritable{}},
		"label":    {Address: 6, Type: "string", Length: 4, Writable: &modbusWritable{}},
		"pump":     {Address: 0, Table: "coil", Writable: &modbusWritable{}},
		"lamp":     {Address: 1, Table: "coil", Write: "multiple", Writable: &modbusWritable{}},
		"blind":    {Address: 8, Verify: "none", Writable: &modbusWritable{}},
		"fixed":    {Address: 9},
		"denied":   {Address: 10, Writable: &modbusWritable{not: true}},
	}
	for _, noMask := range []bool{false, true} {
		t.Run(fmt.Sprintf("without function 16: %v", noMask), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &modbustest.Units{NoMask: noMask}
				u.Set(1, modbustest.Holding, 60, 0, 0, 0, 0)
				u.Set(1, modbustest.Holding, 0, 0, 0, 0xF0F0, 0, 0, 0, 0, 0, 0, 0, 0)
				u.Set(1, modbustest.Coils, 0, 0, 0)
				d := modbusDevice(t, modbusLine(t, u), nil, registers)
				for _, tc := range []struct {
					entity, payload string
					want            any    // confirmed; nil is none
					fails           string // in the error
				}{
					{"setpoint", "12.3", 12.3, ""},
					{"count", "-9007199254740991", int64(1 - 1<<53), ""},
					{"count", "9007199254740993", nil, "digits"},
					{"setpoint", " 50 ", 50.0, ""},
					{"setpoint", "50.1", nil, "more than 50"},
					{"setpoint", "-1", nil, "less than 0"},
					{"setpoint", "12.34", nil, "steps of 0.1"},
					{"setpoint", "NaN", nil, "less"},
					{"setpoint", "ON", nil, "not a number"},
					{"signed", "-20", -20.0, ""},
					{"signed", "1e9", nil, "does not fit"},
					{"run", "ON", true, ""},
					{"run", "TOGGLE", false, ""},
					{"run", "toggle", true, ""},
					{"run", `{"state":"ON","on_for":"5s"}`, nil, "on_for"},
					{"run", "maybe", nil, "is not ON"},
					{"mode", "5", int64(5), ""},
					{"mode", "16", nil, "does not fit"},
					{"limit", "12.5", 12.5, ""},
					{"label", "abc", "abc", ""},
					{"label", "abcde", nil, "do not fit"},
					{"label", "a\x00b", nil, "plain text"},
					{"label", "\xc1", nil, "plain text"},
					{"pump", "1", true, ""},
					{"pump", "TOGGLE", false, ""},
					{"lamp", "true", true, ""},
					{"blind", "7", nil, ""},
					{"fixed", "1", nil, "takes no commands"},
					{"denied", "1", nil, "takes no commands"},
					{"other", "1", nil, "takes no commands"},
				} {
					list, err := d.Do(t.Context(), tc.entity, []byte(tc.payload))
					if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
						t.Errorf("%s %s: %v, want %q", tc.entity, tc.payload, err, tc.fails)
					}
					if got := values(list)[tc.entity]; got != tc.want {
						t.Errorf("%s %s: confirmed %v, want %v", tc.entity, tc.payload, got, tc.want)
					}
				}
				for address, want := range map[uint16]uint16{0: 5000, 1: 0xFFC4, 2: 0xF5F8, 4: 0, 5: 0x4148, 6: 0x6162, 7: 0x6300, 8: 7} {
					if got := u.Get(1, modbustest.Holding, address); got != want {
						t.Errorf("register %d is %04x, want %04x", address, got, want)
					}
				}
				if err := d.Stop(t.Context()); err != nil || u.Get(1, modbustest.Holding, 2) != 0xF5F0 {
					t.Errorf("on_stop: %v, register 2 is %04x", err, u.Get(1, modbustest.Holding, 2))
				}
			})
		})
	}
}

// A unit that does not take what was written says what it has, and the command
// fails; one that is not there is a fault.
func TestModbusReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		u.Twist = func(n int, r, a []byte, send func([]byte)) {
			if r[1] == 6 {
				u.Set(1, modbustest.Holding, 0, 400) // its own limit
			}
			send(a)
		}
		u.Set(1, modbustest.Holding, 0, 100)
		h := modbusLine(t, u)
		registers := map[string]modbusRegister{"setpoint": {Scale: 0.1, Writable: &modbusWritable{}}}
		d := modbusDevice(t, h, nil, registers)
		list, err := d.Do(t.Context(), "setpoint", []byte("50"))
		var f *sensors.Fault
		if err == nil || errors.As(err, &f) || values(list)["setpoint"] != 40.0 {
			t.Errorf("%v, %v", values(list), err)
		}
		d = modbusDevice(t, h, func(o *modbusOptions) { o.Unit = 9 }, registers)
		if _, err := d.Do(t.Context(), "setpoint", []byte("50")); sensors.ReasonOf(err) != sensors.Timeout {
			t.Errorf("a unit that is not there: %v", err)
		}
	})
}

// A value of several registers is confirmed by all of them, and a write whose
// answer was lost by what the unit has.
func TestModbusConfirmsTheWholeValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		u.Set(1, modbustest.Holding, 0, 0, 0)
		lose, keep := false, false
		u.Twist = func(_ int, r, a []byte, send func([]byte)) {
			if r[1] == 0x10 && keep {
				u.Set(1, modbustest.Holding, 1, 7) // the lower half stays
			}
			if r[1] != 0x10 || !lose {
				send(a)
			}
		}
		registers := map[string]modbusRegister{"limit": {Type: "uint32", Writable: &modbusWritable{}}}
		d := modbusDevice(t, modbusLine(t, u), nil, registers)
		do := func(want any, ok bool) {
			t.Helper()
			list, err := d.Do(t.Context(), "limit", []byte("65537"))
			if (err == nil) != ok || values(list)["limit"] != want {
				t.Errorf("%v, %v; want %v", values(list), err, want)
			}
		}
		do(int64(65537), true)
		keep = true
		do(int64(65543), false)
		lose, keep = true, false
		do(int64(65537), true)
		lose, keep = true, true
		do(int64(65543), false)
	})
}

func TestModbusRefusesConfigurations(t *testing.T) {
	low, high := 1.0, 0.0
	for _, tc := range []struct {
		set  func(*modbusOptions, *modbusRegister)
		want string
	}{
		{func(o *modbusOptions, r *modbusRegister) { o.Unit = 256 }, "unit"},
		{func(o *modbusOptions, r *modbusRegister) { o.MaxGap = -1 }, "max_gap"},
		{func(o *modbusOptions, r *modbusRegister) { o.MaxRead = -1 }, "max_read"},
		{func(o *modbusOptions, r *modbusRegister) { r.Address = 400001 }, "count from 0"},
		{func(o *modbusOptions, r *modbusRegister) { r.Address, r.Type = 65535, "uint32" }, "address"},
		{func(o *modbusOptions, r *modbusRegister) { r.Type = "float16" }, "type"},
		{func(o *modbusOptions, r *modbusRegister) { r.Table, r.Type = "coil", "uint16" }, "single bit"},
		{func(o *modbusOptions, r *modbusRegister) { r.Scale = 0 }, "scale"},
		{func(o *modbusOptions, r *modbusRegister) { r.Bit = 3 }, "bit"},
		{func(o *modbusOptions, r *modbusRegister) { r.Table, r.Writable = "input", &modbusWritable{} }, "cannot be written"},
		{func(o *modbusOptions, r *modbusRegister) { r.Writable = &modbusWritable{Min: &low, Max: &high} }, "nothing to write"},
		{func(o *modbusOptions, r *modbusRegister) { r.OnStop = "0" }, "on_stop"},
		{func(o *modbusOptions, r *modbusRegister) { r.OnStop, r.Writable = "OFF", &modbusWritable{} }, "not a number"},
	} {
		o := Table()["modbus"].Options().(*modbusOptions)
		r := Table()["modbus"].Entity().(*modbusRegister)
		o.Bus = "line"
		tc.set(o, r)
		if _, err := Table()["modbus"].New(o, map[string]any{"a": r}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want something about %q", err, tc.want)
		}
	}
	if _, err := build(t, "modbus", nil, nil); err == nil || !strings.Contains(err.Error(), "registers") {
		t.Errorf("no registers: %v", err)
	}
}

func TestModbusUnitAndBus(t *testing.T) {
	for _, tc := range []struct {
		unit int
		bus  string
		ok   bool
	}{{1, "modbus_rtu", true}, {247, "modbus_rtu", true}, {0, "modbus_rtu", false}, {248, "modbus_rtu", false}, {0, "modbus_tcp", true}, {255, "modbus_tcp", true}} {
		said := ""
		(&modbusOptions{Unit: tc.unit}).ValidateOn(tc.bus, func(path, _ string) { said += path })
		if said != map[bool]string{false: "unit"}[tc.ok] {
			t.Errorf("unit %d on %s: %q", tc.unit, tc.bus, said)
		}
	}
}

func BenchmarkModbusRead(b *testing.B) {
	near, far := modbustest.Wire()
	u := &modbustest.Units{}
	u.Set(1, modbustest.Input, 0, make([]uint16, 40)...)
	go u.ServeTCP(far)
	m := modbus.New(modbus.Options{TCP: true, Timeout: time.Second, Open: func(context.Context) (modbus.Conn, error) { return near, nil }})
	defer m.Close()
	entities := map[string]any{}
	for i := range 20 {
		entities[fmt.Sprint("r", i)] = &modbusRegister{Address: 2 * i, Table: "input", Type: "float32", Scale: 1, Write: "single", Verify: "none"}
	}
	d, err := Table()["modbus"].New(&modbusOptions{Bus: "line", Unit: 1, WordOrder: "big"}, entities)
	if err != nil {
		b.Fatal(err)
	}
	if err := d.Open(b.Context(), &fakeHardware{modbus: map[string]*modbus.Master{"line": m}}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if list, err := d.Read(b.Context()); err != nil || len(list) != 20 {
			b.Fatal(list, err)
		}
	}
}
