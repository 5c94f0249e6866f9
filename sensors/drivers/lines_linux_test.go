package drivers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// patience bounds every wait of these tests; they end much sooner.
const patience = 10 * time.Second

// talker is a driver on a pseudo terminal with its device at the far end.
type talker struct {
	*serialtest.Device
	d sensors.Driver
}

func newTalker(t *testing.T, set func(*linesOptions), entities map[string]any) *talker {
	t.Helper()
	return newTalkerOf(t, "lines", func(o any, path string) {
		opts := o.(*linesOptions)
		opts.Port.Path = path
		opts.FirstLine = "keep"
		if set != nil {
			set(opts)
		}
	}, entities)
}

// newTalkerOf opens any driver of a serial device.
func newTalkerOf(t *testing.T, name string, set func(options any, path string), entities ...map[string]any) *talker {
	t.Helper()
	k := &talker{Device: serialtest.Pty(t)}
	k.d = mustBuild(t, name, func(o any) { set(o, k.Path()) }, append(entities, nil)[0])
	k.open(t)
	t.Cleanup(func() { k.d.Close() })
	return k
}

func (k *talker) command(entity, payload string) ([]sensors.Reading, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return k.d.(sensors.Commander).Do(ctx, entity, []byte(payload))
}

// do carries out a command that must succeed.
func (k *talker) do(t *testing.T, entity, payload string) {
	t.Helper()
	if _, err := k.command(entity, payload); err != nil {
		t.Errorf("%s %s: %v", entity, payload, err)
	}
}

// expectHex is Expect for bytes in hexadecimal.
func (k *talker) expectHex(t *testing.T, want string) {
	t.Helper()
	b, err := unhexed(want)
	if err != nil {
		t.Fatal(err)
	}
	k.Expect(string(b))
}

func (k *talker) open(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := k.d.Open(ctx, &fakeHardware{}); err != nil {
		t.Fatal(err)
	}
}

func (k *talker) read(t *testing.T) ([]sensors.Reading, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return k.d.Read(ctx)
}

// expect reads once and compares the values; a rejected one is its reason.
func (k *talker) expect(t *testing.T, want map[string]any) {
	t.Helper()
	list, err := k.read(t)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, r := range list {
		got[r.Entity] = r.Value
		if r.Err != nil {
			got[r.Entity] = sensors.ReasonOf(r.Err)
		}
		if time.Since(r.At) > patience || time.Since(r.At) < 0 {
			t.Errorf("%s: time %v", r.Entity, r.At)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLinesFormats(t *testing.T) {
	type m = map[string]any
	for _, tc := range []struct {
		name     string
		set      func(*linesOptions)
		entities m
		send     string
		want     []m
	}{
		{"json, configured", nil, m{"soil": &lineEntity{}, "lux": &lineEntity{Path: "light.lux"}, "third": &lineEntity{Path: "list[2]"}, "on": &lineEntity{Type: "bool"}},
			`{"soil":41,"light":{"lux":12.5},"list":[1,2,3],"on":1,"more":true}` + "\n", []m{{"soil": int64(41), "lux": 12.5, "third": int64(3), "on": true}}},
		{"json, discovered", nil, nil,
			`{"Temp C":23.5,"light":{"lux":7},"ok":true,"id":"0012","none":null,"state":1}` + "\r\n",
			[]m{{"temp_c": 23.5, "light_lux": int64(7), "ok": true, "id": "0012", "value_state": int64(1)}}},
		{"json, text that is a number", nil, m{"t": &lineEntity{Type: "number"}, "u": &lineEntity{Type: "string"}},
			`{"t":"23.5","u":7}` + "\n", []m{{"t": 23.5, "u": "7"}}},
		{"csv by number", func(o *linesOptions) { o.Format = "csv" }, m{"a": &lineEntity{Column: "1"}, "c": &lineEntity{Column: "3"}},
			"1, two ,+ 3.50\n", []m{{"a": int64(1), "c": 3.5}}},
		{"csv with a header", func(o *linesOptions) { o.Format, o.Header, o.Delimiter = "csv", true, ";" }, nil,
			"temp;door\n23.5;OFF\n24;ON\n", []m{{"temp": 23.5, "door": false}, {"temp": int64(24), "door": true}}},
		{"csv with columns", func(o *linesOptions) { o.Format, o.Columns, o.Delimiter = "csv", []string{"x", "y"}, "tab" }, m{"y": &lineEntity{}},
			"1\t2\n", []m{{"y": int64(2)}}},
		{"key=value", func(o *linesOptions) { o.Format = "key_value" }, nil,
			"# comment\ntemp=23.5 hum=40 name=\"a\"\n", []m{{"temp": 23.5, "hum": int64(40), "name": "a"}}},
		{"key=value with spaces", func(o *linesOptions) { o.Format = "key_value" }, m{"temp": &lineEntity{}, "name": &lineEntity{}},
			"# comment=1\ntemp = 23.5, hum = 40; name = \"a b\"\n", []m{{"temp": 23.5, "name": "a b"}}},
		{"key:value", func(o *linesOptions) { o.Format, o.Separator = "key_value", ":" }, nil, "t:1 u:-2e3\n", []m{{"t": int64(1), "u": -2000.0}}},
		{"regex", func(o *linesOptions) {
			o.Format, o.Pattern = "regex", `^(?P<stable>ST|US),(?P<mode>GS|NT),(?P<weight>[+-] *[0-9.]+)(?P<unit>kg|g)$`
		}, m{"weight": &lineEntity{Type: "number"}, "flag": &lineEntity{Group: "1"}},
			"ST,GS,+  12.345kg\r\n", []m{{"weight": 12.345, "flag": "ST"}}},
		{"regex with a condition", func(o *linesOptions) {
			o.Format, o.Terminator, o.Pattern = "regex", "\r\n", `^(?P<stable>ST|US),(?P<weight>[+-] *[0-9.]+)kg$`
		}, m{"weight": &lineEntity{When: `stable == "ST"`}},
			"US,+  11.0kg\r\nST,+  12.345kg\r\n", []m{{"weight": 12.345}}},
		{"values that are none", nil, nil, `{"a":"nan","b":1,"c":"inf"}` + "\n", []m{{"a": "nan", "b": int64(1), "c": "inf"}}},
		{"measurements that failed", func(o *linesOptions) { o.Format = "key_value" }, nil, "a=nan,b=1,c=-inf,d=,e=1e400\n",
			[]m{{"a": sensors.OutOfRange, "b": int64(1), "c": sensors.OutOfRange, "d": sensors.Parse, "e": sensors.OutOfRange}}},
		{"a number that is too large", nil, nil, `{"a":1e400,"b":1,"c":"1e400"}` + "\n", []m{{"a": sensors.OutOfRange, "b": int64(1), "c": "1e400"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newTalker(t, tc.set, tc.entities)
			k.Send(tc.send)
			for _, want := range tc.want {
				k.expect(t, want)
			}
		})
	}
}

func TestLinesPartialAndGarbage(t *testing.T) {
	k := newTalker(t, nil, map[string]any{"n": &lineEntity{}})
	k.Send(`{"n":`)
	k.Send("1}\n" + `{"n":2}` + "\n")
	k.expect(t, map[string]any{"n": int64(1)})
	k.expect(t, map[string]any{"n": int64(2)})
	// Noise, half a line, a foreign line and one that is too long, then a value:
	// only the value is seen, and how many lines were not.
	k.Send("\x00\xff\x80garbage\n" + `{"n":3` + "\n" + `{"other":1}` + "\n" + `{"n":"` + strings.Repeat("x", 2000) + `"}` + "\n" + `{"n":4}` + "\n")
	k.expect(t, map[string]any{"n": int64(4), "rejected_lines": int64(4)})
	k.Send(`{"n":5}` + "\n")
	k.expect(t, map[string]any{"n": int64(5)})
}

func TestLinesOnMismatch(t *testing.T) {
	k := newTalker(t, func(o *linesOptions) { o.OnMismatch = "fail" }, nil)
	k.Send("hello\n" + `{"n":1}` + "\n")
	if _, err := k.read(t); sensors.ReasonOf(err) != sensors.Parse {
		t.Errorf("Read = %v, want reason parse", err)
	}
	k.expect(t, map[string]any{"n": int64(1), "rejected_lines": int64(1)})
}

func TestLinesSilence(t *testing.T) {
	k := newTalker(t, nil, nil)
	silence := func() sensors.Reason { return sensors.ReasonOf(k.d.(sensors.Pusher).OnSilence()) }
	if got := silence(); got != sensors.NoData {
		t.Errorf("a quiet device: %q, want no_data", got)
	}
	k.Send("boot\n")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if list, err := k.d.Read(ctx); !errors.Is(err, context.DeadlineExceeded) || list != nil {
		t.Errorf("Read = %v, %v", list, err)
	}
	if got := silence(); got != sensors.Parse {
		t.Errorf("a device that says something else: %q, want parse", got)
	}
	k.Send(`{"n":1}` + "\n")
	k.expect(t, map[string]any{"n": int64(1), "rejected_lines": int64(1)})
	if got := silence(); got != sensors.NoData {
		t.Errorf("quiet again: %q, want no_data", got)
	}
	k.Send("t=21.5\xb0C of a scale from 1998\n")
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := k.d.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read = %v", err)
	}
	if err := k.d.(sensors.Pusher).OnSilence(); sensors.ReasonOf(err) != sensors.Garbage || !strings.Contains(err.Error(), "plain text") {
		t.Errorf("a line in Latin-1: %v", err)
	}
}

func (k *talking) arrived() uint64 { return k.in.Arrived() }

// What arrives and is no line is no silence: the wrong baud is the commonest
// mistake there is.
func TestSilenceTellsWhatArrived(t *testing.T) {
	noise := strings.Repeat("\x80\xfe\xf8", 10)
	dsmr := func(o any) *serial.Config { return &o.(*dsmrOptions).Port }
	nmea := func(o any) *serial.Config { return &o.(*nmeaOptions).Port }
	lines := func(o any) *serial.Config { return &o.(*linesOptions).Port }
	frames := func(o any) *serial.Config {
		f := o.(*framesOptions)
		f.Framing, f.CRC, f.Struct = "cobs", "crc16_kermit", []frameField{{Name: "n", Type: "u8"}}
		return &f.Port
	}
	for _, c := range []struct {
		name, driver, say string
		port              func(o any) *serial.Config
		want              sensors.Reason
	}{
		{"nothing", "lines", "", lines, sensors.NoData},
		{"the noise of a plug", "lines", "\x00\xff", lines, sensors.NoData},
		{"comments", "lines", strings.Repeat("# alive\n", 9), lines, sensors.NoData},
		{"wrong baud, no end of a line", "lines", noise, lines, sensors.Garbage},
		{"wrong baud, lines that are no text", "lines", noise + "\r\n" + noise + "\n", lines, sensors.Garbage},
		{"another format", "lines", "voltage is fine\n", lines, sensors.Parse},
		{"NMEA without a checksum", "nmea", strings.Repeat("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,\r\n", 2), nmea, sensors.Parse},
		{"NMEA with a wrong one", "nmea", strings.Repeat("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*00\r\n", 2), nmea, sensors.CRC},
		{"telegrams cut off", "dsmr", "/KFM5KAIFA\r\n\r\n1-0:1.7.0(00.193*kW)\r\n1-0:1.8.1(00", dsmr, sensors.Garbage},
		{"a telegram that was damaged", "dsmr", "/KFM5KAIFA\r\n\r\n1-0:1.7.0(00.193*kW)\r\n!ABCD\r\n", dsmr, sensors.CRC},
		{"wrong baud, no frame", "frames", noise, frames, sensors.Garbage},
		{"frames that are wrong", "frames", strings.Repeat("\x05\x01\x02\x03\x04\x00", 3), frames, sensors.CRC},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &talker{Device: serialtest.Pty(t)}
			k.d = mustBuild(t, c.driver, func(o any) {
				p := c.port(o)
				*p = serial.DefaultConfig()
				p.Path = k.Path()
			}, nil)
			k.open(t)
			defer k.d.Close()
			k.Send(c.say)
			read, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); _, _ = k.d.Read(read) }()
			defer func() { cancel(); <-done }()
			p := k.d.(interface {
				sensors.Pusher
				arrived() uint64
			})
			for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
				err := p.OnSilence()
				switch got := sensors.ReasonOf(err); {
				case got == c.want && p.arrived() == uint64(len(c.say)):
					return
				case time.Now().After(end):
					t.Fatalf("%v, want %s", err, c.want)
				}
			}
		})
	}
}

// bells is a port whose modem lines are seen.
type bells struct {
	serial.Port
	dtr []bool
}

func (b *bells) SetDTR(on bool) error        { b.dtr = append(b.dtr, on); return nil }
func (b *bells) Drain(context.Context) error { return nil }
func (b *bells) Discard(bool, bool) error    { return nil }

func TestLinesOnSilence(t *testing.T) {
	k := newTalker(t, func(o *linesOptions) { o.OnSilence = lineSilence{"dtr", time.Second} }, nil)
	d := k.d.(*lines)
	d.o.OnSilence.After = 50 * time.Millisecond
	b := &bells{Port: d.port()}
	d.use(b)
	k.Send(`{"n":1}` + "\n")
	k.expect(t, map[string]any{"n": int64(1)})
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if _, err := d.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if len(b.dtr) < 2 || b.dtr[0] || !b.dtr[1] {
		t.Errorf("DTR %v, want off and on again", b.dtr)
	}
	k.Send(`{"n":2}` + "\n")
	k.expect(t, map[string]any{"n": int64(2)})
}

func TestLinesUnplugAndReplug(t *testing.T) {
	for _, format := range []string{"json", "key_value"} {
		t.Run(format, func(t *testing.T) {
			k := newTalker(t, func(o *linesOptions) {
				o.Format, o.FirstLine = format, map[string]string{"json": "auto", "key_value": "drop"}[format]
			}, map[string]any{"n": &lineEntity{}})
			n := int64(0)
			say := func() {
				n++
				k.Send(map[string]string{"json": fmt.Sprintf("{\"n\":%d}\n", n), "key_value": fmt.Sprintf("n=%d\n", n)}[format])
			}
			if format == "json" {
				say()
				k.expect(t, map[string]any{"n": n})
			}
			failed := make(chan error, 1)
			go func() {
				_, err := k.read(t)
				failed <- err
			}()
			k.Send(`{"n":99`) // never ends
			k.Unplug()
			if err := <-failed; sensors.ReasonOf(err) != sensors.Unplugged {
				t.Fatalf("Read = %v, want reason unplugged", err)
			}
			k.d.Close()
			if err := k.d.Open(t.Context(), &fakeHardware{}); sensors.ReasonOf(err) != sensors.NotFound {
				t.Errorf("Open of a port that is gone = %v, want not_found", err)
			}
			k.Replug()
			if format == "json" {
				// Lines that were there before the port was opened are not lost.
				say()
				say()
				k.open(t)
				for i := n - 1; i <= n; i++ {
					list, err := k.read(t)
					if err != nil || values(list)["n"] != i {
						t.Fatalf("after replug: %v, %v; want %d", values(list), err, i)
					}
				}
				return
			}
			// The first line after joining could be the rest of one: it is dropped,
			// the second counts.
			say()
			k.open(t)
			say()
			list, err := k.read(t)
			if err != nil || values(list)["n"] != n {
				t.Errorf("after replug: %v, %v; want %d", values(list), err, n)
			}
		})
	}
}

func TestLinesSettle(t *testing.T) {
	k := newTalker(t, func(o *linesOptions) { o.Port.Settle = 150 * time.Millisecond }, nil)
	start := time.Now()
	k.Send(`{"boot":1}` + "\n")
	done := make(chan error, 1)
	var list []sensors.Reading
	go func() {
		var err error
		list, err = k.read(t)
		done <- err
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			if err != nil || values(list)["n"] == nil || values(list)["boot"] != nil {
				t.Errorf("first reading %v, %v", values(list), err)
			}
			if time.Since(start) < 100*time.Millisecond {
				t.Errorf("read after %v, settle is 150ms", time.Since(start))
			}
			return
		case <-tick.C:
			k.Send(fmt.Sprintf(`{"n":%d}`+"\n", n))
		}
	}
}

func TestLinesCommands(t *testing.T) {
	k := newTalker(t, func(o *linesOptions) {
		o.Commands = map[string]lineCommand{
			"valve": {Platform: "switch", Send: "V{{1|0}}\n", Expect: lineExpect{Path: "valve", Within: 2 * time.Second}},
			"speed": {Platform: "number", Send: "S{{payload}}\n", Expect: lineExpect{Path: "speed", Within: 100 * time.Millisecond}},
			"beep":  {Send: "B\n"},
			"say":   {Send: "T{{payload}}\n"},
		}
	}, map[string]any{"soil": &lineEntity{}})
	do := func(entity, payload string) ([]sensors.Reading, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return k.d.(sensors.Commander).Do(ctx, entity, []byte(payload))
	}
	go func() {
		k.Expect("V1\n")
		// What it says meanwhile is kept; the old state confirms nothing.
		k.Send(`{"soil":1,"valve":0}` + "\n" + `{"soil":2}` + "\n" + `{"soil":3,"valve":1}` + "\n")
	}()
	list, err := do("valve", "ON")
	if err != nil || len(list) < 4 || list[len(list)-1].Entity != "valve" || list[len(list)-1].Value != true {
		t.Errorf("valve ON: %v, %v", list, err)
	}
	if _, err := do("beep", ""); err != nil {
		t.Errorf("beep: %v", err)
	}
	k.Expect("B\n")
	if _, err := do("say", "hello"); err != nil {
		t.Errorf("say: %v", err)
	}
	k.Expect("Thello\n")
	if _, err := do("speed", "12.5"); err == nil || !strings.Contains(err.Error(), "did not confirm") || sensors.ReasonOf(err) == sensors.Timeout {
		t.Errorf("speed without an answer: %v", err)
	}
	k.Expect("S12.5\n")
	for _, bad := range [][2]string{{"valve", "half"}, {"valve", "TOGGLE"}, {"speed", "fast"}, {"say", "a\nV1"}, {"say", "\xff"},
		{"say", ""}, {"say", strings.Repeat("x", 1000)}, {"soil", "1"}} {
		if _, err := do(bad[0], bad[1]); err == nil {
			t.Errorf("%s %.20q is carried out", bad[0], bad[1])
		}
	}
}

func TestLinesOnStop(t *testing.T) {
	k := newTalker(t, func(o *linesOptions) {
		o.Commands = map[string]lineCommand{
			"valve": {Send: "V{{1|0}}\n", OnStop: "OFF", Safety: sensors.Safety{MaxOn: time.Minute, Require: "tank.level > 1"}},
			"pump":  {Platform: "number", Send: "P{{payload}}\n", OnStop: "0"},
			"beep":  {Send: "B\n"},
		}
	}, map[string]any{"soil": &lineEntity{}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := k.d.(sensors.Commander).Stop(ctx); err != nil {
		t.Fatal(err)
	}
	k.Expect("P0\nV0\n")
	got := k.d.(sensors.Guarded).Outputs()
	want := []sensors.Safety{
		{Entity: "beep", Path: "commands.beep"},
		{Entity: "pump", Path: "commands.pump", Off: "0"},
		{Entity: "valve", Path: "commands.valve", Off: "OFF", Timed: true, MaxOn: time.Minute, Require: "tank.level > 1"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("outputs are %+v, want %+v", got, want)
	}
}

func TestInherit(t *testing.T) {
	line := func(baud int, commands map[string]lineCommand) sensors.Driver {
		return mustBuild(t, "lines", func(o any) {
			l := o.(*linesOptions)
			l.Format, l.Port.Path, l.Port.Baud, l.Commands = "json", "/dev/ttyUSB0", baud, commands
		}, map[string]any{"soil": &lineEntity{}})
	}
	valve := map[string]lineCommand{"valve": {Send: "V{{1|0}}\n", OnStop: "OFF"}}
	more := map[string]lineCommand{"valve": valve["valve"], "beep": {Send: "B\n"}}
	beep := map[string]lineCommand{"beep": more["beep"]}
	unit := func(bus string, registers ...string) sensors.Driver {
		entities := map[string]any{}
		for _, name := range registers {
			r := &modbusRegister{Table: "coil", Scale: 1, Write: "single", Verify: "readback"}
			if name == "valve" {
				r.Writable, r.OnStop = &modbusWritable{}, "OFF"
			}
			entities[name] = r
		}
		return mustBuild(t, "modbus", func(o any) { o.(*modbusOptions).Bus = bus }, entities)
	}
	for name, tc := range map[string]struct {
		old, next sensors.Driver
		want      bool
	}{
		"another command":        {line(9600, valve), line(9600, more), true},
		"the valve is gone":      {line(9600, more), line(9600, beep), false},
		"nothing was to be off":  {line(9600, beep), line(9600, nil), true},
		"another speed":          {line(9600, valve), line(19200, valve), false},
		"another register":       {unit("a", "valve"), unit("a", "valve", "level"), true},
		"another bus":            {unit("a", "valve"), unit("b", "valve"), false},
		"the register is gone":   {unit("a", "valve", "level"), unit("a", "level"), false},
		"another kind of device": {unit("a", "level"), line(9600, valve), false},
	} {
		if got := tc.next.(sensors.Heir).Inherit(tc.old); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestLinesWriteIsBounded(t *testing.T) {
	k := newTalker(t, func(o *linesOptions) {
		o.Commands = map[string]lineCommand{"say": {Send: strings.Repeat("x", 60000) + "\n"}}
	}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := k.d.(sensors.Commander).Do(ctx, "say", nil) // the device never reads
	if sensors.ReasonOf(err) != sensors.Timeout || time.Since(start) > patience {
		t.Errorf("Do = %v after %v, want reason timeout", err, time.Since(start))
	}
}

func TestLinesCloseEndsARead(t *testing.T) {
	k := newTalker(t, nil, nil)
	done := make(chan error, 1)
	go func() { _, err := k.d.Read(t.Context()); done <- err }()
	k.d.Close()
	select {
	case err := <-done:
		if err == nil {
			t.Error("Read of a closed port succeeded")
		}
	case <-time.After(patience):
		t.Fatal("Read hangs after Close")
	}
}
