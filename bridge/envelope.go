package bridge

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Envelope is what is put around payloads on their way up.
type Envelope byte

// The envelopes.
const (
	// Raw leaves the payload as it is; MQTT 5.0 carries the stamp as User
	// Properties.
	Raw Envelope = iota
	// JSON makes an object of topic, stamp and value.
	JSON
	// ThingsBoard makes a telemetry object for its gateway API, with the time
	// of capture; the topic is then always v1/gateway/telemetry.
	ThingsBoard
)

// thingsBoardTopic is of https://thingsboard.io/docs/reference/gateway-mqtt-api/
const thingsBoardTopic = "v1/gateway/telemetry"

// The User Properties of a stamp. A device of a gateway sets the first four
// itself; a bridge adds what is missing.
const (
	propTime    = "ts"     // RFC 3339 with milliseconds: when it was captured, or came here
	propClock   = "clock"  // synced | unsynced | corrected: whether that can be believed
	propQuality = "q"      // of a measured value
	propSeq     = "seq"    // number of the message among those of its source
	propID      = "msg-id" // the same for every copy, so that the other side can tell one
)

const unsynced = "unsynced"

const timeForm = "2006-01-02T15:04:05.000Z07:00"

// stamp is what is known of a message besides its payload.
type stamp struct {
	ts, clock, quality, seq, id string
	at                          time.Time
	corrected                   bool // ts and clock differ from those of the message
}

// stampOf reads the stamp of an entry that was captured at this time, which may
// be corrected; it fills in what is missing, and corrects the message's own
// time if that is of before the clock was set.
func (p *preparer) stampOf(e *mqtt.Queued, at time.Time, corrected bool) stamp {
	s := stamp{at: at, corrected: corrected, id: p.clientID + ":" + strconv.FormatUint(e.Seq, 36)}
	for _, u := range [...]struct {
		name string
		to   *string
	}{{propTime, &s.ts}, {propClock, &s.clock}, {propQuality, &s.quality}, {propSeq, &s.seq}} {
		*u.to, _ = e.Message.Properties.Get(u.name)
	}
	own, err := time.Parse(time.RFC3339, s.ts)
	switch {
	case err != nil:
	case s.clock == unsynced: // by this machine's clock
		s.at, s.corrected = p.captured(e, own, time.Now())
	default:
		s.at, s.corrected = own, false
	}
	switch known := p.synced() && mqtt.ClockSet(s.at); {
	case s.corrected && known:
		s.clock = "corrected"
	case s.corrected || s.clock == "" && !known:
		s.clock = unsynced
	case s.clock == "":
		s.clock = "synced"
	}
	if err != nil || s.corrected {
		s.ts = s.at.UTC().Format(timeForm)
	}
	if s.seq == "" {
		s.seq = strconv.FormatUint(e.Seq>>laneBits, 10)
	}
	return s
}

// missing returns the User Properties of the stamp that the message lacks. A
// message of QoS 2 arrives once: it needs no msg-id.
func (s *stamp) missing(p *mqtt.Properties, qos mqtt.QoS) []mqtt.UserProperty {
	all := [...]mqtt.UserProperty{{Name: propTime, Value: s.ts}, {Name: propClock, Value: s.clock}, {Name: propSeq, Value: s.seq}, {Name: propID, Value: s.id}}
	out := make([]mqtt.UserProperty, 0, len(all)+1)
	for _, u := range all {
		_, has := p.Get(u.Name)
		if s.corrected && (u.Name == propTime || u.Name == propClock) {
			has = false
		}
		if !has && (u.Name != propID || qos != mqtt.ExactlyOnce) {
			out = append(out, u)
		}
	}
	return out
}

// wrap puts the envelope around a payload. An empty payload stays empty: with
// RETAIN it deletes. ThingsBoard, which would close over it, never gets one.
func (v Envelope) wrap(topic string, payload []byte, s *stamp) []byte {
	if v == Raw || len(payload) == 0 {
		return payload
	}
	if v == ThingsBoard {
		value, _ := jsonValue(payload)
		return thingsBoard(topic, value, s)
	}
	return object(topic, payload, s)
}

// object makes the JSON object of a message.
func object(topic string, payload []byte, s *stamp) []byte {
	value, key := jsonValue(payload)
	var b []byte
	for _, f := range [...]struct{ name, value string }{
		{"topic", topic}, {propTime, s.ts}, {propClock, s.clock}, {propQuality, s.quality}, {propID, s.id},
	} {
		if f.value != "" {
			b = append(append(b, "{,"[min(len(b), 1)]), quoted(f.name)...)
			b = append(append(b, ':'), quoted(f.value)...)
		}
	}
	if n, err := strconv.ParseUint(s.seq, 10, 64); err == nil {
		b = strconv.AppendUint(append(b, `,"seq":`...), n, 10)
	}
	b = append(append(append(b, ','), quoted(key)...), ':')
	return append(append(b, value...), '}')
}

// jsonValue is the payload as a JSON value and the key that says how: JSON as
// it is, text as a string, anything else as base64. A string that is not UTF-8
// passes for JSON in Go alone (RFC 8259, 8.1): nobody else could read what holds it.
func jsonValue(payload []byte) (value []byte, key string) {
	switch text := utf8.Valid(payload); {
	case text && json.Valid(payload) && readable(payload):
		return bytes.TrimSpace(payload), "value"
	case text:
		return quoted(string(payload)), "value"
	}
	b, _ := json.Marshal(payload) // bytes always marshal
	return b, "value_b64"
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}

// thingsBoard makes {"device":[{"ts":ms,"values":{...}}]}. The last level of
// the topic is the key and the one before it the device; an object has its own
// keys, so that its device is the last level, or the one before "state".
func thingsBoard(topic string, value []byte, s *stamp) []byte {
	levels := strings.Split(topic, "/")
	last := levels[len(levels)-1]
	device := levels[max(0, len(levels)-2)]
	object := value[0] == '{'
	if object && last != "state" {
		device = last
	}
	b := append(append([]byte{'{'}, quoted(device)...), `:[{"ts":`...)
	b = append(strconv.AppendInt(b, s.at.UnixMilli(), 10), `,"values":`...)
	if object {
		b = append(b, value...)
	} else {
		b = append(append(append(b, '{'), quoted(last)...), ':')
		b = append(append(b, value...), '}')
	}
	return append(b, "}]}"...)
}
