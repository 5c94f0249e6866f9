package sparkplugtest

import (
	"fmt"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Host follows one Edge Node.
type Host struct {
	Prefix string // "spBv1.0/group/"
	Node   string
	// Decode reads payloads; nil is Decode of this package.
	Decode func([]byte) (Payload, error)
	// Will is the payload of the will that the node connected with; nil: not
	// known.
	Will []byte

	Online  bool
	Births  int                       // NBIRTHs so far
	Devices map[string]map[string]any // what is alive: values by device and metric; nil is null
	Past    []any                     // values that were not those of then, in order
	PastAt  []uint64                  // when they were, in milliseconds since 1970
	aliases map[uint64]*known
	bdSeq   any
	seq     uint64 // of the next message
	// Faults are what the specification forbids, or a host could not follow.
	Faults []string
}

// known is a metric by its alias.
type known struct {
	device, name string
	kind         uint64
	bad          bool // by its newest Quality
}

func (h *Host) fault(m mqtt.Message, format string, args ...any) {
	h.Faults = append(h.Faults, m.Topic+": "+fmt.Sprintf(format, args...))
}

// Take is a message of the node.
func (h *Host) Take(m mqtt.Message) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(m.Topic, h.Prefix), "/")
	node, device, _ := strings.Cut(rest, "/")
	if !strings.HasPrefix(m.Topic, h.Prefix) || node != h.Node || (kind[0] == 'D') != (device != "") {
		h.fault(m, "is no topic of the node [topic-structure]")
		return
	}
	decode := h.Decode
	if decode == nil {
		decode = Decode
	}
	p, err := decode(m.Payload)
	if err != nil {
		h.fault(m, "%v", err)
		return
	}
	if m.Retain || m.QoS != mqtt.AtMostOnce && kind != "NDEATH" || kind == "NDEATH" && m.QoS != mqtt.AtLeastOnce {
		h.fault(m, "QoS %d, retain %v [payloads-nbirth-qos, -retain]", m.QoS, m.Retain)
	}
	if p.Timestamp == nil {
		h.fault(m, "no timestamp [payloads-nbirth-timestamp]")
	}
	if kind == "NDEATH" {
		h.nodeDeath(m, p)
		return
	}
	if kind == "NBIRTH" {
		h.seq = 0
	}
	switch {
	case p.Seq == nil:
		h.fault(m, "no seq [payloads-sequence-num-always-included]")
	case *p.Seq != h.seq:
		h.fault(m, "seq %d, want %d [payloads-sequence-num-incrementing]", *p.Seq, h.seq)
	}
	h.seq = (h.seq + 1) % 256
	if kind != "NBIRTH" && !h.Online {
		h.fault(m, "before NBIRTH [message-flow-device-birth-publish-nbirth-wait]")
		return
	}
	h.take(kind, device, m, p)
}

func (h *Host) take(kind, device string, m mqtt.Message, p Payload) {
	switch kind {
	case "NBIRTH":
		h.Online, h.Devices, h.aliases = true, map[string]map[string]any{}, map[uint64]*known{}
		h.Births++
		h.nodeBirth(m, p)
	case "DBIRTH":
		h.Devices[device] = map[string]any{}
		for alias, k := range h.aliases {
			if k.device == device {
				delete(h.aliases, alias)
			}
		}
		h.describe(device, m, p)
	case "DDATA":
		h.data(device, m, p)
	case "DDEATH":
		if h.Devices[device] == nil {
			h.fault(m, "of a device that is not alive")
		}
		delete(h.Devices, device)
	default:
		h.fault(m, "is nothing that a node says")
	}
}

// nodeBirth checks what every NBIRTH has.
func (h *Host) nodeBirth(m mqtt.Message, p Payload) {
	h.describe("", m, p)
	have := map[string]Metric{}
	for _, metric := range p.Metrics {
		if metric.Name != nil {
			have[*metric.Name] = metric
		}
	}
	b := have["bdSeq"]
	if h.bdSeq = b.Value; b.Value == nil || b.Datatype == nil || *b.Datatype != 4 {
		h.fault(m, "bdSeq is %v [topics-nbirth-bdseq-included]", b.Value)
	}
	if h.Will != nil {
		will, err := Decode(h.Will)
		if err != nil || len(will.Metrics) != 1 || will.Seq != nil || will.Metrics[0].Value != h.bdSeq {
			h.fault(m, "bdSeq is %v, the will is %v, %v [topics-nbirth-bdseq-matching]", h.bdSeq, will, err)
		}
	}
	if r := have["Node Control/Rebirth"]; r.Value != false || r.Datatype == nil || *r.Datatype != 11 {
		h.fault(m, "Node Control/Rebirth is %v [topics-nbirth-rebirth-metric]", r.Value)
	}
}

// describe takes the metrics of a birth.
func (h *Host) describe(device string, m mqtt.Message, p Payload) {
	for _, metric := range p.Metrics {
		if metric.Name == nil || metric.Timestamp == nil || metric.Datatype == nil {
			h.fault(m, "%+v is no description [payloads-metric-datatype-req]", metric)
			continue
		}
		if (metric.Alias == nil) != (*metric.Name == "Node Control/Rebirth") {
			h.fault(m, "alias of %s [payloads-alias-birth-requirement, operational-behavior-data-commands-rebirth-name-aliases]", *metric.Name)
		}
		if metric.Alias == nil {
			continue
		}
		if other, taken := h.aliases[*metric.Alias]; taken {
			h.fault(m, "alias %d is %v's and %s's [payloads-alias-uniqueness]", *metric.Alias, other, *metric.Name)
		}
		if metric.Historical {
			h.fault(m, "%s is not the value of now [operational-behavior-data-publish-dbirth-values]", *metric.Name)
		}
		h.aliases[*metric.Alias] = &known{device: device, name: *metric.Name, kind: *metric.Datatype}
		h.value(h.aliases[*metric.Alias], m, metric)
	}
}

func (h *Host) data(device string, m mqtt.Message, p Payload) {
	if h.Devices[device] == nil {
		h.fault(m, "of a device that is not alive [message-flow-device-birth-publish]")
		return
	}
	if len(p.Metrics) == 0 {
		h.fault(m, "says nothing")
	}
	for _, metric := range p.Metrics {
		if metric.Alias == nil || metric.Name != nil || metric.Datatype != nil || metric.Timestamp == nil {
			h.fault(m, "%+v [payloads-alias-data-cmd-requirement, -metric-datatype-not-req]", metric)
			continue
		}
		k, ok := h.aliases[*metric.Alias]
		if !ok || k.device != device {
			h.fault(m, "alias %d was not born", *metric.Alias)
			continue
		}
		h.value(k, m, metric)
	}
}

// value takes a metric's value, which is of the type that was born.
func (h *Host) value(k *known, m mqtt.Message, metric Metric) {
	fits, kind := false, k.kind
	if n, ok := metric.Value.(int64); ok && kind == 8 {
		metric.Value = uint64(n)
	}
	switch metric.Value.(type) {
	case int64:
		fits = kind == 4
	case uint64:
		fits = kind == 8
	case float64:
		fits = kind == 10
	case bool:
		fits = kind == 11
	case string:
		fits = kind == 12
	case nil:
		fits = metric.Null
	}
	if !fits || metric.Null != (metric.Value == nil) {
		h.fault(m, "%s of datatype %d is %v, null %v [payloads-metric-datatype-value]", k.name, kind, metric.Value, metric.Null)
	}
	if quality, ok := metric.Properties["Quality"]; ok {
		k.bad = quality == uint64(0)
	}
	if k.bad != metric.Null {
		h.fault(m, "%s: null %v, but its newest quality is bad: %v [payloads-propertyset-quality-value-value]", k.name, metric.Null, k.bad)
	}
	if metric.Historical { // for the record: what is now stays
		h.Past, h.PastAt = append(h.Past, metric.Value), append(h.PastAt, *metric.Timestamp)
	} else if k.device != "" {
		h.Devices[k.device][k.name] = metric.Value
	}
}

func (h *Host) nodeDeath(m mqtt.Message, p Payload) {
	if p.Seq != nil {
		h.fault(m, "has a seq [payloads-ndeath-seq]")
	}
	if h.Will != nil && string(m.Payload) != string(h.Will) {
		h.fault(m, "is not the will")
	}
	if len(p.Metrics) != 1 || p.Metrics[0].Name == nil || *p.Metrics[0].Name != "bdSeq" || p.Metrics[0].Value != h.bdSeq {
		h.fault(m, "%+v, bdSeq of the birth was %v [payloads-ndeath-bdseq]", p.Metrics, h.bdSeq)
	}
	h.Online, h.Devices = false, nil
}
