package drivers

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

// telegram adds the checksum to lines.
func telegram(lines ...string) string {
	text := "/ISk5\\2MT382-1000\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n!"
	c, _ := serial.CheckNamed("crc16_arc")
	return fmt.Sprintf("%s%04X\r\n", text, c.Sum([]byte(text)))
}

// dsmrExample has the lines of the P1 Companion Standard's example, with a
// second gas meter and a water meter.
var dsmrExample = []string{
	"1-3:0.2.8(50)", "0-0:1.0.0(101209113020W)", "0-0:96.1.1(4B384547303034303436333935353037)",
	"1-0:1.8.1(123456.789*kWh)", "1-0:1.8.2(123456.789*kWh)", "1-0:2.8.1(123456.789*kWh)", "1-0:2.8.2(123456.789*kWh)",
	"0-0:96.14.0(0002)", "1-0:1.7.0(01.193*kW)", "1-0:2.7.0(00.000*kW)", "0-0:96.7.21(00004)", "0-0:96.7.9(00002)",
	"1-0:99.97.0(2)(0-0:96.7.19)(101208152415W)(0000000240*s)(101208151004W)(0000000301*s)",
	"1-0:32.32.0(00002)", "1-0:52.32.0(00001)", "1-0:72.32.0(00000)", "1-0:32.36.0(00000)", "1-0:52.36.0(00003)", "1-0:72.36.0(00000)",
	"0-0:96.13.0(303132333435363738393A3B3C3D3E3F)",
	"1-0:32.7.0(220.1*V)", "1-0:52.7.0(220.2*V)", "1-0:72.7.0(220.3*V)", "1-0:31.7.0(001*A)", "1-0:51.7.0(002*A)", "1-0:71.7.0(003*A)",
	"1-0:21.7.0(01.111*kW)", "1-0:41.7.0(02.222*kW)", "1-0:61.7.0(03.333*kW)", "1-0:22.7.0(04.444*kW)", "1-0:42.7.0(05.555*kW)", "1-0:62.7.0(06.666*kW)",
	"0-1:24.1.0(003)", "0-1:96.1.0(3232323241424344313233343536373839)", "0-1:24.2.1(101209112500W)(12785.123*m3)",
	"0-2:24.1.0(007)", "0-2:24.2.1(101209112500W)(00872.234*m3)",
	"0-3:24.1.0(003)", "0-3:24.2.1(101209112500W)(00001.500*m3)",
}

func TestDSMR(t *testing.T) {
	k := newTalkerOf(t, "dsmr", func(o any, path string) { o.(*dsmrOptions).Port.Path = path },
		map[string]any{"energy_import_t1": &dsmrEntity{}, "tariff": &dsmrEntity{}, "power_import": &dsmrEntity{}, "voltage_l2": &dsmrEntity{}, "power_export_l3": &dsmrEntity{},
			"gas": &dsmrEntity{}, "gas_3": &dsmrEntity{}, "water": &dsmrEntity{}, "frequency": &dsmrEntity{OBIS: "1-0:14.7.0"}, "id": &dsmrEntity{OBIS: "0-0:96.1.1"}})
	want := map[string]any{"energy_import_t1": 123456.789, "tariff": int64(2), "power_import": 1.193, "voltage_l2": 220.2, "power_export_l3": 6.666,
		"gas": 12785.123, "gas_3": 1.5, "water": 872.234, "id": "4B384547303034303436333935353037"}
	k.Send("end of an old one)\r\n!0000\r\n" + telegram(dsmrExample...))
	k.expect(t, want)
	damaged := strings.Replace(telegram(dsmrExample...), "01.193", "91.193", 1)
	unchecked := telegram(dsmrExample...)
	unchecked = unchecked[:len(unchecked)-6] + "\r\n"
	more := maps.Clone(want)
	more["frequency"], more[rejectedLines] = 49.98, int64(2)
	k.Send(damaged + unchecked + telegram(append(dsmrExample, "1-0:14.7.0(49.98*Hz)")...))
	k.expect(t, more)
	k.Send(damaged)
	if list, err := k.d.(*lines).parse(damaged); err == nil {
		t.Errorf("a damaged telegram: %v", list)
	}
}

func TestDSMRFindsWhatThereIs(t *testing.T) {
	k := newTalkerOf(t, "dsmr", func(o any, path string) { o.(*dsmrOptions).Port.Path, o.(*dsmrOptions).CRC = path, false })
	old := telegram(dsmrExample[2], dsmrExample[3], dsmrExample[32], dsmrExample[34])
	k.Send(old[:len(old)-6] + "\r\n")
	list, err := k.read(t)
	if v := values(list); err != nil || v["energy_import_t1"] != 123456.789 || v["gas"] != 12785.123 || len(v) != 2 {
		t.Errorf("%v, %v", v, err)
	}
	for _, r := range list {
		if want := map[string]string{"gas": "m³", "energy_import_t1": "kWh"}[r.Entity]; r.Unit != want {
			t.Errorf("%s in %q", r.Entity, r.Unit)
		}
	}
	for want, e := range map[string]map[string]any{
		"entities.volts: which value": {"volts": &dsmrEntity{}}, "entities.v.obis:": {"v": &dsmrEntity{OBIS: "32.7.0"}},
	} {
		if _, err := build(t, "dsmr", func(o any) { o.(*dsmrOptions).Port.Path = "/dev/x" }, e); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if got := sensors.ReasonOf(k.d.(sensors.Pusher).OnSilence()); got != sensors.NoData {
		t.Errorf("silence: %s", got)
	}
}

// TestDSMRGas reads the gas meter as each generation of meters says it.
func TestDSMRGas(t *testing.T) {
	const dsmr2 = "0-1:24.3.0(120517020000)(08)(60)(1)(0-1:24.2.1)(m3)"
	for name, tc := range map[string]struct {
		lines []string
		gas   any // a float64, the reason that there is none, or nil
		more  string
	}{
		"DSMR 2":                      {[]string{"0-1:24.1.0(3)", "0-1:96.1.0(3238313031)", dsmr2, "(00124.477)", "0-1:24.4.0(2)"}, 124.477, ""},
		"DSMR 3":                      {[]string{"0-1:96.1.0(3238313031)", "0-1:24.1.0(03)", "0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.0)(m3)", "(00000.5)", "0-1:24.4.0(1)"}, 0.5, ""},
		"on one line":                 {[]string{"0-1:24.1.0(3)", dsmr2 + "(00124.477)"}, 124.477, ""},
		"DSMR 4":                      {[]string{"0-1:24.1.0(003)", "0-1:96.1.0(3238313031)", "0-1:24.2.1(101209110000W)(12785.123*m3)", "0-1:24.4.0(1)"}, 12785.123, ""},
		"Belgium":                     {[]string{"0-1:24.1.0(003)", "0-1:96.1.1(3238313031)", "0-1:24.4.0(1)", "0-1:24.2.3(200512134558S)(00112.384*m3)"}, 112.384, ""},
		"nothing follows":             {[]string{"0-1:24.1.0(3)", dsmr2}, nil, ""},
		"never read":                  {[]string{"0-1:24.1.0(003)", "0-1:96.1.0(3238313031)", "0-1:24.2.1(700101010000W)(00000000)"}, sensors.NoData, ""},
		"the old meter's place":       {[]string{"0-1:24.1.0(003)", "0-1:96.1.0()", "0-1:24.2.1(700101010000W)(00000000)", "0-2:24.1.0(003)", "0-2:96.1.0(4730)", "0-2:24.2.1(191108145505W)(00241.773*m3)"}, 241.773, ""},
		"the first is not read today": {[]string{"0-1:24.1.0(003)", "0-1:96.1.0(4729)", "0-1:24.2.1(700101010000W)(00000000)", "0-2:24.1.0(003)", "0-2:96.1.0(4730)", "0-2:24.2.1(191108145505W)(00241.773*m3)"}, sensors.NoData, "gas_2"},
	} {
		fields, err := parseTelegram(telegram(tc.lines...), true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got any
		more := ""
		for _, f := range fields {
			switch r := f.reading(f.alias, "", time.Unix(0, 0)); {
			case f.alias == "gas" && r.Err != nil:
				got = sensors.ReasonOf(r.Err)
			case f.alias == "gas" && r.Unit != "m³":
				t.Errorf("%s: in %q", name, r.Unit)
			case f.alias == "gas":
				got = r.Value
			case f.alias != "":
				more = f.alias
			}
		}
		if got != tc.gas || more != tc.more {
			t.Errorf("%s: gas is %v, and there is %q; want %v and %q", name, got, more, tc.gas, tc.more)
		}
	}
}

// A WarmteLink of a heat meter leaves out zeros at the beginning of its
// checksum, which is one telegram in sixteen.
func TestDSMRShortChecksum(t *testing.T) {
	seen := 0
	for n := range 100 {
		text := telegram("0-1:24.1.0(004)", "0-1:96.1.0(621848012D2C0B0C)", fmt.Sprintf("0-1:24.2.1(260215200523W)(2%02d.860*GJ)", n))
		end := strings.LastIndexByte(text, '!') + 1
		short := text[:end] + strings.TrimLeft(text[end:], "0")
		if short == text {
			continue
		}
		seen++
		if fields, err := parseTelegram(short, true); err != nil || len(fields) == 0 || fields[len(fields)-1].alias != "heat" {
			t.Errorf("%q: %v, %v", short[end:], fields, err)
		}
	}
	if seen == 0 {
		t.Error("no checksum began with a zero")
	}
}

// TestDSMRLogs asks for the list of long power failures: the newest one's
// length, and no value where there was none.
func TestDSMRLogs(t *testing.T) {
	for line, want := range map[string]string{
		"1-0:99.97.0(2)(0-0:96.7.19)(101208152415W)(0000000240*s)(101208151004W)(0000000301*s)": "301",
		"1-0:99.97.0(0)(0-0:96.7.19)": "", "1-0:99.97.0()": "",
	} {
		fields, err := parseTelegram(telegram(line), true)
		got := ""
		for _, f := range fields {
			if r := f.reading("x", "", time.Unix(0, 0)); r.Err == nil {
				got = fmt.Sprint(r.Value)
			}
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", line, got, err, want)
		}
	}
}

// TestDSMRCutOff plugs the meter in anew in the middle of a telegram, at many
// places: the telegram behind it is read.
func TestDSMRCutOff(t *testing.T) {
	k := newTalkerOf(t, "dsmr", func(o any, path string) { o.(*dsmrOptions).Port.Path = path }, map[string]any{"energy_import_t1": &dsmrEntity{}})
	for cut, n := 1, 0; ; cut, n = cut+7, n+1 {
		one := telegram(fmt.Sprintf("1-0:1.8.1(%06d.000*kWh)", n), "1-0:1.7.0(01.193*kW)")
		if cut >= len(one) {
			return
		}
		k.Send(one[:cut] + one)
		list, err := k.read(t)
		if v := values(list); err != nil || v["energy_import_t1"] != float64(n) {
			t.Fatalf("cut off at %d of %d: %v, %v", cut, len(one), v, err)
		}
	}
}

func FuzzTelegram(f *testing.F) {
	f.Add(telegram(dsmrExample...))
	f.Add("/\n0-1:24.1.0(3)\n0-1:24.2.1()()(*m3)\n((()))\n!")
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return
		}
		fields, err := parseTelegram(text, false)
		if err != nil {
			return
		}
		for _, field := range fields {
			checkReading(t, text, field.reading("x", "", time.Unix(0, 0)))
		}
	})
}
