package load

import "encoding/binary"

// payloadHeader is what every payload begins with: publisher (4 bytes),
// sequence number (8), time of sending in ns (8).
const payloadHeader = 20

func putHeader(p []byte, publisher uint32, sequence uint64, now int64) {
	binary.LittleEndian.PutUint32(p, publisher)
	binary.LittleEndian.PutUint64(p[4:], sequence)
	binary.LittleEndian.PutUint64(p[12:], uint64(now))
}

func publisherOf(p []byte) uint32 { return binary.LittleEndian.Uint32(p) }
func sequenceOf(p []byte) uint64  { return binary.LittleEndian.Uint64(p[4:]) }
func sentAt(p []byte) int64       { return int64(binary.LittleEndian.Uint64(p[12:])) }

// tracker ticks off the sequence numbers that one subscriber got from one
// publisher.
type tracker struct {
	seen []uint64 // bits
	next uint64   // above the highest so far
	tally
}

// tally counts deliveries.
type tally struct {
	got  uint64 // first deliveries
	dup  uint64 // more than once, or never sent
	late uint64 // after one with a higher number
}

func newTracker(n int) *tracker { return &tracker{seen: make([]uint64, (n+63)/64)} }

func (t *tracker) mark(sequence uint64) {
	w, bit := sequence/64, uint64(1)<<(sequence%64)
	if w >= uint64(len(t.seen)) || t.seen[w]&bit != 0 {
		t.dup++
		return
	}
	t.seen[w] |= bit
	t.got++
	if sequence < t.next {
		t.late++
	} else {
		t.next = sequence + 1
	}
}

func (t *tally) add(o tally) { t.got, t.dup, t.late = t.got+o.got, t.dup+o.dup, t.late+o.late }

// deliveries adds what the tally found, of want messages.
func (r Result) deliveries(t tally, want int64) {
	r["delivered"], r["lost"], r["dup"], r["reordered"] = float64(t.got), float64(want-int64(t.got)), float64(t.dup), float64(t.late)
}
