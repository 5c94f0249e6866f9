package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// tstLayout is RFC 3339 with microseconds.
const tstLayout = "2006-01-02T15:04:05.000000Z07:00"

// appendJSON writes the object of %j (payload as a string) and %J (payload as
// JSON), with mosquitto_sub's keys in its order.
func (f *Format) appendJSON(dst []byte, m *Message, now time.Time, escaped bool) ([]byte, error) {
	if !escaped && len(m.Payload) > 0 && !json.Valid(m.Payload) {
		return dst, fmt.Errorf("message payload is not valid JSON on topic %s", m.Topic)
	}
	b := []byte(`{"tst":"`)
	b = now.AppendFormat(b, tstLayout)
	b = append(b, `","topic":`...)
	b = appendQuoted(b, []byte(m.Topic))
	b = fmt.Appendf(b, `,"qos":%d,"retain":%d,"payloadlen":%d`, m.QoS, bit(m.Retain), len(m.Payload))
	if m.QoS > 0 {
		b = fmt.Appendf(b, `,"mid":%d`, m.ID)
	}
	b = appendProperties(b, &m.Properties)
	b = append(b, `,"payload":`...)
	switch {
	case len(m.Payload) == 0:
		b = append(b, "null"...)
	case escaped:
		b = appendQuoted(b, m.Payload)
	default:
		b = appendCompact(b, m.Payload)
	}
	b = append(b, '}')
	if f.pretty {
		return appendPretty(dst, b), nil
	}
	return append(dst, b...), nil
}

func appendCompact(dst, src []byte) []byte {
	out := bytes.NewBuffer(dst)
	if json.Compact(out, src) != nil {
		return append(dst, "null"...) // unreachable: src was found valid
	}
	return out.Bytes()
}

func appendProperties(b []byte, p *packet.Properties) []byte {
	start := len(b)
	key := func(name string) {
		if len(b) == start {
			b = append(b, `,"properties":{`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, `":`...)
	}
	number := func(has packet.Has, name string, n uint32) {
		if p.Has&has != 0 {
			key(name)
			b = strconv.AppendUint(b, uint64(n), 10)
		}
	}
	text := func(has packet.Has, name string, s []byte) {
		if p.Has&has != 0 {
			key(name)
			b = appendQuoted(b, s)
		}
	}
	number(packet.HasTopicAlias, "topic-alias", uint32(p.TopicAlias))
	if len(p.User) > 0 {
		key("user-properties")
		b = appendUser(b, p.User)
	}
	number(packet.HasPayloadFormat, "payload-format-indicator", uint32(p.PayloadFormat))
	text(packet.HasContentType, "content-type", p.ContentType)
	text(packet.HasResponseTopic, "response-topic", p.ResponseTopic)
	text(packet.HasCorrelationData, "correlation-data", p.CorrelationData)
	for _, id := range p.SubscriptionIdentifiers {
		key("subscription-identifier")
		b = strconv.AppendUint(b, uint64(id), 10)
	}
	number(packet.HasMessageExpiry, "message-expiry-interval", p.MessageExpiry)
	if len(b) > start {
		b = append(b, '}')
	}
	return b
}

func appendUser(b []byte, user []packet.UserProperty) []byte {
	b = append(b, '{')
	for i, u := range user {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, u.Name)
		b = append(b, ':')
		b = appendQuoted(b, u.Value)
	}
	return append(b, '}')
}

// appendQuoted writes a JSON string with mosquitto_sub's escapes; bytes that
// are not UTF-8 become U+FFFD, since JSON has no others.
func appendQuoted(b, s []byte) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20:
			b = appendControl(b, byte(r))
		default:
			b = utf8.AppendRune(b, r)
		}
		s = s[n:]
	}
	return append(b, '"')
}

func appendControl(b []byte, c byte) []byte {
	switch c {
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return fmt.Appendf(b, `\u%04x`, c)
}
