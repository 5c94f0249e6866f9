package store

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Records are encoded as their fields in order: numbers as uvarints, strings
// and bytes with their length in front, times as milliseconds since 1970 plus
// one, 0 for none. FORMAT.md lists them by kind.

// A record that ends early or late is of a writer of another version, or damage
// that the checksum of its page did not see.
var (
	errShort = errors.New("record ends early")
	errLong  = errors.New("record goes on after its end")
)

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendNumbers(dst []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(max(t.UnixMilli(), 0))+1)
}

// Flags of a message.
const (
	flagRetain     = 1 << 2 // the lowest two bits are the QoS
	flagProperties = 1 << 3
	flagFormat     = 1 << 4
	flagType       = 1 << 5 // Content Type was present, and
	flagData       = 1 << 6 // Correlation Data was: both may be empty
)

func appendMessage(dst []byte, m *mqtt.Message) []byte {
	flags := byte(m.QoS)
	if m.Retain {
		flags |= flagRetain
	}
	if m.Properties != nil {
		flags |= flagProperties
		if m.Properties.HasFormat {
			flags |= flagFormat
		}
		if m.Properties.HasType {
			flags |= flagType
		}
		if m.Properties.CorrelationData != nil {
			flags |= flagData
		}
	}
	dst = append(dst, flags)
	dst = appendString(dst, m.Topic)
	dst = appendString(dst, string(m.Payload))
	dst = appendString(dst, m.Publisher)
	dst = appendTime(dst, m.Expires)
	p := m.Properties
	if p == nil {
		return dst
	}
	dst = append(dst, p.PayloadFormat)
	dst = appendString(dst, p.ContentType)
	dst = appendString(dst, p.ResponseTopic)
	dst = appendString(dst, string(p.CorrelationData))
	dst = binary.AppendUvarint(dst, uint64(len(p.User)))
	for _, u := range p.User {
		dst = appendString(dst, u.Name)
		dst = appendString(dst, u.Value)
	}
	return dst
}

func appendSubscription(dst []byte, s *mqtt.Subscription) []byte {
	flags := byte(s.QoS) | byte(s.RetainHandling)<<4
	if s.NoLocal {
		flags |= 1 << 2
	}
	if s.RetainAsPublished {
		flags |= 1 << 3
	}
	dst = append(appendString(dst, s.Filter), flags)
	return binary.AppendUvarint(dst, uint64(s.Identifier))
}

func appendDestination(dst []byte, d *Destination) []byte {
	flags := byte(d.QoS)
	if d.Retain {
		flags |= flagRetain
	}
	dst = append(appendString(dst, d.Name), flags)
	dst = appendString(dst, d.Share)
	dst = binary.AppendUvarint(dst, d.Number)
	dst = binary.AppendUvarint(dst, uint64(len(d.Identifiers)))
	for _, id := range d.Identifiers {
		dst = binary.AppendUvarint(dst, uint64(id))
	}
	return dst
}

// appendRecord encodes r without its kind.
func appendRecord(dst []byte, r *Record) []byte {
	switch r.Kind {
	case MessageQueued, MessageFrom:
		if r.Kind == MessageFrom {
			dst = appendString(dst, r.ClientID)
		}
		dst = appendTime(dst, r.At)
		dst = appendMessage(dst, r.Message)
		dst = binary.AppendUvarint(dst, uint64(r.Origin))
		dst = binary.AppendUvarint(dst, uint64(len(r.Destinations)))
		for i := range r.Destinations {
			dst = appendDestination(dst, &r.Destinations[i])
		}
	case RetainedSet:
		if dst = appendMessage(dst, r.Message); !r.At.IsZero() {
			dst = appendTime(dst, r.At)
		}
	case RetainedCleared:
		dst = appendString(dst, r.Message.Topic)
	case SessionKept:
		dst = appendString(dst, r.ClientID)
		dst = appendString(dst, r.Owner)
		dst = appendString(dst, r.Prefix)
		dst = binary.AppendUvarint(dst, uint64(r.Expiry))
		dst = binary.AppendUvarint(appendTime(dst, r.At), r.Sent)
	case SessionEnded:
		dst = appendString(dst, r.ClientID)
	case WillSet:
		dst = appendString(dst, r.ClientID)
		if r.Will == nil {
			return append(dst, 0)
		}
		dst = appendMessage(append(dst, 1), &r.Will.Message)
		dst = binary.AppendUvarint(dst, uint64(r.Will.Delay))
		dst = binary.AppendUvarint(dst, uint64(r.Will.ExpiryInterval))
		if r.Will.Listener != "" {
			dst = appendString(appendString(dst, r.Will.User), r.Will.Listener)
		}
	case Subscribed:
		dst = appendString(dst, r.ClientID)
		dst = appendSubscription(dst, &r.Subscription)
	case Unsubscribed:
		dst = appendString(dst, r.ClientID)
		dst = appendString(dst, r.Subscription.Filter)
	case PacketReceived, PacketReleased, DeliveryReceived, DeliveryDone, HandedOut, lastKept:
		dst = appendString(dst, r.ClientID)
		dst = binary.AppendUvarint(dst, r.Number)
	case LineCut:
		dst = appendString(dst, r.ClientID)
		dst = appendNumbers(dst, r.From, r.Number, r.Count)
	case ClockSet, clockKept:
		dst = appendNumbers(dst, millis(r.step.from), millis(r.step.to), uint64(r.step.offset), r.step.files)
	case bodyKept:
		dst = binary.AppendUvarint(dst, r.Number)
		dst = appendMessage(dst, r.Message)
	case runKept:
		n := r.run
		dst = appendString(dst, r.ClientID)
		dst = appendNumbers(dst, n.Extent.File, uint64(n.Extent.From), uint64(n.Extent.To), n.First, n.Last, uint64(n.Messages), uint64(n.Bytes))
		dst = appendTime(appendTime(dst, n.Since), n.Until)
	case spansKept:
		dst = appendString(dst, r.ClientID)
		dst = appendNumbers(dst, r.Number, uint64(len(r.spans)))
		for _, g := range r.spans {
			dst = appendNumbers(dst, g.from, g.to)
		}
	case entryKept, entrySpilled:
		d := r.Destinations[0]
		d.Name, d.Number = r.ClientID, r.Number
		dst = appendDestination(dst, &d)
		if r.Kind == entrySpilled {
			dst = appendMessage(dst, r.Message)
		} else {
			dst = binary.AppendUvarint(dst, r.body)
		}
		dst = appendTime(dst, r.At)
		if r.received {
			return append(dst, 1)
		}
		return append(dst, 0)
	}
	return dst
}

// fields reads a record. The first failure sticks.
type fields struct {
	b     []byte
	err   error
	texts *texts // nil: each string and payload has memory of its own
}

func (f *fields) fail() {
	f.b, f.err = nil, errShort
}

func (f *fields) byte() byte {
	if len(f.b) == 0 {
		f.fail()
		return 0
	}
	v := f.b[0]
	f.b = f.b[1:]
	return v
}

func (f *fields) number() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.fail()
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) bytes() []byte {
	n := f.number()
	if n > uint64(len(f.b)) {
		f.fail()
		return nil
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) string() string { return string(f.bytes()) }

// name is a string that comes again and again.
func (f *fields) name() string {
	if f.texts == nil {
		return f.string()
	}
	return f.texts.name(f.bytes())
}

func (f *fields) payload() []byte {
	if f.texts == nil {
		return append([]byte(nil), f.bytes()...)
	}
	return f.texts.payload(f.bytes())
}

func (f *fields) time() time.Time {
	v := f.number()
	if v == 0 || v > math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMilli(int64(v - 1))
}

func (f *fields) duration() time.Duration { return time.Duration(min(f.number(), math.MaxInt64)) }

// count reads the length of a list whose elements have at least size bytes.
func (f *fields) count(size int) int {
	n := f.number()
	if n > uint64(len(f.b)/size) {
		f.fail()
		return 0
	}
	return int(n)
}

func (f *fields) message() *mqtt.Message {
	m := new(mqtt.Message)
	f.messageTo(m)
	return m
}

// messageTo reads a message into m, which is zero.
func (f *fields) messageTo(m *mqtt.Message) {
	flags := f.byte()
	m.QoS, m.Retain = mqtt.QoS(flags&3), flags&flagRetain != 0
	if !m.QoS.Valid() {
		f.fail()
	}
	m.Topic = f.name()
	m.Payload = f.payload()
	m.Publisher = f.name()
	m.Expires = f.time()
	if flags&flagProperties == 0 {
		return
	}
	p := &mqtt.Properties{PayloadFormat: f.byte(), HasFormat: flags&flagFormat != 0, HasType: flags&flagType != 0}
	p.ContentType, p.ResponseTopic = f.string(), f.string()
	if b := f.bytes(); len(b) > 0 || flags&flagData != 0 {
		p.CorrelationData = append([]byte{}, b...)
	}
	for range f.count(2) {
		p.User = append(p.User, mqtt.UserProperty{Name: f.string(), Value: f.string()})
	}
	m.Properties = p
}

func (f *fields) subscription() (s mqtt.Subscription) {
	s.Filter = f.string()
	flags := f.byte()
	s.QoS, s.RetainHandling = mqtt.QoS(flags&3), mqtt.RetainHandling(flags>>4&3)
	s.NoLocal, s.RetainAsPublished = flags&(1<<2) != 0, flags&(1<<3) != 0
	s.Identifier = uint32(f.number())
	return s
}

func (f *fields) run() *Run {
	n := new(Run)
	n.Extent.File, n.Extent.From, n.Extent.To = f.number(), uint32(f.number()), uint32(f.number())
	n.First, n.Last, n.Messages, n.Bytes = f.number(), f.number(), int(f.number()), int64(f.number())
	n.Since, n.Until = f.time(), f.time()
	return n
}

func (f *fields) destination() (d Destination) {
	d.Name = f.string()
	flags := f.byte()
	d.QoS, d.Retain = mqtt.QoS(flags&3), flags&flagRetain != 0
	d.Share, d.Number = f.string(), f.number()
	for range f.count(1) {
		d.Identifiers = append(d.Identifiers, uint32(f.number()))
	}
	return d
}

// spilled reads an entry of a spill file with its message, which goes into m.
func (f *fields) spilled(m *mqtt.Message) (e Entry, err error) {
	d := f.destination()
	f.messageTo(m)
	r := Record{Message: m, At: f.time(), received: f.byte() == 1}
	if f.err == nil && len(f.b) > 0 {
		f.err = errLong
	}
	return r.entry(&d), f.err
}

// decodeRecord reads what appendRecord wrote. A kind that is not known is an
// error: it changes state that would be wrong without it.
func decodeRecord(kind Kind, body []byte) (Record, error) {
	r, f := Record{Kind: kind}, &fields{b: body}
	switch kind {
	case MessageQueued, MessageFrom:
		if kind == MessageFrom {
			r.ClientID = f.string()
		}
		r.At = f.time()
		r.Message = f.message()
		r.Origin = uint16(f.number())
		for range f.count(5) {
			r.Destinations = append(r.Destinations, f.destination())
		}
	case RetainedSet:
		if r.Message = f.message(); len(f.b) > 0 {
			r.At = f.time()
		}
	case RetainedCleared:
		r.Message = &mqtt.Message{Topic: f.string()}
	case SessionKept:
		r.ClientID, r.Owner, r.Prefix, r.Expiry, r.At = f.string(), f.string(), f.string(), f.duration(), f.time()
		if r.Sent = math.MaxInt32; len(f.b) > 0 { // older records do not say: any may have been sent
			r.Sent = f.number()
		}
	case SessionEnded:
		r.ClientID = f.string()
	case WillSet:
		r.ClientID = f.string()
		if f.byte() == 1 {
			r.Will = &Will{Will: mqtt.Will{Message: *f.message(), Delay: f.duration(), ExpiryInterval: f.duration()}}
			if len(f.b) > 0 {
				r.Will.User, r.Will.Listener = f.string(), f.string()
			}
		}
	case Subscribed:
		r.ClientID, r.Subscription = f.string(), f.subscription()
	case Unsubscribed:
		r.ClientID, r.Subscription.Filter = f.string(), f.string()
	case PacketReceived, PacketReleased, DeliveryReceived, DeliveryDone, HandedOut, lastKept:
		r.ClientID, r.Number = f.string(), f.number()
	case ClockSet, clockKept:
		r.step = &step{time.UnixMilli(int64(f.number())), time.UnixMilli(int64(f.number())), time.Duration(f.number()), f.number()}
	case bodyKept:
		r.Number, r.Message = f.number(), f.message()
	case LineCut:
		r.ClientID, r.From, r.Number, r.Count = f.string(), f.number(), f.number(), f.number()
	case runKept:
		r.ClientID, r.run = f.string(), f.run()
	case spansKept:
		r.ClientID, r.Number = f.string(), f.number()
		for range f.count(2) {
			r.spans = append(r.spans, span{f.number(), f.number()})
		}
	case entryKept, entrySpilled:
		d := f.destination()
		r.ClientID, r.Number, r.Destinations = d.Name, d.Number, []Destination{d}
		if kind == entrySpilled {
			r.Message = f.message()
		} else {
			r.body = f.number()
		}
		r.At, r.received = f.time(), f.byte() == 1
	default:
		return r, errors.New("unknown kind of record")
	}
	if f.err == nil && len(f.b) > 0 {
		f.err = errLong
	}
	return r, f.err
}
