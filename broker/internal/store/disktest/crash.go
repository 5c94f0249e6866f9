package disktest

import (
	"maps"
	"math/rand/v2"
	"slices"
)

const sector = 512

// Loss says what a power cut does to writes that were not made durable.
type Loss uint8

// The kinds of loss.
const (
	LoseAll    Loss = iota // none of them arrived
	KeepAll                // all of them arrived
	Prefix                 // the first of them arrived, the last of those in part
	AnySectors             // any of their sectors arrived
	Garbage                // as AnySectors, and touched sectors may hold anything
)

// Losses are all kinds.
func Losses() []Loss { return []Loss{LoseAll, KeepAll, Prefix, AnySectors, Garbage} }

// Crash returns the disk as a machine may find it that lost power after the
// first n operations. rng decides what happens to each write and each name.
func (d *Fake) Crash(n int, loss Loss, rng *rand.Rand) *Fake {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New(d.free)
	c.next = d.next
	log := d.log[:n]
	for i := range d.files {
		c.files[i] = &inode{content(d.base[i], i, log, loss, rng)}
	}
	c.names = names(d.before, log, loss, rng)
	c.settle()
	return c
}

// content replays the writes of one file.
func content(base []byte, i int, log []op, loss Loss, rng *rand.Rand) []byte {
	data := slices.Clone(base)
	var waiting []op // since the last Datasync
	for _, o := range log {
		switch {
		case o.kind == write && o.inode == i:
			waiting = append(waiting, o)
		case o.kind == datasync && o.inode == i:
			for _, w := range waiting {
				data = apply(data, w.offset, w.data)
			}
			waiting = nil
		case o.kind == datasync && o.inode == -i:
			// The failure was reported once: what waited is lost for good, but
			// for what the crash would have kept anyway.
			data = lose(data, waiting, loss, rng)
			waiting = nil
		}
	}
	return lose(data, waiting, loss, rng)
}

func lose(data []byte, waiting []op, loss Loss, rng *rand.Rand) []byte {
	switch loss {
	case KeepAll:
		for _, w := range waiting {
			data = apply(data, w.offset, w.data)
		}
	case Prefix:
		if len(waiting) == 0 {
			break
		}
		last := rng.IntN(len(waiting))
		for _, w := range waiting[:last] {
			data = apply(data, w.offset, w.data)
		}
		w := waiting[last]
		data = apply(data, w.offset, w.data[:min(len(w.data), rng.IntN(len(w.data)/sector+1)*sector)])
	case AnySectors, Garbage:
		for _, w := range waiting {
			for at := 0; at < len(w.data); at += sector {
				piece := w.data[at:min(at+sector, len(w.data))]
				switch {
				case loss == Garbage && rng.IntN(8) == 0:
					junk := make([]byte, len(piece))
					for i := range junk {
						junk[i] = byte(rng.Uint32())
					}
					data = apply(data, w.offset+int64(at), junk)
				case rng.IntN(2) == 0:
					data = apply(data, w.offset+int64(at), piece)
				}
			}
		}
	}
	return data
}

func apply(data []byte, off int64, p []byte) []byte {
	if grow := off + int64(len(p)) - int64(len(data)); grow > 0 && len(p) > 0 {
		data = append(data, make([]byte, grow)...)
	}
	copy(data[min(off, int64(len(data))):], p)
	return data
}

// names replays the operations on the directory. What follows the last SyncDir
// may have happened or not, each by itself.
func names(before map[string]int, log []op, loss Loss, rng *rand.Rand) map[string]int {
	last := -1
	for i, o := range log {
		if o.kind == syncDir {
			last = i
		}
	}
	out := maps.Clone(before)
	for i, o := range log {
		happened := i < last || loss == KeepAll || loss != LoseAll && rng.IntN(2) == 0
		switch o.kind {
		case create:
			if happened {
				out[o.name] = o.inode
			}
		case rename:
			if happened {
				if out[o.name] == o.inode {
					delete(out, o.name)
				}
				out[o.to] = o.inode
			}
		case remove:
			if happened && out[o.name] == o.inode {
				delete(out, o.name)
			}
		}
	}
	return out
}
