package sparkplugtest

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Payload is a Sparkplug B payload; a pointer that is nil was not there.
type Payload struct {
	Timestamp, Seq *uint64
	Metrics        []Metric
}

// Metric is one metric of a payload.
type Metric struct {
	Name                       *string
	Alias, Timestamp, Datatype *uint64
	Null                       bool
	Historical                 bool
	// Value is an int64, float64, bool or string as the datatype of its birth
	// has it; nil when there is none.
	Value      any
	Properties map[string]any // uint64 or string
}

// fields calls f for each field of a message: v is the number or the bytes.
func fields(b []byte, f func(field uint64, v any) error) error {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("no key in % x", b)
		}
		b = b[n:]
		var v any
		size := 0
		switch key & 7 {
		case 0:
			v, size = binary.Uvarint(b)
		case 1:
			if size = 8; len(b) >= size {
				v = math.Float64frombits(binary.LittleEndian.Uint64(b))
			}
		case 5:
			if size = 4; len(b) >= size {
				v = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
			}
		case 2:
			length, n := binary.Uvarint(b)
			if n <= 0 || uint64(len(b)-n) < length {
				return fmt.Errorf("field %d is cut short", key>>3)
			}
			v, size = b[n:n+int(length)], n+int(length)
		}
		if size <= 0 || v == nil || size > len(b) {
			return fmt.Errorf("field %d of wire type %d is cut short", key>>3, key&7)
		}
		if err := f(key>>3, v); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// Decode reads a payload strictly: a field that the specification does not
// have is an error.
func Decode(b []byte) (p Payload, err error) {
	err = fields(b, func(field uint64, v any) error {
		switch n, _ := v.(uint64); field {
		case 1:
			p.Timestamp = &n
		case 2:
			m, err := decodeMetric(v.([]byte))
			p.Metrics = append(p.Metrics, m)
			return err
		case 3:
			p.Seq = &n
		default:
			return fmt.Errorf("payload has field %d", field)
		}
		return nil
	})
	return p, err
}

func decodeMetric(b []byte) (m Metric, err error) {
	err = fields(b, func(field uint64, v any) error {
		n, _ := v.(uint64)
		switch field {
		case 1:
			name := string(v.([]byte))
			m.Name = &name
		case 2:
			m.Alias = &n
		case 3:
			m.Timestamp = &n
		case 4:
			m.Datatype = &n
		case 5:
			m.Historical = n != 0
		case 7:
			m.Null = n != 0
		case 9:
			m.Properties, err = decodeProperties(v.([]byte))
			return err
		case 11:
			m.Value = int64(n)
		case 13:
			m.Value = v.(float64)
		case 14:
			m.Value = n != 0
		case 15:
			m.Value = string(v.([]byte))
		default:
			return fmt.Errorf("metric has field %d", field)
		}
		return nil
	})
	return m, err
}

func decodeProperties(b []byte) (map[string]any, error) {
	var keys []string
	var values []any
	err := fields(b, func(field uint64, v any) error {
		if field == 1 {
			keys = append(keys, string(v.([]byte)))
			return nil
		}
		var kind uint64
		return fields(v.([]byte), func(field uint64, v any) error {
			switch {
			case field == 1:
				kind = v.(uint64)
			case field == 3 && kind == 3:
				values = append(values, v.(uint64))
			case field == 8 && kind == 12:
				values = append(values, string(v.([]byte)))
			default:
				return fmt.Errorf("property of type %d has field %d", kind, field)
			}
			return nil
		})
	})
	if err == nil && len(keys) != len(values) {
		err = fmt.Errorf("%d keys and %d values", len(keys), len(values))
	}
	set := map[string]any{}
	for i := range min(len(keys), len(values)) {
		set[keys[i]] = values[i]
	}
	return set, err
}
