package sensors

import (
	"slices"
	"sync"
	"time"
)

// valueTable has the newest valid value of every entity, for interlocks: what came
// through the filters that change values, whether or not it was worth a
// message. Its lock is a leaf.
type valueTable struct {
	mu    sync.Mutex
	slots map[string]*slot   // by "device.entity"
	users map[*slot][]*owner // woken at every change
}

// slot is the value of one entity; the table's lock guards it.
type slot struct {
	value any       // nil: none, or withdrawn
	until time.Time // when it is stale
}

func newValueTable() *valueTable {
	return &valueTable{slots: map[string]*slot{}, users: map[*slot][]*owner{}}
}

// slot returns the place of "device.entity", which appears when it is first
// asked for. With the lock.
func (b *valueTable) slot(ref string) *slot {
	s := b.slots[ref]
	if s == nil {
		s = &slot{}
		b.slots[ref] = s
	}
	return s
}

// place is slot without the lock.
func (b *valueTable) place(ref string) *slot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slot(ref)
}

// value returns a value and when it is stale; nil when there is none.
func (b *valueTable) value(ref string) (any, time.Time) {
	b.mu.Lock()
	s := b.slot(ref)
	value, until := s.value, s.until
	b.mu.Unlock()
	return value, until
}

// until is when what is in the slot is stale.
func (b *valueTable) until(s *slot) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return s.until
}

// extend has the value in a slot, if there is one, live longer.
func (b *valueTable) extend(s *slot, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.value != nil {
		s.until = until
	}
}

// set puts a value in place, or withdraws it when it is nil, and wakes those
// who watch.
func (b *valueTable) set(s *slot, value any, until time.Time) {
	b.mu.Lock()
	s.value, s.until = value, until
	for _, o := range b.users[s] {
		o.nudge()
	}
	b.mu.Unlock()
}

// watch has o woken at every change of a value, until unwatch.
func (b *valueTable) watch(ref string, o *owner) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.slot(ref); !slices.Contains(b.users[s], o) {
		b.users[s] = append(b.users[s], o)
	}
}

// unwatch ends watch.
func (b *valueTable) unwatch(ref string, o *owner) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.slot(ref)
	b.users[s] = slices.DeleteFunc(b.users[s], func(u *owner) bool { return u == o })
}
