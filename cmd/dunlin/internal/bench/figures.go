package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Figures are what a run has measured up to now.
type Figures struct {
	Due        int     `json:"due"`          // messages to send, if the server takes them
	Sent       uint64  `json:"sent"`         // messages published
	Expected   uint64  `json:"expected"`     // Sent times the clients
	Received   uint64  `json:"received"`     // of these, each counted once
	Lost       uint64  `json:"lost"`         // of these, not received
	Duplicate  uint64  `json:"duplicate"`    // came again
	OutOfOrder uint64  `json:"out_of_order"` // came after one that its client had sent later
	Refused    uint64  `json:"refused"`      // publications that the server refused in its acknowledgement
	Duration   float64 `json:"duration"`     // seconds from the first message on, without the wait for the last ones
	// Latency in seconds runs from the moment a message was sent, or was due
	// if the client had to wait for the server, to its arrival; within 3 %.
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Whole reports whether everything came once and in order.
func (f *Figures) Whole() bool {
	return f.Sent > 0 && f.Lost+f.Duplicate+f.OutOfOrder+f.Refused == 0
}

// tally is what the goroutines of a run count in.
type tally struct {
	sent, received, duplicate, outOfOrder, refused, max atomic.Uint64
	buckets                                             [steps * (65 - stepBits)]atomic.Uint64
}

// A time in nanoseconds has 32 buckets for each power of two.
const (
	stepBits = 5
	steps    = 1 << stepBits
)

func bucketOf(v uint64) int {
	shift := max(0, bits.Len64(v)-stepBits-1)
	return shift*steps + int(v>>shift)
}

// upper is the largest value of a bucket.
func upper(bucket int) uint64 {
	shift := max(0, bucket/steps-1)
	return (uint64(bucket-shift*steps)+1)<<shift - 1
}

func (t *tally) took(latency time.Duration) {
	v := uint64(max(0, latency))
	t.buckets[bucketOf(v)].Add(1)
	for old := t.max.Load(); v > old && !t.max.CompareAndSwap(old, v); old = t.max.Load() {
	}
}

// figures reads the tally of a run with so many clients.
func (t *tally) figures(clients int, took time.Duration) Figures {
	f := Figures{
		Received: t.received.Load(), Duplicate: t.duplicate.Load(), OutOfOrder: t.outOfOrder.Load(),
		Refused: t.refused.Load(), Duration: took.Seconds(),
	}
	f.Sent = t.sent.Load() // after received: nothing is received before it is sent
	f.Expected = f.Sent * uint64(clients)
	f.Lost = f.Expected - f.Received
	var all, seen uint64
	for i := range t.buckets {
		all += t.buckets[i].Load()
	}
	longest := t.max.Load()
	f.Max = float64(longest) / 1e9
	shares := [...]uint64{50, 95, 99}
	for i := range t.buckets {
		n := t.buckets[i].Load()
		seen += n
		for k, at := range [...]*float64{&f.P50, &f.P95, &f.P99} {
			if n > 0 && *at == 0 && seen*100 >= all*shares[k] {
				*at = float64(min(upper(i), longest)) / 1e9
			}
		}
	}
	return f
}

// window tells new messages of one sender from those that came before: it
// remembers the last 64 numbers.
type window struct {
	next uint32 // above the highest number that has come
	seen uint64 // bit i: next-1-i has come
}

// verdict is what a message is.
type verdict byte

const (
	fresh     verdict = iota
	late              // for the first time, but overtaken
	duplicate         // has come before
	ancient           // overtaken by so many that nobody knows
)

func (w *window) add(n uint32) verdict {
	if n >= w.next {
		w.seen = w.seen<<(n-w.next+1) | 1
		w.next = n + 1
		return fresh
	}
	back := w.next - 1 - n
	switch {
	case back >= 64:
		return ancient
	case w.seen>>back&1 == 1:
		return duplicate
	}
	w.seen |= 1 << back
	return late
}

// count counts a message. An ancient one stays lost: better a message too many
// is missed than one too few.
func (t *tally) count(v verdict) {
	switch v {
	case duplicate:
		t.duplicate.Add(1)
		return
	case fresh, late:
		t.received.Add(1)
	}
	if v != fresh {
		t.outOfOrder.Add(1)
	}
}
