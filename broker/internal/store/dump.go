package store

import (
	"errors"
	"maps"
	"slices"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// pageSize is that of the journal.
const pageSize = 4096

// dump gives the state to a checkpoint or a backup, a line or some retained
// messages at a time: what the lock guards is encoded under it and handed on
// without it.
type dump struct {
	s       *Durable
	add     func(kind byte, body []byte) error
	records []encoded // kept and not handed on yet
}

// encoded is a record as it is written.
type encoded struct {
	kind byte
	body []byte
}

func (s *Durable) encode(r *Record) encoded {
	return encoded{byte(r.Kind), appendRecord(nil, s.timely(r))}
}

// dump gives the whole state to add. What is spilled is named, or, with whole,
// given itself.
func (s *Durable) dump(add func(kind byte, body []byte) error, whole bool) error {
	m := &s.mu
	m.Lock()
	names := slices.Collect(maps.Keys(m.state.Lines))
	topics := slices.Collect(maps.Keys(m.state.Retained))
	steps := slices.Clone(m.state.steps)
	m.Unlock()
	d := &dump{s: s, add: add}
	if !whole { // the times of what is given itself are corrected
		for i := range steps {
			d.keep(&Record{Kind: clockKept, step: &steps[i]})
		}
	}
	if err := d.retained(topics); err != nil {
		return err
	}
	return d.lines(names, whole)
}

func (d *dump) keep(r *Record) { d.records = append(d.records, d.s.encode(r)) }

// flush hands on what was kept.
func (d *dump) flush() error {
	for _, r := range d.records {
		if err := d.add(r.kind, r.body); err != nil {
			return err
		}
	}
	d.records = d.records[:0]
	return nil
}

func (d *dump) retained(topics []string) error {
	m := &d.s.mu
	for chunk := range slices.Chunk(topics, 256) {
		m.Lock()
		for _, name := range chunk {
			if e, ok := m.state.Retained[name]; ok {
				d.keep(&Record{Kind: RetainedSet, Message: e.Message})
			}
		}
		m.Unlock()
		if err := d.flush(); err != nil {
			return err
		}
	}
	return nil
}

// lines gives what is durable about each destination. What names the backlogs
// on disk comes twice, with a page of nothing between: no bad page takes more
// than what is on it.
func (d *dump) lines(names []string, whole bool) error {
	m := &d.s.mu
	seen := make(map[*mqtt.Message]uint64)
	var again []encoded
	for _, name := range names {
		m.Lock()
		l := m.state.Lines[name]
		spilled := l != nil && l.disk.last() > 0
		if spilled && whole {
			m.Unlock()
			if err := d.spilled(name); err != nil {
				return err
			}
			continue
		}
		m.state.snapshot(name, seen, d.keep)
		if spilled {
			d.s.use(l)
			l.head(name, true, func(r *Record) { again = append(again, d.s.encode(r)) })
		}
		m.Unlock()
		if err := d.flush(); err != nil {
			return err
		}
	}
	if len(again) > 0 {
		nobodys := &mqtt.Message{Payload: make([]byte, pageSize)}
		d.keep(&Record{Kind: bodyKept, Number: uint64(len(seen)), Message: nobodys})
		d.records = append(d.records, again...)
	}
	return d.flush()
}

// spilled gives a line that is on disk in part, with its entries. Those
// that come meanwhile are given, or have a higher Number than the last that is
// said to be given away: then the caller has them.
func (d *dump) spilled(name string) error {
	var last uint64
	head := func() error {
		d.s.mu.Lock()
		if l := d.s.mu.state.Lines[name]; l != nil {
			if last == 0 {
				last = l.Last
			}
			l.head(name, false, func(r *Record) {
				if r.Kind == lastKept {
					r.Number = min(r.Number, last)
				}
				d.keep(r)
			})
		}
		d.s.mu.Unlock()
		return d.flush()
	}
	err := head()
	for after := uint64(0); err == nil; last = max(last, after) {
		var entries []Entry
		if entries, after, err = d.s.Read(name, after, spillBatch); err != nil || len(entries) == 0 {
			break
		}
		for i := range entries {
			d.keep(entries[i].record(name))
		}
		err = d.flush()
	}
	return errors.Join(err, head())
}
