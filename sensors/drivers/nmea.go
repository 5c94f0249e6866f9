package drivers

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

func init() {
	register("nmea", sensors.DriverSpec{
		Doc:     "A satellite receiver or a weather station that talks NMEA 0183: position, speed, course, quality of the fix, and the time; wind, pressure, temperature and humidity.",
		Options: func() any { return &nmeaOptions{Port: serial.DefaultConfig(), RequireFix: true} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			o := options.(*nmeaOptions)
			n := &nmea{o: o, step: adjustClock, synced: sensors.ClockSynced}
			for name := range entities {
				if !slices.Contains(nmeaEntities, name) {
					return nil, fmt.Errorf("entities.%s: a receiver has %s", name, strings.Join(nmeaEntities, ", "))
				}
			}
			if err := validated(o); err != nil {
				return nil, err
			}
			return newText(&nmeaLines, &o.Port, n.parse, entities)
		},
	})
}

// nmeaLines are how a receiver talks. 82 characters are the standard's longest;
// receivers exceed it.
var nmeaLines = linesOptions{Format: "nmea", FirstLine: "auto", MaxLength: 200}

type nmeaOptions struct {
	Port       serial.Config `yaml:"port" doc:"the serial port" req:"1"`
	Talkers    []string      `yaml:"talkers" doc:"whose sentences are believed, as [GP, GN]; all when it is not given"`
	RequireFix bool          `yaml:"require_fix" doc:"without a fix there is no position, speed and course, whatever the receiver says"`
	Every      time.Duration `yaml:"every" doc:"publish the newest of so much time; every fix when it is not given"`
	Clock      nmeaClock     `yaml:"clock" doc:"what the receiver's time is for"`
}

type nmeaClock struct {
	Trust   bool          `yaml:"trust" doc:"set this machine's clock by it, unless something else keeps it; takes CAP_SYS_TIME"`
	MaxSkew time.Duration `yaml:"max_skew" doc:"how far off the clock may be before it is set, 2s when it is not given; the line alone delays by up to one second"`
}

// Validate reports times that cannot be.
func (o *nmeaOptions) Validate(report func(path, msg string)) {
	if o.Every < 0 || o.Every > time.Hour {
		report("every", "is not between 0s and 1h")
	}
	for i, t := range o.Talkers {
		if len(t) != 2 || strings.Trim(t, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			report(fmt.Sprintf("talkers[%d]", i), fmt.Sprintf("%q is no talker: the two letters that sentences begin with, as GP", t))
		}
	}
	if s := o.Clock.MaxSkew; s != 0 && (s < 500*time.Millisecond || s > time.Hour) {
		report("clock.max_skew", "is not between 500ms and 1h")
	}
}

// nmeaEntities are what a receiver knows; the first six need a fix.
var nmeaEntities = []string{"position", "latitude", "longitude", "altitude", "speed", "course", "satellites", "hdop", "pdop", "vdop", "fix", "time", "clock_offset", rejectedLines,
	"wind_angle", "wind_speed", "true_wind_angle", "true_wind_speed", "wind_direction", "temperature", "water_temperature", "humidity", "dew_point", "pressure"}

// nmeaNumbers are the fields of sentences that are a number in the unit wanted.
var nmeaNumbers = [...]struct {
	kind, key, unit string
	at              int
}{
	{"RMC", "course", "°", 8},
	{"GGA", "satellites", "", 7}, {"GGA", "hdop", "", 8}, {"GGA", "altitude", "m", 9},
	{"GSA", "pdop", "", 15}, {"GSA", "hdop", "", 16}, {"GSA", "vdop", "", 17},
	{"VTG", "course", "°", 1}, {"VTG", "speed", "km/h", 7},
	{"MDA", "temperature", "°C", 5}, {"MDA", "water_temperature", "°C", 7}, {"MDA", "humidity", "%", 9}, {"MDA", "dew_point", "°C", 11}, {"MDA", "wind_direction", "°", 13},
}

// nmeaFixes are the words for the quality in GGA, by its number.
var nmeaFixes = [...]string{"none", "gps", "dgps", "pps", "rtk", "float_rtk", "estimated", "manual", "simulated"}

// nmeaModes are the letters of GNS from the best quality to the worst.
const nmeaModes = "RFPDAEMS"

// nmeaSince is a year that is not over: a receiver that counts weeks with ten
// bits, and has run over, says one that was 19.6 years ago.
const nmeaSince = 2026

// nmea gathers the sentences of one fix: receivers send several with the same
// time. The sentence that came last before the time changed is the last of
// the next fix too.
type nmea struct {
	o *nmeaOptions
	// step moves the system's clock; synced tells whether it can be believed.
	step   func(by time.Duration) error
	synced func() bool
	ours   bool // the clock is kept by this driver

	fields []lineField
	clock  string // of the fix, as hhmmss
	kind   string // of the newest sentence
	// first and last are the kinds that a fix begins and ends with.
	first, last string
	fixed       bool
	told        time.Time

	air     []lineField // of the sentences that are no part of a fix
	airTold time.Time
}

// parse takes a sentence; it returns values when a fix is complete.
// Sources: NMEA 0183 as receivers' protocol descriptions repeat it, u-blox 6
// Receiver Description, chapter "NMEA Protocol".
func (n *nmea) parse(line string) ([]lineField, error) {
	f, err := nmeaFields(line)
	if err != nil || f == nil || len(n.o.Talkers) > 0 && !slices.Contains(n.o.Talkers, f[0][:2]) {
		return nil, err
	}
	kind := f[0][2:]
	if n := 21 - len(f); n > 0 {
		f = append(f, make([]string, n)...) // old receivers leave out what was added later
	}
	if kind == "MWV" || kind == "MDA" {
		return n.weather(kind, f)
	}
	at, ok := map[string]int{"RMC": 1, "GGA": 1, "GNS": 1, "GLL": 5, "GSA": 0, "VTG": 0}[kind]
	if !ok {
		return nil, nil
	}
	var done []lineField
	if at > 0 && f[at] != n.clock || kind == n.first { // without a fix there may be no time
		if len(n.fields) > 0 {
			n.last = n.kind
			done = n.finish()
		}
		n.first = kind
		if at > 0 {
			n.clock = f[at]
		}
	}
	n.kind = kind
	if err := n.take(kind, f); err != nil {
		return nil, err
	}
	if kind == n.last {
		if newer := n.finish(); newer != nil {
			done = newer
		}
	}
	return done, nil
}

// nmeaFields checks a sentence's checksum and takes it apart; nil is another
// kind of line, as AIS has.
func nmeaFields(line string) ([]string, error) {
	start := strings.LastIndexByte(line, '$') // of one whose end is missing there is only the beginning
	if start < 0 {
		return nil, nil
	}
	body := line[start+1:]
	body, check, ok := strings.Cut(body, "*")
	want, err := hex.DecodeString(check)
	sum := byte(0)
	for _, b := range []byte(body) {
		sum ^= b
	}
	if !ok {
		return nil, errors.New("it has no checksum")
	}
	if err != nil || len(want) != 1 || want[0] != sum {
		return nil, errChecksum
	}
	f := strings.Split(body, ",")
	if len(f[0]) != 5 {
		return nil, nil // a manufacturer's own
	}
	return f, nil
}

// take adds what one sentence says.
func (n *nmea) take(kind string, f []string) error {
	switch kind {
	case "RMC":
		n.fix(f[2] == "A", "")
		return errors.Join(n.degrees(f[3:]), n.number("speed", "km/h", f[7], 1.852), n.numbers(kind, f), n.date(f[1], f[9]))
	case "GGA", "GNS":
		q, err := strconv.Atoi("0" + f[6])
		if kind == "GNS" { // a letter for each system of satellites
			best := strings.IndexFunc(nmeaModes, func(mode rune) bool { return strings.ContainsRune(f[6], mode) })
			q, err = [...]int{0, 4, 5, 3, 2, 1, 6, 7, 8}[best+1], nil
		}
		if err != nil || q >= len(nmeaFixes) {
			return fmt.Errorf("%q is no quality of a fix", f[6])
		}
		n.fix(q > 0 && q < 6, nmeaFixes[q])
		return errors.Join(n.degrees(f[2:]), n.numbers("GGA", f))
	case "GLL":
		n.fix(f[6] == "A", "")
		return n.degrees(f[1:])
	}
	return n.numbers(kind, f) // GSA, VTG
}

// weather takes a sentence that is whole by itself, and may be all that an
// instrument says. Wind by MWV is what a vane shows, from the bow (R), or what
// is left of it without the instrument's own motion (T).
func (n *nmea) weather(kind string, f []string) ([]lineField, error) {
	fix := n.fields
	n.fields = n.air
	var err error
	if kind == "MWV" {
		err = n.wind(f)
	} else {
		inches := n.number("pressure", "hPa", f[1], 33.8638866667) // of mercury; the one in bar counts
		err = errors.Join(inches, n.number("pressure", "hPa", f[3], 1000), n.numbers(kind, f), n.number("true_wind_speed", "km/h", f[17], 1.852))
	}
	n.air, n.fields = n.fields, fix
	if err != nil || n.o.Every > 0 && time.Since(n.airTold) < n.o.Every-n.o.Every/20 {
		return nil, err
	}
	all := n.air
	n.air, n.airTold = nil, time.Now()
	return all, nil
}

// wind takes MWV: angle, R or T, speed, its unit, A where they are valid.
func (n *nmea) wind(f []string) error {
	of := ""
	if f[2] == "T" {
		of = "true_"
	}
	scale, ok := map[string]float64{"K": 1, "M": 3.6, "N": 1.852, "S": 1.609344}[f[4]]
	switch {
	case f[5] != "A":
		for _, key := range []string{"wind_angle", "wind_speed"} {
			n.set(of+key, "", &sensors.Fault{Reason: sensors.NoData, Err: errors.New("the instrument has no valid wind")})
		}
		return nil
	case !ok && f[3] != "":
		return fmt.Errorf("%q is no unit of a speed", f[4])
	}
	return errors.Join(n.number(of+"wind_angle", "°", f[1], 1), n.number(of+"wind_speed", "km/h", f[3], scale))
}

func (n *nmea) set(key, unit string, value any) {
	if n.fields == nil {
		n.fields = make([]lineField, 0, 8) // of RMC, or GGA
	}
	i := slices.IndexFunc(n.fields, func(f lineField) bool { return f.key == key })
	if i < 0 {
		i = len(n.fields)
		n.fields = append(n.fields, lineField{key: key})
	}
	n.fields[i].value, n.fields[i].unit = value, unit
}

// fix notes whether the receiver knows where it is; word says how well.
func (n *nmea) fix(good bool, word string) {
	n.fixed = good
	if word != "" {
		n.set("fix", "", quoted(word))
	}
}

// numbers takes what a kind of sentence has of them.
func (n *nmea) numbers(kind string, f []string) (err error) {
	for i := range nmeaNumbers {
		if v := &nmeaNumbers[i]; v.kind == kind {
			err = errors.Join(err, n.number(v.key, v.unit, f[v.at], 1))
		}
	}
	return err
}

func (n *nmea) number(key, unit, text string, scale float64) error {
	if text == "" {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return fmt.Errorf("%s: %q is not a number", key, text)
	}
	n.set(key, unit, strconv.FormatFloat(math.Round(v*scale*1e6)/1e6, 'f', -1, 64))
	return nil
}

// degrees reads latitude and longitude: ddmm.mm,N,dddmm.mm,E.
func (n *nmea) degrees(f []string) error {
	for i, key := range []string{"latitude", "longitude"} {
		text, side := f[2*i], f[2*i+1]
		if text == "" {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		whole := math.Floor(v / 100)
		deg := whole + (v-100*whole)/60
		if err != nil || !(v >= 0) || v-100*whole >= 60 || deg > float64(90*(i+1)) || !strings.Contains([]string{"NS", "EW"}[i], side) || len(side) != 1 {
			return fmt.Errorf("%q,%q is no %s", text, side, key)
		}
		if side == "S" || side == "W" {
			deg = -deg
		}
		n.set(key, "°", strconv.FormatFloat(deg, 'f', 7, 64))
	}
	return nil
}

// date reads the time, and keeps this machine's clock if it is told to.
func (n *nmea) date(clock, date string) error {
	if clock == "" || date == "" || !n.fixed {
		return nil // receivers say something before they know
	}
	t, err := time.Parse("020106 150405", date+" "+clock) // Parse takes fractions of a second
	if err != nil {
		return fmt.Errorf("%q,%q is no time", clock, date)
	}
	offset := time.Until(t)
	n.set("time", "", quoted(t.Format(time.RFC3339)))
	n.set("clock_offset", "s", strconv.FormatFloat(offset.Seconds(), 'f', 1, 64))
	if n.o.Clock.Trust && (n.ours || !n.synced()) {
		most := max(n.o.Clock.MaxSkew, 0)
		if most == 0 {
			most = 2 * time.Second
		}
		if offset.Abs() < most {
			offset = 0
		}
		if t.Year() < nmeaSince {
			n.set("clock_offset", "s", &sensors.Fault{Reason: sensors.OutOfRange, Err: fmt.Errorf("the receiver says that it is %s", t.Format(time.DateOnly))})
			return nil
		}
		err := n.step(offset)
		n.ours = err == nil
		if err != nil {
			n.set("clock_offset", "s", &sensors.Fault{Reason: sensors.Permission, Err: err})
		}
	}
	return nil
}

// finish hands out what is known of one fix.
func (n *nmea) finish() []lineField {
	fields := n.fields
	if !n.fixed && n.o.RequireFix {
		for _, key := range nmeaEntities[:6] {
			n.set(key, "", &sensors.Fault{Reason: sensors.NoData, Err: errors.New("the receiver has no fix")})
		}
		fields = n.fields
	} else if text := nmeaPosition(fields); text != "" {
		fields = append(fields, lineField{key: "position", value: quoted(text)})
	}
	n.fields = nil
	if n.o.Every > 0 && time.Since(n.told) < n.o.Every-n.o.Every/20 {
		return nil
	}
	n.told = time.Now()
	return fields
}

// nmeaPosition is a JSON object of where the receiver is, "" when it does not
// know.
func nmeaPosition(fields []lineField) string {
	text := ""
	for _, key := range nmeaEntities[1:4] {
		for _, f := range fields {
			if f.key == key {
				text += `,"` + key + `":` + f.value.(string)
			}
		}
	}
	if !strings.Contains(text, "longitude") || !strings.Contains(text, "latitude") {
		return ""
	}
	return "{" + text[1:] + "}"
}
