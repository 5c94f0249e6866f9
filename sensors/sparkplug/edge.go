package sparkplug

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Edge makes ordinary messages those of an Edge Node, for a bridge whose
// server has Sparkplug hosts: it satisfies bridge.Edge. The last level of a
// topic is the metric and the one before it the device; a JSON object has
// metrics of its own, its device is the last level, or the one before state
// and health. "offline" on the topic availability is the death of a device. A
// device is known when a value of it has come; what a metric was is forgotten
// with the process. Of devices with the same name the latest is commanded.
type Edge struct {
	node   *Node
	out    *collector
	stated map[string][]string // by device: what its newest document had
}

// mostMetrics bounds what an Edge remembers.
const mostMetrics = 10000

// NewEdge makes an Edge; file keeps its bdSeq number, empty: it begins at 0.
func NewEdge(group, node, file string, log *slog.Logger) *Edge {
	return &Edge{New(Options{Group: group, Node: node, File: file, Log: log}), &collector{}, map[string][]string{}}
}

// collector is a session that keeps what is published.
type collector struct {
	sensors.Session
	all []mqtt.Message
}

func (c *collector) Publish(_ context.Context, m mqtt.Message) error {
	c.all = append(c.all, m)
	return nil
}

func (e *Edge) taken() []mqtt.Message {
	all := e.out.all
	e.out.all = nil
	return all
}

// Will begins a connection: its will, and the filters of commands.
func (e *Edge) Will() (will mqtt.Message, commands []string) {
	n := e.node
	n.lock()
	defer n.unlock()
	n.countBirth()
	n.session = e.out
	return n.death(), n.commands()
}

// Births are what begins a connection, and answers a rebirth command.
func (e *Edge) Births(ctx context.Context) []mqtt.Message {
	e.node.lock()
	defer e.node.unlock()
	_ = e.node.births(ctx) // a collector takes everything
	return e.taken()
}

// Data is what becomes of a message that was captured at this time: none, if
// it has no value. One that waited for the connection is past: hosts keep it,
// and do not take it for the value of now.
func (e *Edge) Data(ctx context.Context, m *mqtt.Message, at time.Time, past bool) []mqtt.Message {
	if strings.HasPrefix(m.Topic, namespace) || !utf8.Valid(m.Payload) {
		return nil
	}
	levels := strings.Split(m.Topic, "/")
	last, above := levels[len(levels)-1], levels[:max(1, len(levels)-1)]
	if len(m.Payload) == 0 {
		return e.withdrawn(ctx, above[len(above)-1], last, at, past)
	}
	features, object := valuesOf(last, m.Payload, at)
	if object && last != "state" && last != "health" {
		above = levels
	}
	name := cmp.Or(above[len(above)-1], last) // the level above may be empty, as in "/temperature"
	if name == "" || last == "" && !object {
		return nil
	}
	d := e.node.devices[name]
	if object && last == "state" {
		features = e.whole(name, features, at)
	} else if !object && d.isText(last) {
		features[0].Value = string(m.Payload) // "5" between "4a" and "5b"
	}
	if e.node.aliases >= mostMetrics {
		features = slices.DeleteFunc(features, func(f sensors.Feature) bool { return !d.has(f.Name) })
	}
	switch {
	case last == "set", last == "result": // commands of others
	case last == "availability": // values tell that a device lives
		if string(m.Payload) == "offline" {
			_ = e.node.Died(ctx, name)
		}
	case len(features) == 0:
	case d == nil || !d.alive:
		_ = e.node.Born(ctx, &sensors.Profile{Device: name, Topic: strings.Join(above, "/"), Features: features})
	default:
		_ = e.node.changed(ctx, name, features, past)
	}
	return e.taken()
}

// whole adds to a device's document what the one before it had, and it has not
// any more: a document is all of its device.
func (e *Edge) whole(name string, features []sensors.Feature, at time.Time) []sensors.Feature {
	var names []string
	for i := range features {
		names = append(names, features[i].Name)
	}
	for _, was := range e.stated[name] {
		if !slices.Contains(names, was) {
			features = append(features, sensors.Feature{Name: was, At: at})
		}
	}
	e.stated[name] = names
	return features
}

// withdrawn is what becomes of a retained value that was removed: it is null. A
// document was all of its device.
func (e *Edge) withdrawn(ctx context.Context, name, last string, at time.Time, past bool) []mqtt.Message {
	d := e.node.devices[name]
	if d == nil {
		return nil
	}
	var gone []sensors.Feature
	for _, m := range d.metrics {
		if (m.name == last || last == "state") && m.value != nil {
			gone = append(gone, sensors.Feature{Name: m.name, At: at})
		}
	}
	if len(gone) > 0 {
		_ = e.node.changed(ctx, name, gone, past)
	}
	return e.taken()
}

func (d *device) isText(name string) bool {
	return d != nil && slices.ContainsFunc(d.metrics, func(m *deviceMetric) bool { return m.name == name && m.kind == typeString })
}

func (d *device) has(name string) bool {
	return d != nil && slices.ContainsFunc(d.metrics, func(m *deviceMetric) bool { return m.name == name })
}

// Command reads a message of one of the filters: whether births are asked for,
// and what is to be published on the topics below the metrics' own.
func (e *Edge) Command(m *mqtt.Message) (rebirth bool, set []mqtt.Message) {
	n := e.node
	metrics, err := decodeCommand(m.Payload)
	if err != nil || m.Retain {
		return false, nil
	}
	name, ok := strings.CutPrefix(m.Topic, n.topic("DCMD", "")+"/")
	for _, c := range metrics {
		if !ok {
			rebirth = rebirth || isRebirth(c)
			continue
		}
		topic, entity := n.find(name, c)
		if payload := word(c.value); entity != "" && payload != "" {
			set = append(set, mqtt.Message{Topic: topic + "/" + entity + "/set", Payload: []byte(payload), QoS: mqtt.AtLeastOnce})
		}
	}
	return rebirth, set
}

// valuesOf reads a payload: a number, true or false, ON or OFF, text, or an object of
// them, whose members have their own names. What is no value has none; NaN is
// what dunlin says of one that it does not know.
func valuesOf(name string, payload []byte, at time.Time) (features []sensors.Feature, object bool) {
	if payload[0] != '{' {
		return []sensors.Feature{feature(name, scalarOf(string(payload)), at)}, false
	}
	var all map[string]any
	if json.Unmarshal(payload, &all) != nil {
		return nil, false
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if key == "" {
			continue // no metric's name
		}
		switch v := all[key].(type) {
		case bool, string:
			features = append(features, feature(key, v, at))
		case float64:
			features = append(features, feature(key, number(v), at))
		}
	}
	return features, true
}

func feature(name string, value any, at time.Time) sensors.Feature {
	return sensors.Feature{Name: name, Value: value, At: at, Control: &sensors.Control{}}
}

func scalarOf(text string) any {
	switch text {
	case "true", "ON":
		return true
	case "false", "OFF":
		return false
	case "NaN":
		return nil
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
		return number(v)
	}
	return text
}

// number is a whole number as one.
func number(v float64) any {
	if n := int64(v); float64(n) == v && math.Abs(v) < 1<<53 {
		return n
	}
	return v
}
