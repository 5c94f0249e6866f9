package sparkplug

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// device is what a rebirth needs of one device.
type device struct {
	topic   string // above its command topics
	model   string
	alive   bool
	metrics []*deviceMetric // in order of appearance
}

// deviceMetric is one metric with its newest value.
type deviceMetric struct {
	metric
	writable bool
}

// take notes what a feature is now. birth says that the host has to be told
// anew what the metric is: it is another type. A device keeps the alias of a
// metric for as long as the node runs.
func (d *device) take(f *sensors.Feature, alias func() uint64, now time.Time) (m *deviceMetric, birth bool) {
	for _, known := range d.metrics {
		if known.name == f.Name {
			m = known
		}
	}
	if m == nil {
		m, birth = &deviceMetric{metric: metric{name: f.Name, alias: alias(), unit: f.Unit}}, true
		d.metrics = append(d.metrics, m)
	}
	if f.Control != nil {
		m.writable = true
	}
	kind := kindOf(f)
	value := f.Value
	if n, whole := value.(int64); whole && m.kind == typeDouble {
		kind, value = typeDouble, float64(n) // 23 between 22.5 and 23.5
	}
	if value == nil && m.kind != 0 {
		kind = m.kind
	}
	birth = birth || kind != m.kind || f.Unit != "" && f.Unit != m.unit
	if f.Unit != "" {
		m.unit = f.Unit
	}
	m.kind, m.value, m.at, m.quality = kind, value, f.At, qualityGood
	if value == nil {
		m.quality, m.at = qualityBad, now
	}
	return m, birth
}

// kindOf is a feature's data type; for an output without a value what its
// commands are.
func kindOf(f *sensors.Feature) uint64 {
	switch f.Value.(type) {
	case bool:
		return typeBoolean
	case int64:
		return typeInt64
	case uint64:
		return typeUInt64
	case string:
		return typeString
	case float64:
		return typeDouble
	}
	if f.Control == nil {
		return typeDouble
	}
	switch f.Control.Platform {
	case "switch", "button":
		return typeBoolean
	case "text":
		return typeString
	}
	return typeDouble
}

// birth is all metrics of the device, described.
func (d *device) birth() []metric {
	var all []metric
	for _, m := range d.metrics {
		all = append(all, m.metric)
	}
	return all
}

// data is a metric as DDATA has it: the alias names it, and the quality is
// there when it is news.
func (m *deviceMetric) data(was int, past bool) metric {
	quality := m.quality
	if quality == was {
		quality = -1
	}
	return metric{alias: m.alias, at: m.at, value: m.value, quality: quality, past: past}
}
