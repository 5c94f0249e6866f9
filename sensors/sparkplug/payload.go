package sparkplug

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// Data types of metrics that are written here [6.4.16].
const (
	typeInt32   = 3
	typeInt64   = 4
	typeUInt64  = 8
	typeDouble  = 10
	typeBoolean = 11
	typeString  = 12
)

// Values of the property Quality [6.4.11].
const (
	qualityBad  = 0
	qualityGood = 192
)

// noSeq is the sequence number of NDEATH, which has none.
const noSeq = -1

// metric is one metric of a payload. Which fields are written depends on the
// message: births name and describe, data has aliases only.
type metric struct {
	name    string // "" is not written
	alias   uint64 // 0 is not written
	at      time.Time
	kind    uint64 // data type, 0 is not written
	value   any    // float64, int64, uint64, bool or string; nil is null
	unit    string // property engUnit, "" is not written
	quality int    // property Quality, negative is not written
	past    bool   // is_historical: it is no value of now
}

// Fields of protocol buffers: the number, and the wire type in the low bits.
const (
	varint    = 0
	fixed8    = 1
	delimited = 2
	fixed4    = 5
)

func appendVarint(b []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(field<<3|varint)), v)
}

func appendBytes(b []byte, field int, v string) []byte {
	b = binary.AppendUvarint(b, uint64(field<<3|delimited))
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// encode writes a payload [6.4.4].
func encode(now time.Time, seq int, metrics []metric) []byte {
	b := appendVarint(nil, 1, uint64(now.UnixMilli()))
	for i := range metrics {
		b = appendBytes(b, 2, string(metrics[i].encode()))
	}
	if seq != noSeq {
		b = appendVarint(b, 3, uint64(seq))
	}
	return b
}

func (m *metric) encode() (b []byte) {
	if m.name != "" {
		b = appendBytes(b, 1, m.name)
	}
	if m.alias != 0 {
		b = appendVarint(b, 2, m.alias)
	}
	if !m.at.IsZero() {
		b = appendVarint(b, 3, uint64(m.at.UnixMilli()))
	}
	if m.kind != 0 {
		b = appendVarint(b, 4, m.kind)
	}
	if m.past {
		b = appendVarint(b, 5, 1)
	}
	if m.value == nil {
		b = appendVarint(b, 7, 1)
	}
	if set := m.properties(); set != "" {
		b = appendBytes(b, 9, set)
	}
	switch v := m.value.(type) {
	case int64:
		b = appendVarint(b, 11, uint64(v))
	case uint64:
		b = appendVarint(b, 11, v)
	case float64:
		b = binary.LittleEndian.AppendUint64(append(b, 13<<3|fixed8), math.Float64bits(v))
	case bool:
		n := uint64(0)
		if v {
			n = 1
		}
		b = appendVarint(b, 14, n)
	case string:
		b = appendBytes(b, 15, v)
	}
	return b
}

// properties is the metric's PropertySet [6.4.8]: keys, then as many values.
func (m *metric) properties() string {
	var keys, values []byte
	if m.quality >= 0 {
		keys = appendBytes(keys, 1, "Quality")
		values = appendBytes(values, 2, string(appendVarint(appendVarint(nil, 1, typeInt32), 3, uint64(m.quality))))
	}
	if m.unit != "" {
		keys = appendBytes(keys, 1, "engUnit")
		values = appendBytes(values, 2, string(appendBytes(appendVarint(nil, 1, typeString), 8, m.unit)))
	}
	return string(append(keys, values...))
}

var errPayload = errors.New("no Sparkplug B payload")

// maxMetrics bounds what a command may ask for.
const maxMetrics = 100

// decodeCommand reads the metrics of an NCMD or DCMD: name, alias and value.
// Values are float64, int64, uint64, bool or string; nil is null, or a type that no
// command here has.
func decodeCommand(b []byte) (metrics []metric, err error) {
	for len(b) > 0 {
		field, number, body, rest, err := nextField(b)
		if err != nil {
			return nil, err
		}
		b = rest
		if field != 2 || number != delimited {
			continue
		}
		m, err := decodeMetric(body)
		if err != nil || len(metrics) == maxMetrics {
			return nil, errPayload
		}
		metrics = append(metrics, m)
	}
	return metrics, nil
}

func decodeMetric(b []byte) (m metric, err error) {
	var raw any
	for len(b) > 0 {
		field, wire, body, rest, err := nextField(b)
		if err != nil {
			return m, err
		}
		b = rest
		n := scalar(wire, body)
		switch {
		case field == 1 && wire == delimited:
			m.name = string(body)
		case field == 2 && wire == varint:
			m.alias = n
		case field == 4 && wire == varint:
			m.kind = n
		case field == 10 && wire == varint:
			raw = int64(int32(n))
		case field == 11 && wire == varint:
			raw = int64(n)
		case field == 12 && wire == fixed4:
			raw = float64(math.Float32frombits(uint32(n)))
		case field == 13 && wire == fixed8:
			raw = math.Float64frombits(n)
		case field == 14 && wire == varint:
			raw = n != 0
		case field == 15 && wire == delimited:
			raw = string(body)
		}
	}
	if v, ok := raw.(int64); ok {
		switch m.kind { // what is narrower than its field may come without the sign's upper bits
		case 1: // Int8
			raw = int64(int8(v))
		case 2: // Int16
			raw = int64(int16(v))
		case 7: // UInt32 has no sign
			raw = int64(uint32(v))
		case typeUInt64:
			raw = uint64(v)
		}
	}
	m.value = raw
	return m, nil
}

// nextField cuts off one field: its number, wire type and bytes.
func nextField(b []byte) (field, wire int, body, rest []byte, err error) {
	key, n := binary.Uvarint(b)
	if n <= 0 || key>>3 == 0 || key>>3 > 1<<29 {
		return 0, 0, nil, nil, errPayload
	}
	field, wire, b = int(key>>3), int(key&7), b[n:]
	size := 0
	switch wire {
	case varint:
		if _, size = binary.Uvarint(b); size <= 0 {
			return 0, 0, nil, nil, errPayload
		}
	case fixed8:
		size = 8
	case fixed4:
		size = 4
	case delimited:
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return 0, 0, nil, nil, errPayload
		}
		b, size = b[n:], int(length)
	default:
		return 0, 0, nil, nil, errPayload
	}
	if size > len(b) {
		return 0, 0, nil, nil, errPayload
	}
	return field, wire, b[:size], b[size:], nil
}

// scalar is a field's bytes as a number, 0 when it is none.
func scalar(wire int, body []byte) uint64 {
	switch wire {
	case varint:
		n, _ := binary.Uvarint(body)
		return n
	case fixed8:
		return binary.LittleEndian.Uint64(body)
	case fixed4:
		return uint64(binary.LittleEndian.Uint32(body))
	}
	return 0
}
