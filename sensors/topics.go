package sensors

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// topics are those of one device, below Options.Base. They are seldom needed but
// those of values, which are kept: a gateway has many devices.
type topics struct{ device string } // dunlin/{node}/{device}

func newTopics(base, device string) topics { return topicsOf(base + "/" + device) }
func topicsOf(device string) topics        { return topics{device} }

func (t *topics) availability() string { return t.device + "/availability" }
func (t *topics) health() string       { return t.device + "/health" }
func (t *topics) state() string        { return t.device + "/state" }

// commands is the filter of the device's command topics.
func (t *topics) commands() string { return t.device + "/+/set" }

func (t *topics) value(entity string) string  { return t.device + "/" + entity }
func (t *topics) result(entity string) string { return t.device + "/" + entity + "/result" }

// commanded returns the entity that a command topic names.
func (t *topics) commanded(name string) (entity string, ok bool) {
	rest, ok := strings.CutPrefix(name, t.device+"/")
	if !ok {
		return "", false
	}
	entity, ok = strings.CutSuffix(rest, "/set")
	return entity, ok && entity != "" && !strings.Contains(entity, "/")
}

// The words of availability and of plain values.
const (
	online  = "online"
	offline = "offline"
)

// retained is a retained message at QoS 1: availability and health.
func retained(topic string, payload []byte) mqtt.Message {
	return mqtt.Message{
		Topic: topic, Payload: payload, QoS: mqtt.AtLeastOnce, Retain: true,
		Properties: &mqtt.Properties{PayloadFormat: 1, HasFormat: true},
	}
}

// will is what the broker says of a device that ended abnormally.
func (t *topics) will(delay time.Duration) *mqtt.Will {
	return &mqtt.Will{Message: retained(t.availability(), []byte(offline)), Delay: delay}
}

// plain is a value as a scalar: the shortest decimal that is true to twelve
// digits (what is behind them is an artifact of binary arithmetic, no sensor
// measures it; a whole number has none), ON or OFF, or the text. A float64 from
// 2^53 on may stand for its neighbors too: it has an exponent, not digits that
// look counted.
func plain(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "ON"
		}
		return "OFF"
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		if v != math.Trunc(v) {
			if r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 11, 64), 64); err == nil {
				v = r
			}
		}
		if v == 0 {
			return "0" // not "-0"
		}
		if a := math.Abs(v); a >= 1<<53 || a < 1e-9 {
			return strconv.FormatFloat(v, 'e', -1, 64)
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		return v
	}
	return ""
}

// document is v in JSON as people read it: "<" stays what it is.
func document(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// stamp is a time as the user property ts and the health document show it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// byClock is t by the clock of now, which may have been set since: a board
// without a battery begins in 1970, and what happened before it was told the
// time is published anew for as long as nothing else does.
func byClock(t, now time.Time) time.Time {
	ago := now.Sub(t) // by the clock that nobody sets
	if set := now.Round(0).Sub(t.Round(0)) - ago; set.Abs() < time.Second {
		return t
	}
	return now.Add(-ago)
}

// properties are those of a value message.
func properties(at time.Time, quality string, synced bool, seq uint64) *mqtt.Properties {
	clock := "unsynced"
	if synced {
		clock = "synced"
	}
	return &mqtt.Properties{
		PayloadFormat: 1, HasFormat: true,
		User: []mqtt.UserProperty{
			{Name: "ts", Value: stamp(at)},
			{Name: "q", Value: quality},
			{Name: "clock", Value: clock},
			{Name: "seq", Value: strconv.FormatUint(seq, 10)},
		},
	}
}
