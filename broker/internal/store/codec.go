package store

import (
	"errors"
	"math"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// appendRecord encodes r without its kind.
func appendRecord(dst []byte, r *Record) []byte {
	c := codec{dst: dst}
	c.record(r)
	return c.dst
}

// decodeRecord reads what appendRecord wrote. A kind that is not known is an
// error: it changes state that would be wrong without it.
func decodeRecord(kind Kind, body []byte) (Record, error) {
	r, c := Record{Kind: kind}, reader(body, nil)
	if !c.record(&r) {
		return r, errors.New("written by a newer version of dunlin")
	}
	return r, c.src.end()
}

// codec writes the fields it is given, or reads them: what a record consists of
// is said once for both. FORMAT.md lists the fields by kind.
type codec struct {
	reads bool
	src   fields // what it reads
	dst   []byte // what it has written
}

func reader(body []byte, t *texts) codec {
	return codec{reads: true, src: fields{b: body, texts: t}}
}

// record is false for a kind that is not known.
func (c *codec) record(r *Record) (known bool) {
	switch r.Kind {
	case MessageQueued:
		c.queued(r)
	case MessageFrom:
		c.string(&r.ClientID)
		c.queued(r)
	case RetainedSet:
		c.shared(&r.Message)
		if c.more(!r.At.IsZero()) {
			c.time(&r.At)
		}
	case RetainedCleared:
		if c.reads {
			r.Message = new(mqtt.Message)
		}
		c.string(&r.Message.Topic)
	case SessionKept:
		c.session(r)
	case SessionEnded:
		c.string(&r.ClientID)
	case WillSet:
		c.string(&r.ClientID)
		c.will(&r.Will)
	case Subscribed:
		c.string(&r.ClientID)
		c.subscription(&r.Subscription)
	case Unsubscribed:
		c.string(&r.ClientID)
		c.string(&r.Subscription.Filter)
	case PacketReceived, PacketReleased, DeliveryReceived, DeliveryDone, HandedOut, lastKept:
		c.string(&r.ClientID)
		number(c, &r.Number)
	case LineCut:
		c.string(&r.ClientID)
		number(c, &r.From)
		number(c, &r.Number)
		number(c, &r.Count)
	case ClockSet, clockKept:
		c.step(&r.step)
	case bodyKept:
		number(c, &r.Number)
		c.shared(&r.Message)
	case runKept:
		c.string(&r.ClientID)
		c.run(&r.run)
	case spansKept:
		c.string(&r.ClientID)
		number(c, &r.Number)
		c.spans(&r.spans)
	case entryKept:
		c.lone(r)
		number(c, &r.body)
		c.time(&r.At)
		c.bool(&r.received)
	case entrySpilled:
		c.lone(r)
		c.shared(&r.Message)
		c.time(&r.At)
		c.bool(&r.received)
	default:
		return false
	}
	return true
}

func (c *codec) queued(r *Record) {
	c.time(&r.At)
	c.shared(&r.Message)
	number(c, &r.Origin)
	for i := range c.count(len(r.Destinations), 5) {
		if c.reads {
			r.Destinations = append(r.Destinations, Destination{})
		}
		c.destination(&r.Destinations[i])
	}
}

func (c *codec) session(r *Record) {
	c.string(&r.ClientID)
	c.string(&r.Owner)
	c.string(&r.Prefix)
	c.duration(&r.Expiry)
	c.time(&r.At)
	if c.more(true) {
		number(c, &r.Sent)
	} else {
		r.Sent = math.MaxInt32 // an older record does not say: any may have been sent
	}
}

func (c *codec) will(w **Will) {
	has := *w != nil
	if c.bool(&has); !has {
		return
	}
	if c.reads {
		*w = new(Will)
	}
	will := *w
	c.message(&will.Message)
	c.duration(&will.Delay)
	c.duration(&will.ExpiryInterval)
	if c.more(will.Listener != "") {
		c.string(&will.User)
		c.string(&will.Listener)
	}
}

func (c *codec) step(s **step) {
	if c.reads {
		*s = new(step)
	}
	step := *s
	c.instant(&step.from)
	c.instant(&step.to)
	number(c, &step.offset)
	number(c, &step.files)
}

// instant is a time that is always there.
func (c *codec) instant(t *time.Time) {
	ms := millis(*t)
	if number(c, &ms); c.reads {
		*t = time.UnixMilli(int64(ms))
	}
}

func (c *codec) run(r **Run) {
	if c.reads {
		*r = new(Run)
	}
	run := *r
	number(c, &run.Extent.File)
	number(c, &run.Extent.From)
	number(c, &run.Extent.To)
	number(c, &run.First)
	number(c, &run.Last)
	number(c, &run.Messages)
	number(c, &run.Bytes)
	c.time(&run.Since)
	c.time(&run.Until)
}

func (c *codec) spans(spans *[]span) {
	for i := range c.count(len(*spans), 2) {
		if c.reads {
			*spans = append(*spans, span{})
		}
		number(c, &(*spans)[i].from)
		number(c, &(*spans)[i].to)
	}
}

// lone is the one destination of an entry, whose name and number the record has.
func (c *codec) lone(r *Record) {
	if c.reads {
		r.Destinations = make([]Destination, 1)
		d := &r.Destinations[0]
		c.destination(d)
		r.ClientID, r.Number = d.Name, d.Number
		return
	}
	d := r.Destinations[0]
	d.Name, d.Number = r.ClientID, r.Number
	c.destination(&d)
}

// spilled reads an entry of a spill file with its message, which goes into m.
func (c *codec) spilled(m *mqtt.Message) (Entry, error) {
	d, r := Destination{}, Record{Message: m}
	c.destination(&d)
	c.message(m)
	c.time(&r.At)
	c.bool(&r.received)
	return r.entry(&d), c.src.end()
}

// Flags of a message and of a destination. The lowest two bits are the QoS.
const (
	flagRetain     = 1 << 2
	flagProperties = 1 << 3
	flagFormat     = 1 << 4
	flagType       = 1 << 5 // Content Type was present, and
	flagData       = 1 << 6 // Correlation Data was: both may be empty
)

// bit is f if it is set.
func bit(set bool, f byte) byte {
	if set {
		return f
	}
	return 0
}

func (c *codec) shared(m **mqtt.Message) {
	if c.reads {
		*m = new(mqtt.Message)
	}
	c.message(*m)
}

// message reads into a message that is zero.
func (c *codec) message(m *mqtt.Message) {
	c.messageFlags(m)
	c.name(&m.Topic)
	c.payload(&m.Payload)
	c.name(&m.Publisher)
	c.time(&m.Expires)
	p := m.Properties
	if p == nil {
		return
	}
	c.byte(&p.PayloadFormat)
	c.string(&p.ContentType)
	c.string(&p.ResponseTopic)
	c.bytes(&p.CorrelationData)
	for i := range c.count(len(p.User), 2) {
		if c.reads {
			p.User = append(p.User, mqtt.UserProperty{})
		}
		c.string(&p.User[i].Name)
		c.string(&p.User[i].Value)
	}
}

func (c *codec) messageFlags(m *mqtt.Message) {
	p := m.Properties
	if !c.reads {
		flags := byte(m.QoS) | bit(m.Retain, flagRetain)
		if p != nil {
			flags |= flagProperties | bit(p.HasFormat, flagFormat) | bit(p.HasType, flagType) | bit(p.CorrelationData != nil, flagData)
		}
		c.dst = append(c.dst, flags)
		return
	}
	flags := c.src.byte()
	m.QoS, m.Retain = mqtt.QoS(flags&3), flags&flagRetain != 0
	if !m.QoS.Valid() {
		c.src.fail()
	}
	if flags&flagProperties != 0 {
		m.Properties = &mqtt.Properties{HasFormat: flags&flagFormat != 0, HasType: flags&flagType != 0}
		if flags&flagData != 0 {
			m.Properties.CorrelationData = []byte{}
		}
	}
}

func (c *codec) destination(d *Destination) {
	c.string(&d.Name)
	flags := byte(d.QoS) | bit(d.Retain, flagRetain)
	if c.byte(&flags); c.reads {
		d.QoS, d.Retain = mqtt.QoS(flags&3), flags&flagRetain != 0
	}
	c.string(&d.Share)
	number(c, &d.Number)
	for i := range c.count(len(d.Identifiers), 1) {
		if c.reads {
			d.Identifiers = append(d.Identifiers, 0)
		}
		number(c, &d.Identifiers[i])
	}
}

func (c *codec) subscription(s *mqtt.Subscription) {
	const noLocal, retainAsPublished, handling = 1 << 2, 1 << 3, 4
	c.string(&s.Filter)
	flags := byte(s.QoS) | bit(s.NoLocal, noLocal) | bit(s.RetainAsPublished, retainAsPublished) | byte(s.RetainHandling)<<handling
	if c.byte(&flags); c.reads {
		s.QoS, s.RetainHandling = mqtt.QoS(flags&3), mqtt.RetainHandling(flags>>handling&3)
		s.NoLocal, s.RetainAsPublished = flags&noLocal != 0, flags&retainAsPublished != 0
	}
	number(c, &s.Identifier)
}
