package session

// ring is a queue of deliveries in order. Taking from either end and adding at
// the end move nothing; an empty ring keeps only a little memory.
type ring struct {
	slots []delivery // its length is zero or a power of two
	head  int32
	n     int32
}

const (
	firstSlots = 4
	keptSlots  = 64 // an empty ring with more gives its memory back
)

func (r *ring) len() int { return int(r.n) }

// at is element i; the pointer is good until the next push or cut.
func (r *ring) at(i int) *delivery { return &r.slots[(int(r.head)+i)&(len(r.slots)-1)] }

// push adds d at the end and returns where it lies now.
func (r *ring) push(d delivery) *delivery {
	if r.len() == len(r.slots) {
		r.grow()
	}
	r.n++
	last := r.at(r.len() - 1)
	*last = d
	return last
}

func (r *ring) grow() {
	slots := make([]delivery, max(firstSlots, 2*len(r.slots)))
	k := copy(slots, r.slots[r.head:])
	copy(slots[k:], r.slots[:r.head])
	r.slots, r.head = slots, 0
}

// cut removes element i and gives what it held back to the collector. The
// head is the usual case.
func (r *ring) cut(i int) {
	for ; i > 0; i-- {
		*r.at(i) = *r.at(i - 1)
	}
	*r.at(0) = delivery{}
	r.head = (r.head + 1) & int32(len(r.slots)-1)
	if r.n--; r.n == 0 && len(r.slots) > keptSlots {
		*r = ring{}
	}
}

// truncate keeps the first n elements.
func (r *ring) truncate(n int) {
	for r.len() > n {
		*r.at(r.len() - 1) = delivery{}
		r.n--
	}
}
