package sensors

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// senmlType is the media type of a SenML Pack in JSON [RFC 8428, 12.3.1].
const senmlType = "application/senml+json"

// senmlUnits turns units as people write them into primary units of IANA's
// registry of SenML units; the value is multiplied by the factor. Secondary
// units are not written: readers of RFC 8428 do not know them [RFC 9100].
// A unit that is not here, nor a primary unit itself, is left out.
var senmlUnits = map[string]struct {
	unit   string
	factor float64
}{
	"°C": {"Cel", 1}, "%": {"/", 0.01}, "%RH": {"%RH", 1}, "Ω": {"Ohm", 1}, "kΩ": {"Ohm", 1e3},
	"hPa": {"Pa", 100}, "mbar": {"Pa", 100}, "bar": {"Pa", 1e5}, "kPa": {"Pa", 1e3},
	"mV": {"V", 1e-3}, "kV": {"V", 1e3}, "mA": {"A", 1e-3}, "mW": {"W", 1e-3}, "kW": {"W", 1e3},
	"Wh": {"J", 3600}, "kWh": {"J", 3.6e6}, "kHz": {"Hz", 1e3}, "MHz": {"Hz", 1e6},
	"Ah": {"C", 3600}, "mAh": {"C", 3.6}, "kvar": {"var", 1e3}, "kVA": {"VA", 1e3},
	"mm": {"m", 1e-3}, "cm": {"m", 1e-2}, "km": {"m", 1e3}, "m²": {"m2", 1}, "m³": {"m3", 1}, "L": {"m3", 1e-3}, "l": {"m3", 1e-3},
	"L/min": {"m3/s", 1e-3 / 60}, "L/h": {"m3/s", 1e-3 / 3600}, "m³/h": {"m3/s", 1. / 3600}, "L/s": {"m3/s", 1e-3},
	"g": {"kg", 1e-3}, "ms": {"s", 1e-3}, "min": {"s", 60}, "h": {"s", 3600}, "d": {"s", 86400},
	"km/h": {"m/s", 1 / 3.6}, "kn": {"m/s", 1852. / 3600}, "m/s²": {"m/s2", 1}, "°": {"deg", 1}, "W/m²": {"W/m2", 1},
	"ppm": {"/", 1e-6}, "ppb": {"/", 1e-9}, "µg/m³": {"kg/m3", 1e-9}, "mg/m³": {"kg/m3", 1e-6},
	"KiB": {"B", 1024}, "MiB": {"B", 1 << 20}, "GiB": {"B", 1 << 30}, "kB": {"B", 1e3}, "MB": {"B", 1e6}, "GB": {"B", 1e9},
	"rpm": {"1/s", 1. / 60}, "µS/cm": {"S/m", 1e-4}, "mS/cm": {"S/m", 0.1},
}

// senmlPrimary are the primary units that are written the same way.
const senmlPrimary = " m kg s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lx Bq Gy Sv kat m2 m3 m/s m/s2 m3/s " +
	"W/m2 cd/m2 bit bit/s lat lon pH dB dBW count / %RH %EL EL 1/s S/m B VA VAs var vars J/m kg/m3 deg NTU "

// senmlUnit returns the registered unit and what values are multiplied by. A
// percentage of humidity has a unit of its own.
func senmlUnit(entity, unit string) (string, float64) {
	if unit == "%" && strings.Contains(entity, "humidity") {
		unit = "%RH"
	}
	if u, ok := senmlUnits[unit]; ok {
		return u.unit, u.factor
	}
	if unit != "" && strings.Contains(senmlPrimary, " "+unit+" ") {
		return unit, 1
	}
	return "", 1
}

// senmlPack is every current value of the device as a SenML Pack: the Base
// Name is its topic, the Base Time that of the newest value. Without a clock
// that can be believed times count from now, which is what a time below 2^28
// means [RFC 8428, 4.5.3].
func (o *owner) senmlPack(now time.Time, synced bool) []byte {
	epoch := now
	if synced {
		epoch = time.Time{}
		for _, e := range o.entities {
			if e.has && e.value().At.After(epoch) {
				epoch = e.value().At
			}
		}
	}
	var b bytes.Buffer
	for _, e := range o.entities {
		if !e.has {
			continue
		}
		start := ",{"
		if b.Len() == 0 {
			start = fmt.Sprintf(`[{"bn":"%s",`, senmlName(o.topics.device+"/"))
			if synced {
				start += fmt.Sprintf(`"bt":%.3f,`, float64(epoch.UnixMilli())/1000)
			}
		}
		fmt.Fprintf(&b, `%s"n":"%s"`, start, senmlEscape(e.name))
		if t := e.value().At.Sub(epoch).Round(time.Millisecond); t != 0 {
			fmt.Fprintf(&b, `,"t":%s`, plain(t.Seconds()))
		}
		writeSenMLValue(&b, e)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// writeSenMLValue writes unit and value, and ends the record.
func writeSenMLValue(b *bytes.Buffer, e *entity) {
	switch v := e.value().Value.(type) {
	case bool:
		fmt.Fprintf(b, `,"vb":%t}`, v)
		return
	case string:
		text, _ := document(v) // a string always is JSON
		fmt.Fprintf(b, `,"vs":%s}`, text)
		return
	}
	n, _ := number(e.value())
	unit, factor := senmlUnit(e.name, e.unit)
	if unit != "" {
		fmt.Fprintf(b, `,"u":"%s"`, unit)
	}
	text := plain(e.value().Value)
	if factor != 1 {
		text = plain(n * factor)
	}
	fmt.Fprintf(b, `,"v":%s}`, text)
}

// SenML says how the feature's value stands in a SenML Pack: its Name, the
// field that holds it, and what the value was multiplied by.
func (f *Feature) SenML() (name, field string, factor float64) {
	name, field, factor = senmlEscape(f.Name), "v", 1
	switch f.Value.(type) {
	case bool:
		field = "vb"
	case string:
		field = "vs"
	default:
		_, factor = senmlUnit(f.Name, f.Unit)
	}
	return name, field, factor
}

// senmlName is text as the beginning of a Name, which is a letter or a digit.
func senmlName(text string) string {
	name := senmlEscape(text)
	if strings.IndexByte("-./_:", name[0]) >= 0 {
		return "x" + name
	}
	return name
}

// senmlEscape keeps the letters that a Name may have [RFC 8428, 4.5.1] and
// writes other bytes, and the colon, as :XX, so that no two names become one.
func senmlEscape(text string) string {
	var b []byte
	for i := range len(text) {
		c := text[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-./_", c) >= 0 {
			b = append(b, c)
		} else {
			b = fmt.Appendf(b, ":%02X", c)
		}
	}
	return string(b)
}
