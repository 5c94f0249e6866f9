package bridge

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Batch joins messages of a route up into one on the topic To, which has no
// wildcards. Its acknowledgement is that of all of them. QoS is at most 1: what
// is joined after the end of the process is not what was joined before, so that
// nobody could tell a second one. The zero value joins nothing.
type Batch struct {
	Form  BatchForm
	Count int           // messages at most
	Bytes int           // of the joined message at most, before Gzip; one message may have more
	Wait  time.Duration // of the first message at most
	Gzip  bool
}

// BatchForm is how messages are joined. Either way each has its topic here.
type BatchForm byte

// The forms.
const (
	// BatchNone joins nothing.
	BatchNone BatchForm = iota
	// BatchJSON makes an array of the objects of Envelope JSON.
	BatchJSON
	// BatchBinary makes, for each message, its topic behind 2 bytes of length,
	// 8 bytes of milliseconds since 1970, and its payload behind 4 bytes of
	// length, all big-endian.
	BatchBinary
)

// encodingProperty is a User Property of what is compressed.
const encodingProperty = "content-encoding"

// batchSlack is what a packet may need besides topic and payload.
const batchSlack = 512

// regather is how long a batch that the pace has held back gathers what came
// meanwhile.
const regather = 50 * time.Millisecond

// part is the form that a message has in a batch.
func (f BatchForm) part(topic string, payload []byte, s *stamp) []byte {
	if f == BatchJSON {
		return object(topic, payload, s)
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(len(topic)))
	b = binary.BigEndian.AppendUint64(append(b, topic...), uint64(s.at.UnixMilli()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// gathered is a batch in the making.
type gathered struct {
	r    *route
	seqs []uint64
	body []byte
	qos  mqtt.QoS
	dup  bool
	due  time.Time
	last uint64 // the batch was sent before, and ended with this entry; 0: it is new

	held, regathered bool // by the pace; once it no longer is, that is made up for
}

func (g *gathered) add(seq uint64, o *outgoing) {
	if g.r.batch.Form == BatchJSON {
		g.body = append(g.body, "[,"[min(len(g.seqs), 1)])
	}
	g.body = append(g.body, o.payload...)
	g.seqs = append(g.seqs, seq)
	g.qos = max(g.qos, o.qos)
}

// fits reports whether one more message belongs to the batch.
func (g *gathered) fits(seq uint64, size, room int) bool {
	if g.last > 0 {
		return seq <= g.last
	}
	return len(g.body)+size+2 <= room
}

// room is how large a batch may become.
func (l *link) room(r *route) int {
	most := r.batch.Bytes
	if n := int(l.lim.packetSize); n > 0 {
		most = min(most, n-len(r.toName)-batchSlack)
	}
	if n := l.b.o.Profile.Payload; n > 0 {
		most = min(most, n)
	}
	if r.batch.Gzip && most < r.batch.Bytes {
		most -= most / 8 // noise grows by an eighth
	}
	return most
}

// gather adds a message to the batch of its route, and sends the batch when
// that is full.
func (l *link) gather(ctx context.Context, seq uint64, o *outgoing) error {
	r := o.batch
	if g := l.batches[r.number]; g != nil && !g.fits(seq, len(o.payload), l.room(r)) {
		if err := l.flush(ctx, g); err != nil {
			return err
		}
	}
	g := l.batches[r.number]
	if g == nil {
		g = &gathered{r: r, dup: o.dup, due: time.Now().Add(r.batch.Wait), last: l.b.cuts.end(seq)}
		l.batches[r.number] = g
	}
	g.add(seq, o)
	full := seq == g.last
	if g.last == 0 {
		full = len(g.seqs) >= r.batch.Count || l.b.cuts.single(seq)
	}
	if full {
		return l.flush(ctx, g)
	}
	return nil
}

// batchDue is how long the sender waits until a batch has to leave; negative:
// there is none.
func (l *link) batchDue(now time.Time) time.Duration {
	soonest := time.Duration(-1)
	for _, g := range l.batches {
		d := max(0, g.due.Sub(now))
		if l.hurry.Load() {
			d = 0
		}
		wait := l.b.pacer.wait(now, g.r.lane, l.late(g.r.lane))
		switch {
		case wait > d:
			g.held = true
		case wait == 0 && g.held && !g.regathered:
			g.regathered, g.due, d = true, now.Add(regather), regather
		}
		if d = max(d, wait); soonest < 0 || d < soonest {
			soonest = d
		}
	}
	return soonest
}

// flushDue sends the batches whose time has come.
func (l *link) flushDue(ctx context.Context) error {
	now := time.Now()
	for _, g := range l.batches {
		due := l.hurry.Load() || !now.Before(g.due)
		if due && l.b.pacer.wait(now, g.r.lane, l.late(g.r.lane)) == 0 {
			return l.flush(ctx, g) // the pace is asked again for the next
		}
	}
	return nil
}

// flush sends a batch.
func (l *link) flush(ctx context.Context, g *gathered) error {
	if err := l.place(ctx); err != nil {
		return err
	}
	delete(l.batches, g.r.number)
	head := g.seqs[0]
	again, _ := l.hold.begin(head)
	o := outgoing{topic: g.r.toName, payload: g.body, qos: g.qos, dup: g.dup && g.last > 0 && !again, more: g.seqs[1:]}
	if g.r.batch.Form == BatchJSON {
		o.payload = append(o.payload, ']')
	}
	if g.r.batch.Gzip {
		o.payload = gzipped(o.payload)
		o.add = []mqtt.UserProperty{{Name: encodingProperty, Value: "gzip"}}
	}
	if o.qos > 0 {
		o.id = packetID(head)
		l.b.cuts.keep(head, g.seqs[len(g.seqs)-1])
	}
	o.add = append(o.add, mqtt.UserProperty{Name: viaProperty, Value: l.b.prep.mark})
	return l.publish(ctx, time.Now(), head, &o)
}

// cuts remember, from connection to connection, where batches that were sent
// and not acknowledged end: they are sent again as they were. Entries up to
// single go alone, after a server refused a batch with one of them.
type cuts struct {
	mu    sync.Mutex
	ends  map[uint64]uint64 // by the first entry
	alone [LaneCount]uint64
}

func (c *cuts) keep(head, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends == nil {
		c.ends = map[uint64]uint64{}
	}
	c.ends[head] = last
}

// end is the last entry of the batch that began with head; 0: there was none.
func (c *cuts) end(head uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ends[head]
}

// holds reports whether the entry was sent as part of a batch.
func (c *cuts) holds(seq uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for head, last := range c.ends {
		if head <= seq && seq <= last && laneOf(head) == laneOf(seq) {
			return true
		}
	}
	return false
}

// lost is told that the server has no session: no identifier of before means
// anything to it.
func (c *cuts) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.ends)
}

func (c *cuts) forget(head uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ends, head)
}

// split makes the messages of a batch go alone.
func (c *cuts) split(head uint64, more []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ends, head)
	lane := laneOf(head)
	c.alone[lane] = max(c.alone[lane], more[len(more)-1])
}

// single reports whether the entry goes alone.
func (c *cuts) single(seq uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return seq <= c.alone[laneOf(seq)]
}
