package store

import (
	"slices"
	"sort"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// State is everything durable, as a value: what the records so far add up to.
// The zero value is not usable; see NewState. Applying a record twice is as
// good as once.
type State struct {
	Lines    map[string]*Line // by Record.ClientID
	Retained map[string]Retained
	steps    []step // of the clock, for what is in spill files
	// retainedAt is when retained messages that expire were written, by topic;
	// nil once recovered.
	retainedAt map[string]time.Time
}

// Retained is the retained message of a topic.
type Retained struct {
	Message *mqtt.Message
	written uint32 // when it was last written, in seconds of the store's clock
	dirty   bool   // newer than what was written
}

// Line is what is durable about one destination: a session with its
// subscriptions, or a queue, which has only entries.
type Line struct {
	Kept          bool // a session whose client asked for it; else a queue, or only a will
	Owner, Prefix string
	Expiry        time.Duration
	Left          time.Time // when its client left; zero while it is there
	LeftBefore    bool      // that was before this boot of the system
	Sent          uint64    // how many it had not acknowledged by then
	Subscriptions map[string]mqtt.Subscription
	Received      map[uint16]Class // Packet Identifiers of QoS 2 that were routed and not released
	Entries       []Entry          // by Number; behind what is on disk only
	Last          uint64           // the last Number given away
	Handed        uint64           // of a queue: the last Number that its consumer got; 0 while it is there, and in older records
	Will          *Will
	disk          *spilled // nil while nothing was spilled
	bytes         int64    // of the messages in Entries
	uncharged     int      // bytes of messages that nobody else holds, which the memory account does not know yet
	charged       int      // bytes of Entries themselves, which it knows
	toSpill       bool     // is in Durable.mu.toSpill
}

// Entry is one message on its way to a destination.
type Entry struct {
	Number   uint64
	Message  *mqtt.Message
	Via      *Via // nil: by a plain subscription without a Subscription Identifier
	At       time.Time
	QoS      mqtt.QoS
	Retain   bool
	Received bool // the other side has it: PUBREC came
	never    bool // of class Never
}

// Via is by what subscriptions an entry has come, as in Destination. Few have
// one, and there may be many entries in memory.
type Via struct {
	Identifiers []uint32
	Share       string
}

// entry is what r queues for d.
func (r *Record) entry(d *Destination) Entry {
	e := Entry{Number: d.Number, Message: r.Message, At: r.At, QoS: d.QoS, Retain: d.Retain, Received: r.received, never: r.class == Never}
	if len(d.Identifiers) > 0 || d.Share != "" {
		e.Via = &Via{d.Identifiers, d.Share}
	}
	return e
}

// destination is where the entry goes in a line called name.
func (e *Entry) destination(name string) Destination {
	d := Destination{Name: name, Number: e.Number, QoS: e.QoS, Retain: e.Retain}
	if e.Via != nil {
		d.Identifiers, d.Share = e.Via.Identifiers, e.Via.Share
	}
	return d
}

// Spilled reports whether a part of the line is on disk only.
func (l *Line) Spilled() bool { return l.disk.last() > 0 }

// NewState is the state of a store without records.
func NewState() *State {
	return &State{Lines: make(map[string]*Line), Retained: make(map[string]Retained)}
}

func (s *State) line(name string) *Line {
	l := s.Lines[name]
	if l == nil {
		l = &Line{Subscriptions: map[string]mqtt.Subscription{}, Received: map[uint16]Class{}}
		s.Lines[name] = l
	}
	return l
}

// Apply adds a record.
func (s *State) Apply(r *Record) {
	switch r.Kind {
	case MessageQueued, MessageFrom:
		s.queue(r)
	case RetainedSet:
		s.retain(r)
	case RetainedCleared:
		delete(s.Retained, r.Message.Topic)
	case SessionKept:
		l := s.line(r.ClientID)
		l.Kept, l.Owner, l.Prefix, l.Expiry, l.Left, l.Sent = true, r.Owner, r.Prefix, r.Expiry, r.At, r.Sent
	case SessionEnded:
		s.end(r.ClientID)
	case WillSet:
		s.setWill(r.ClientID, r.Will)
	case Subscribed:
		s.line(r.ClientID).Subscriptions[r.Subscription.Filter] = r.Subscription
	case Unsubscribed:
		delete(s.line(r.ClientID).Subscriptions, r.Subscription.Filter)
	case PacketReceived:
		s.line(r.ClientID).Received[uint16(r.Number)] = r.class
	case PacketReleased:
		delete(s.line(r.ClientID).Received, uint16(r.Number))
	case DeliveryReceived:
		if l := s.Lines[r.ClientID]; l != nil {
			l.receive(r.Number)
		}
	case DeliveryDone:
		if l := s.Lines[r.ClientID]; l != nil {
			for n := r.first(); n <= r.Number; n++ {
				l.finish(n)
			}
		}
	case ClockSet:
		s.shift(r.step)
		s.note(r.step)
	case HandedOut:
		s.line(r.ClientID).Handed = r.Number
	case LineCut:
		if l := s.Lines[r.ClientID]; l != nil {
			l.cut(r.From, r.Number, int(r.Count))
		}
	}
}

// queue adds a message to the lines of its destinations, and with it the Packet
// Identifier that it came with.
func (s *State) queue(r *Record) {
	if l := s.Lines[r.Message.Publisher]; r.Kind == MessageFrom {
		s.line(r.ClientID).Received[r.Origin] = r.class
	} else if r.Origin != 0 && l != nil && l.Kept {
		l.Received[r.Origin] = r.class
	}
	for i := range r.Destinations {
		d := &r.Destinations[i]
		s.line(d.Name).add(r.entry(d))
	}
}

func (s *State) retain(r *Record) {
	e := s.Retained[r.Message.Topic]
	e.Message = r.Message
	s.Retained[r.Message.Topic] = e
	if delete(s.retainedAt, r.Message.Topic); !r.At.IsZero() {
		if s.retainedAt == nil {
			s.retainedAt = make(map[string]time.Time)
		}
		s.retainedAt[r.Message.Topic] = r.At
	}
}

// end removes a line with everything it held.
func (s *State) end(name string) {
	if l := s.Lines[name]; l != nil {
		for i := range l.Entries {
			l.leave(l.Entries[i].Message)
		}
		l.Entries = nil // somebody may hold it
	}
	delete(s.Lines, name)
}

// known reports whether a line has an entry that a record is about and that is
// worth a record.
func (s *State) known(r *Record) bool {
	l := s.Lines[r.ClientID]
	if l == nil {
		return false
	}
	for n := r.first(); n <= r.Number; n++ {
		if n <= l.disk.last() {
			if l.disk.has(n) {
				return true
			}
		} else if i, ok := l.find(n); ok && !l.Entries[i].never {
			return true
		}
	}
	return false
}

// receive marks an entry as owned by the other side.
func (l *Line) receive(number uint64) {
	if number <= l.disk.last() {
		if l.disk.has(number) {
			if l.disk.received == nil {
				l.disk.received = make(map[uint64]struct{})
			}
			l.disk.received[number] = struct{}{}
		}
	} else if i, ok := l.find(number); ok {
		l.Entries[i].Received = true
	}
}

// finish takes an entry out.
func (l *Line) finish(number uint64) {
	if number <= l.disk.last() {
		l.disk.finish(number)
	} else if i, ok := l.find(number); ok {
		l.remove(i)
	}
}

// cut takes the entries of a range out, of which there are count.
func (l *Line) cut(from, to uint64, count int) {
	for i, _ := l.find(from); i < len(l.Entries) && l.Entries[i].Number <= to; count-- {
		l.remove(i)
	}
	if last := l.disk.last(); from <= last {
		l.disk.cut(from, min(to, last), max(count, 0))
	}
}

// setWill keeps a line that has only a will no longer than that.
func (s *State) setWill(name string, w *Will) {
	if w != nil {
		s.line(name).Will = w
		return
	}
	l := s.Lines[name]
	if l == nil {
		return
	}
	l.Will = nil
	if !l.Kept && len(l.Entries) == 0 && len(l.Subscriptions) == 0 && l.Last == 0 {
		delete(s.Lines, name)
	}
}

// add puts an entry into its place; a Number that was given away and is not
// there any more was removed already.
func (l *Line) add(e Entry) {
	if e.Number > l.Last {
		l.Entries, l.Last = append(l.Entries, e), e.Number
		l.take(e.Message)
	}
}

// find looks at the head first: that is what is mostly removed.
func (l *Line) find(number uint64) (int, bool) {
	if len(l.Entries) > 0 && l.Entries[0].Number == number {
		return 0, true
	}
	return slices.BinarySearchFunc(l.Entries, number, func(e Entry, n uint64) int {
		switch {
		case e.Number < n:
			return -1
		case e.Number > n:
			return 1
		}
		return 0
	})
}

func (l *Line) remove(i int) {
	l.leave(l.Entries[i].Message)
	if i > 0 {
		l.Entries = slices.Delete(l.Entries, i, i+1)
		return
	}
	// The head goes without moving the rest; append makes a new array when it
	// next needs room.
	l.Entries[0] = Entry{}
	if l.Entries = l.Entries[1:]; len(l.Entries) == 0 {
		l.Entries = nil
	}
}

// snapshot yields records that add up to the line called name. seen numbers the
// messages that were given already, in this line or another: each comes once.
func (s *State) snapshot(name string, seen map[*mqtt.Message]uint64, yield func(*Record)) {
	l := s.Lines[name]
	if l == nil {
		return // ended since its name was taken
	}
	l.head(name, true, yield)
	for i := range l.Entries {
		e := &l.Entries[i]
		if e.never && !isQueue(name) {
			continue // its acknowledgement would not be written either
		}
		body, ok := seen[e.Message]
		if !ok {
			body = uint64(len(seen))
			seen[e.Message] = body
			yield(&Record{Kind: bodyKept, Number: body, Message: e.Message})
		}
		yield(&Record{Kind: entryKept, ClientID: name, Number: e.Number, body: body, received: e.Received, At: e.At,
			Destinations: []Destination{e.destination(name)}})
	}
	if len(l.Entries) > 0 && !l.Spilled() {
		l.head(name, true, yield) // again: one bad page must not take the session from its messages
	}
}

// head yields what a line is, without its entries; with disk, where those are
// that are not in memory.
func (l *Line) head(name string, disk bool, yield func(*Record)) {
	if l.Kept {
		yield(&Record{Kind: SessionKept, ClientID: name, Owner: l.Owner, Prefix: l.Prefix, Expiry: l.Expiry, At: l.Left, Sent: l.Sent})
	}
	if l.Will != nil {
		yield(&Record{Kind: WillSet, ClientID: name, Will: l.Will})
	}
	for _, sub := range l.Subscriptions {
		yield(&Record{Kind: Subscribed, ClientID: name, Subscription: sub})
	}
	for id, class := range l.Received {
		if class == Never {
			continue // nor is its release written
		}
		yield(&Record{Kind: PacketReceived, ClientID: name, Number: uint64(id)})
	}
	if d := l.disk; d != nil && disk {
		for i := range d.runs {
			yield(&Record{Kind: runKept, ClientID: name, run: &d.runs[i]})
		}
		yield(&Record{Kind: spansKept, ClientID: name, Number: d.floor, spans: d.gone})
		for n := range d.received {
			yield(&Record{Kind: DeliveryReceived, ClientID: name, Number: n})
		}
	}
	if l.Handed > 0 {
		yield(&Record{Kind: HandedOut, ClientID: name, Number: l.Handed})
	}
	if l.Last > 0 {
		yield(&Record{Kind: lastKept, ClientID: name, Number: l.Last})
	}
}

// applyKept adds a record that only checkpoints have.
func (s *State) applyKept(r *Record, bodies map[uint64]*mqtt.Message) {
	switch r.Kind {
	case bodyKept:
		bodies[r.Number] = r.Message
	case entryKept:
		if m := bodies[r.body]; m != nil { // else its page was damaged
			s.line(r.ClientID).keep(r, m)
		}
	case entrySpilled:
		s.line(r.ClientID).keep(r, r.Message)
	case runKept:
		s.line(r.ClientID).keepRun(r.run)
	case spansKept:
		if l := s.line(r.ClientID); l.disk != nil {
			l.disk.floor, l.disk.gone = r.Number, r.spans
		}
	case clockKept:
		s.note(r.step)
	case lastKept:
		s.line(r.ClientID).Last = r.Number
	}
}

// keep puts an entry of a checkpoint or a backup into its place.
func (l *Line) keep(r *Record, m *mqtt.Message) {
	e := r.entry(&r.Destinations[0])
	e.Number, e.Message, e.never = r.Number, m, false
	l.take(m)
	l.Entries = append(l.Entries, e)
	l.Last = max(l.Last, r.Number)
}

// keepRun puts a part that is in a spill file into its place. It comes twice.
func (l *Line) keepRun(run *Run) {
	if l.disk == nil {
		l.disk = new(spilled)
	}
	runs := l.disk.runs
	i := sort.Search(len(runs), func(i int) bool { return runs[i].First >= run.First })
	if i == len(runs) || runs[i].First != run.First {
		runs = append(runs, Run{})
		copy(runs[i+1:], runs[i:])
		runs[i], l.disk.runs = *run, runs
	}
	l.Last = max(l.Last, run.Last)
}
