package bridge

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Keep says what is kept of a topic while the link is down.
type Keep struct {
	What   KeepWhat
	Every  int           // of KeepEvery: the first message of so many
	Window time.Duration // of KeepMean, KeepMin and KeepMax
}

// KeepWhat names the ways to keep less.
type KeepWhat byte

// The ways. The last three want payloads that are numbers; others are kept.
const (
	KeepAll KeepWhat = iota
	KeepNone
	KeepLast
	KeepEvery
	KeepMean
	KeepMin
	KeepMax
)

// thinTopics bounds the topics whose entries can be found again; those beyond
// are kept whole.
const thinTopics = 10_000

// Intake makes the entries of one lane: it takes what belongs to the lane, and
// thins a topic's messages out while the link is down. Each value so far of a
// window stands in the queue, so the end of the process costs none.
type Intake struct {
	lane   Lane
	routes []route
	up     atomic.Bool // nothing is thinned out

	mu     sync.Mutex
	topics map[stream]*held // while the link is down
	last   *held            // what Admit returned a message for
	left   uint64           // messages that were not queued
	behind map[string]bool  // topics whose retained message is not the last queued
	gave   uint64           // entries that gave way: the queue counts them as dropped
}

// stream is what of a topic is thinned out together. A message that is retained
// gives way only to another one that is: it is what the other side will hold.
type stream struct {
	topic  string
	retain bool
}

// held is what is known of a stream while the link is down.
type held struct {
	seq   uint64 // its entry that a newer one replaces; 0: none
	count int    // messages of the window, or of Every
	sum   float64
	best  float64 // least or greatest
	ends  time.Time
}

// NewIntake makes the Intake of a lane's Queue; nil means that the Queue needs
// none, as every message it gets is for this lane and kept.
func NewIntake(lane Lane, out []Route) (*Intake, error) {
	routes, err := compileAll("out", out)
	if err != nil {
		return nil, err
	}
	plain := !slices.ContainsFunc(routes, func(r route) bool { return r.lane != lane || r.keep.What != KeepAll })
	if plain {
		return nil, nil
	}
	return &Intake{lane: lane, routes: routes, topics: map[stream]*held{}, behind: map[string]bool{}}, nil
}

// Admit returns what to queue of m: itself, a message made from it, or nil. The
// entry instead, 0 for none, gives way to it.
func (in *Intake) Admit(now time.Time, m *mqtt.Message) (keep *mqtt.Message, instead uint64) {
	r := routeOf(in.routes, m.Topic)
	if r == nil || r.lane != in.lane {
		return nil, 0
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.last = nil
	if in.up.Load() {
		if len(in.topics) > 0 {
			clear(in.topics)
		}
		return m, 0
	}
	h := in.find(m, &r.keep)
	if h == nil {
		return m, 0
	}
	keep, instead = h.admit(now, m, &r.keep)
	if m.Retain && keep != m && len(in.behind) < thinTopics {
		in.behind[m.Topic] = true
	}
	if keep == nil {
		in.left++
	} else {
		in.last = h
	}
	return keep, instead
}

// find returns what is known of a message's stream; nil: all of it is kept.
func (in *Intake) find(m *mqtt.Message, k *Keep) *held {
	if k.What == KeepAll {
		return nil
	}
	s := stream{m.Topic, m.Retain && k.replaces()}
	h := in.topics[s]
	if h == nil && len(in.topics) < thinTopics {
		h = &held{}
		in.topics[s] = h
	}
	return h
}

// replaces reports whether an entry gives way to a later one.
func (k *Keep) replaces() bool { return k.What != KeepAll && k.What != KeepNone && k.What != KeepEvery }

// thins reports whether less than everything is kept.
func (in *Intake) thins() bool {
	return in != nil && slices.ContainsFunc(in.routes, func(r route) bool { return r.lane == in.lane && r.keep.What != KeepAll })
}

// Queued tells the Seq of what Admit returned, 0 if there was no room, and
// whether the entry that it takes the place of gave way.
func (in *Intake) Queued(seq uint64, replaced bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.last != nil {
		in.last.seq = seq
	}
	if replaced {
		in.gave++
	}
}

// stale is called when the link comes up. What was queued may leave now, so no
// window and no count goes on. It returns, once, the topics whose retained
// message is not the last that was queued.
func (in *Intake) stale() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	maps.DeleteFunc(in.topics, func(_ stream, h *held) bool { return h.count > 0 })
	topics := slices.Collect(maps.Keys(in.behind))
	clear(in.behind)
	return topics
}

// thinned is how many messages were not queued, and how many gave way later.
func (in *Intake) thinned() (left, gave uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.left, in.gave
}

// admit says what becomes of a message; see Intake.Admit for the results.
func (h *held) admit(now time.Time, m *mqtt.Message, k *Keep) (keep *mqtt.Message, instead uint64) {
	if m.Retain && len(m.Payload) == 0 && !k.replaces() {
		return m, 0 // after a restart nothing else would know that there was something to delete
	}
	switch k.What {
	case KeepNone:
		return nil, 0
	case KeepLast:
		return m, h.seq
	case KeepEvery:
		h.count++
		if (h.count-1)%max(1, k.Every) != 0 {
			return nil, 0
		}
		return m, 0
	}
	return h.window(now, m, k)
}

// window lets one entry stand for all messages of the window.
func (h *held) window(now time.Time, m *mqtt.Message, k *Keep) (keep *mqtt.Message, instead uint64) {
	text := string(bytes.TrimSpace(m.Payload))
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) { // "nan" of a sensor would be the mean of all others
		*h = held{} // what comes next must not go before it
		return m, 0
	}
	if now.After(h.ends) || h.ends.Sub(now) > k.Window {
		*h = held{ends: now.Add(k.Window)}
	}
	h.count++
	h.sum += v
	switch {
	case h.count == 1, k.What == KeepMin && v < h.best, k.What == KeepMax && v > h.best:
		h.best = v
		return m, h.seq
	case k.What != KeepMean:
		return nil, 0
	}
	mean := *m
	mean.Payload = strconv.AppendFloat(nil, h.sum/float64(h.count), form(text), decimals(text)+1, 64)
	return &mean, h.seq
}

// form keeps the exponent of a number that has one: 2e-6 has no decimals.
func form(number string) byte {
	if strings.ContainsAny(number, "eEpP") {
		return 'e'
	}
	return 'f'
}

// decimals counts the digits behind the point.
func decimals(number string) int {
	_, behind, _ := strings.Cut(number, ".")
	if i := strings.IndexAny(behind, "eEpP"); i >= 0 {
		behind = behind[:i]
	}
	return min(len(behind), 15)
}
