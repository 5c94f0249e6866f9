package format

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Message is what a format can show of an Application Message.
type Message struct {
	Topic      string
	Payload    []byte
	QoS        mqtt.QoS
	Retain     bool
	ID         uint16 // Packet Identifier, 0 with QoS 0
	Properties packet.Properties
}

// Append renders m, which arrived at now, at the end of dst. An error (%J on
// a payload that is not JSON) concerns one sequence only: the rest is
// rendered, as mosquitto_sub does.
func (f *Format) Append(dst []byte, m *Message, now time.Time) ([]byte, error) {
	var failed error
	for i := range f.pieces {
		switch x := &f.pieces[i]; x.kind {
		case 0:
			dst = append(dst, x.literal...)
		case '@':
			dst = strftime(dst, x.verb, now)
		default:
			var err error
			start := len(dst)
			if dst, err = f.sequence(dst, x, m, now); err != nil {
				failed = err
			}
			if f.Terminal {
				lines := x.verb == 'p' || x.verb == 'j' || x.verb == 'J'
				dst = append(dst[:start], Visible(string(dst[start:]), lines)...)
			}
		}
	}
	return dst, failed
}

// Visible replaces what a terminal would obey instead of show, in a text of
// one line or, if lines, of several.
func Visible(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case lines && (r == '\n' || r == '\t'), unicode.IsPrint(r):
			return r
		case r == '\n', r == '\r', r == '\t':
			return ' '
		}
		return utf8.RuneError
	}, s)
}

func (f *Format) sequence(dst []byte, x *piece, m *Message, now time.Time) ([]byte, error) {
	switch x.verb {
	case 't':
		return x.string(dst, m.Topic), nil
	case 'p':
		return x.payload(dst, m.Payload), nil
	case 'x':
		return x.hex(dst, m.Payload, false), nil
	case 'X':
		return x.hex(dst, m.Payload, true), nil
	case 'q':
		return append(dst, '0'+byte(m.QoS)), nil
	case 'r':
		return append(dst, '0'+byte(bit(m.Retain))), nil
	case 'l':
		return x.number(dst, uint64(len(m.Payload))), nil
	case 'm':
		return x.number(dst, uint64(m.ID)), nil
	case 'I':
		return x.string(dst, now.Format("2006-01-02T15:04:05-0700")), nil
	case 'U':
		return fmt.Appendf(dst, "%d.%09d", now.Unix(), now.Nanosecond()), nil
	case 'j':
		return f.appendJSON(dst, m, now, true)
	case 'J':
		return f.appendJSON(dst, m, now, false)
	}
	return x.property(dst, &m.Properties), nil
}

func (x *piece) property(dst []byte, p *packet.Properties) []byte {
	switch x.verb {
	case 'A':
		return x.numberIf(dst, p.Has&packet.HasTopicAlias != 0, uint64(p.TopicAlias))
	case 'E':
		return x.numberIf(dst, p.Has&packet.HasMessageExpiry != 0, uint64(p.MessageExpiry))
	case 'F':
		return x.numberIf(dst, p.Has&packet.HasPayloadFormat != 0, uint64(p.PayloadFormat))
	case 'S':
		if len(p.SubscriptionIdentifiers) > 0 {
			return x.number(dst, uint64(p.SubscriptionIdentifiers[0]))
		}
		return x.blank(dst)
	case 'C':
		if p.Has&packet.HasContentType == 0 {
			return pad(dst, ' ', x.width)
		}
		return x.string(dst, string(p.ContentType))
	case 'R':
		if p.Has&packet.HasResponseTopic == 0 {
			return dst
		}
		return x.string(dst, string(p.ResponseTopic))
	case 'D':
		return append(dst, p.CorrelationData...)
	case 'P':
		for i, u := range p.User {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = append(dst, u.Name...)
			dst = append(dst, ':')
			dst = append(dst, u.Value...)
		}
	}
	return dst
}

// string pads with spaces whatever the flags say and cuts at the precision,
// both in bytes, as C's printf does.
func (x *piece) string(dst []byte, s string) []byte {
	if x.precision >= 0 && len(s) > x.precision {
		s = s[:x.precision]
	}
	return x.place(dst, s, ' ')
}

// payload is cut at the field width.
func (x *piece) payload(dst, payload []byte) []byte {
	if x.width > 0 && len(payload) > x.width {
		payload = payload[:x.width]
	}
	return x.place(dst, string(payload), x.padding())
}

func (x *piece) hex(dst, payload []byte, upper bool) []byte {
	if x.width > 0 && len(payload) > x.width {
		payload = payload[:x.width]
	}
	s := hex.EncodeToString(payload)
	if upper {
		s = strings.ToUpper(s)
	}
	return x.place(dst, s, x.padding())
}

func (x *piece) number(dst []byte, n uint64) []byte {
	return x.place(dst, strconv.FormatUint(n, 10), x.padding())
}

func (x *piece) numberIf(dst []byte, present bool, n uint64) []byte {
	if present {
		return x.number(dst, n)
	}
	return x.blank(dst)
}

func (x *piece) blank(dst []byte) []byte { return pad(dst, x.padding(), x.width) }

func (x *piece) padding() byte {
	if x.zero {
		return '0'
	}
	return ' '
}

func (x *piece) place(dst []byte, s string, fill byte) []byte {
	if x.left {
		return pad(append(dst, s...), ' ', x.width-len(s))
	}
	return append(pad(dst, fill, x.width-len(s)), s...)
}

func pad(dst []byte, fill byte, n int) []byte {
	for range max(n, 0) {
		dst = append(dst, fill)
	}
	return dst
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
