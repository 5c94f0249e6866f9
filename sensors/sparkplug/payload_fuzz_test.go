package sparkplug

import (
	"testing"
	"time"
)

// FuzzDecodeCommand: no command makes the reader panic or keep more than it
// may, and what is written is read back.
func FuzzDecodeCommand(f *testing.F) {
	now := time.UnixMilli(1_795_300_000_123)
	f.Add(encode(now, 7, []metric{
		{name: "a", alias: 3, at: now, kind: typeDouble, value: 1.5, unit: "V", quality: qualityGood},
		{alias: 4, value: int64(-1), quality: -1}, {name: "n", kind: typeString, quality: qualityBad}, {name: "s", value: "x", quality: -1},
	}))
	f.Add([]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{0x12, 0x02, 0x0a, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		metrics, err := decodeCommand(b)
		if err != nil && metrics != nil || len(metrics) > maxMetrics {
			t.Fatalf("%d metrics, %v", len(metrics), err)
		}
		again, err := decodeCommand(encode(now, noSeq, metrics))
		if err != nil || len(again) != len(metrics) {
			t.Fatalf("%d metrics became %d: %v", len(metrics), len(again), err)
		}
		for i, m := range metrics {
			if v, ok := m.value.(float64); ok && v != v {
				continue // NaN
			}
			if again[i].name != m.name || again[i].alias != m.alias || m.kind != 7 && again[i].value != m.value {
				t.Errorf("%+v became %+v", m, again[i])
			}
		}
	})
}
