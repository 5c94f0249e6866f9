package drivers

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

func init() {
	register("dsmr", sensors.DriverSpec{
		Doc: "A smart meter's P1 port (DSMR 2 to 5, and its relatives in Belgium, Luxembourg and Sweden): energy, power, voltage, and the gas, water and heat meters behind it.",
		Options: func() any {
			o := &dsmrOptions{Port: serial.DefaultConfig(), CRC: true}
			o.Port.Baud = 115200
			return o
		},
		Entity: func() any { return &dsmrEntity{} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newDSMR(options.(*dsmrOptions), entities)
		},
	})
}

// dsmrLines are how a meter talks.
var dsmrLines = linesOptions{Format: "dsmr", FirstLine: "keep"}

type dsmrOptions struct {
	Port serial.Config `yaml:"port" doc:"the serial port; 115200 baud when it is not given; DSMR 2 and 3 take baud: 9600, data_bits: 7, parity: even" req:"1"`
	CRC  bool          `yaml:"crc" doc:"telegrams without a checksum are refused; meters before DSMR 4 have none"`
}

type dsmrEntity struct {
	OBIS string `yaml:"obis" doc:"the code of the value, as 1-0:32.7.0, for what has no name here"`
}

// dsmrNames are the values by code. Source: Netbeheer Nederland, P1 Companion
// Standard 5.0.2, tables 6-2 and 6-3; codes without tariff are Sweden's and
// Luxembourg's.
var dsmrNames = [...]struct{ code, name string }{
	{"1-0:1.8.0", "energy_import"}, {"1-0:2.8.0", "energy_export"},
	{"1-0:1.8.1", "energy_import_t1"}, {"1-0:1.8.2", "energy_import_t2"},
	{"1-0:2.8.1", "energy_export_t1"}, {"1-0:2.8.2", "energy_export_t2"},
	{"0-0:96.14.0", "tariff"}, {"1-0:1.7.0", "power_import"}, {"1-0:2.7.0", "power_export"},
	{"1-0:21.7.0", "power_import_l1"}, {"1-0:41.7.0", "power_import_l2"}, {"1-0:61.7.0", "power_import_l3"},
	{"1-0:22.7.0", "power_export_l1"}, {"1-0:42.7.0", "power_export_l2"}, {"1-0:62.7.0", "power_export_l3"},
	{"1-0:32.7.0", "voltage_l1"}, {"1-0:52.7.0", "voltage_l2"}, {"1-0:72.7.0", "voltage_l3"},
	{"1-0:31.7.0", "current_l1"}, {"1-0:51.7.0", "current_l2"}, {"1-0:71.7.0", "current_l3"},
	{"1-0:32.32.0", "voltage_sags_l1"}, {"1-0:52.32.0", "voltage_sags_l2"}, {"1-0:72.32.0", "voltage_sags_l3"},
	{"1-0:32.36.0", "voltage_swells_l1"}, {"1-0:52.36.0", "voltage_swells_l2"}, {"1-0:72.36.0", "voltage_swells_l3"},
	{"0-0:96.7.21", "power_failures"}, {"0-0:96.7.9", "long_power_failures"},
}

// errChecksum is what a telegram or sentence was damaged by.
var errChecksum = &sensors.Fault{Reason: sensors.CRC, Err: errors.New("the checksum is wrong")}

// mbusNames are the kinds of meters behind the smart meter, by their device
// type in EN 13757-3.
var mbusNames = map[string]string{"2": "electricity", "3": "gas", "4": "heat", "6": "hot_water", "7": "water", "10": "cooling", "11": "cooling", "12": "heat", "13": "heat_cooling"}

func newDSMR(o *dsmrOptions, entities map[string]any) (sensors.Driver, error) {
	wanted := map[string]any{}
	for name, options := range entities {
		e, _ := options.(*dsmrEntity)
		code := ""
		if e != nil {
			code = e.OBIS
		}
		known := slices.ContainsFunc(dsmrNames[:], func(n struct{ code, name string }) bool { return n.name == name })
		for _, meter := range mbusNames {
			known = known || name == meter || strings.HasPrefix(name, meter+"_")
		}
		switch a, b, ok := strings.Cut(code, ":"); {
		case code == "" && !known && name != rejectedLines:
			return nil, fmt.Errorf("entities.%s: which value is it? give its obis, as 1-0:32.7.0", name)
		case code != "" && (!ok || !strings.Contains(a, "-") || strings.Count(b, ".") != 2):
			return nil, fmt.Errorf("entities.%s.obis: %q is no code, as 1-0:32.7.0", name, code)
		}
		wanted[name] = &lineEntity{Key: code}
	}
	parse := func(telegram string) ([]lineField, error) {
		fields, err := parseTelegram(telegram, o.CRC)
		if len(wanted) == 0 { // serial numbers and messages are for those who ask
			fields = slices.DeleteFunc(fields, func(f lineField) bool { return f.alias == "" })
		}
		return fields, err
	}
	d, err := newText(&dsmrLines, &o.Port, parse, wanted)
	if err != nil {
		return nil, err
	}
	in := serial.NewFrames(nil, serial.Framing{Kind: "telegram", Max: 8192})
	d.in = in
	d.dropped = func() uint64 { return in.Stats().Rejected }
	return d, nil
}

// dsmrUnwrap puts a value that stands on a line of its own behind its code, as
// DSMR 2 and 3 have it of gas: 0-1:24.3.0(time)...(0-1:24.2.1)(m3) and (00124.477).
var dsmrUnwrap = strings.NewReplacer("\r", "", "\n(", "(")

// parseTelegram takes a telegram apart: "/" head, lines of code(value*unit),
// "!" and the CRC-16 of all that up to the "!".
func parseTelegram(telegram string, mustCheck bool) ([]lineField, error) {
	body, err := checkTelegram(telegram, mustCheck)
	if err != nil {
		return nil, err
	}
	t := telegramMeters{types: map[string]string{}, unnamed: map[string]bool{}}
	for _, line := range strings.Split(dsmrUnwrap.Replace(body), "\n") {
		if code, rest, ok := strings.Cut(strings.TrimSpace(line), "("); ok && strings.HasSuffix(rest, ")") {
			t.line(code, strings.Split(rest[:len(rest)-1], ")("))
		}
	}
	return t.fields, nil
}

// checkTelegram is what stands before the "!", if it is whole. A checksum may be
// missing unless mustCheck.
func checkTelegram(telegram string, mustCheck bool) (body string, err error) {
	end := strings.LastIndexByte(telegram, '!')
	if end < 0 || telegram[0] != '/' {
		return "", errors.New("no telegram")
	}
	check := strings.TrimSpace(telegram[end+1:])
	arc, _ := serial.CheckNamed("crc16_arc")
	want, err := strconv.ParseUint(check, 16, 16) // heat meters leave out zeros at its beginning
	if check == "" && mustCheck {
		return "", errors.New("the checksum is missing; crc: false is for meters without one")
	}
	if check != "" && (err != nil || uint32(want) != arc.Sum([]byte(telegram[:end+1]))) {
		return "", errChecksum
	}
	return telegram[:end], nil
}

// telegramMeters is what a telegram has said so far: its fields, and of the
// meters behind this one, by channel, their type and whether they have no number.
type telegramMeters struct {
	fields  []lineField
	types   map[string]string
	unnamed map[string]bool
}

// line takes a line of one or more groups in parentheses; the last has the value.
func (t *telegramMeters) line(code string, groups []string) {
	value, unit, _ := strings.Cut(groups[len(groups)-1], "*")
	channel, kind, _ := strings.Cut(strings.TrimPrefix(code, "0-"), ":")
	measures := kind == "24.3.0" || strings.HasPrefix(kind, "24.2.")
	never := measures && strings.HasPrefix(groups[0], "700101")
	switch {
	case kind == "24.1.0":
		if n, err := strconv.Atoi(value); err == nil {
			t.types[channel] = mbusNames[strconv.Itoa(n)]
		}
		return
	case kind == "96.1.0":
		t.unnamed[channel] = value == ""
	case never && t.unnamed[channel], measures && infer(value) == value, strings.Contains(value, ":"):
		return // the place of a meter that is gone; no value; a log without entries ends with what they would be of
	case kind == "24.3.0" && len(groups) > 1: // DSMR 2 and 3
		unit = groups[len(groups)-2]
	}
	f := lineField{key: code, unit: strings.Replace(unit, "m3", "m³", 1), value: value}
	if infer(value) == value {
		f.value = quoted(value)
	}
	if never {
		f.value = &sensors.Fault{Reason: sensors.NoData, Err: fmt.Errorf("the meter of channel %s was never read", channel)}
	}
	for _, n := range dsmrNames {
		if n.code == code {
			f.alias = n.name
		}
	}
	if measures {
		f.alias = t.types[channel]
		if f.alias != "" && slices.ContainsFunc(t.fields, func(o lineField) bool { return o.alias == f.alias }) {
			f.alias += "_" + channel // the second meter of its kind
		}
	}
	t.fields = append(t.fields, f)
}
