package bridge

import (
	"sync"
	"time"
)

// hold is the pause between a server that refused a message for now and its
// next attempt, on one connection.
type hold struct {
	mu        sync.Mutex
	wanted    bool            // a pause is due
	interrupt func()          // ends the sender's wait for the next entry
	fresh     map[uint64]bool // entries whose next PUBLISH begins a new transfer: DUP=0; true: without RETAIN
	good      int             // acknowledgements since the last refusal
}

// quotaGood is how many acknowledgements end the memory of earlier refusals.
const quotaGood = 20

// watch leaves a way to interrupt the sender and reports whether a pause is
// already due.
func (h *hold) watch(interrupt func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.interrupt = interrupt
	return h.wanted
}

// ask makes the sender pause and send the entry seq again afterwards, plain without
// RETAIN.
func (h *hold) ask(seq uint64, plain bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fresh == nil {
		h.fresh = map[uint64]bool{}
	}
	h.fresh[seq] = plain
	h.wanted, h.good = true, 0
	if h.interrupt != nil {
		h.interrupt()
	}
}

// begin reports whether the entry's last transfer was ended by the server, so
// that this one is not a duplicate, and whether this one is without RETAIN.
func (h *hold) begin(seq uint64) (fresh, plain bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	plain, fresh = h.fresh[seq]
	delete(h.fresh, seq)
	return fresh, plain
}

// wait is how long the pause lasts.
func (h *hold) wait(b *backoff) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return b.next(ClassQuota)
}

func (h *hold) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wanted = false
}

// accepted notes messages the server took; after enough of them the pauses
// start small again.
func (h *hold) accepted(b *backoff, messages int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.good
	if h.good += messages; was < quotaGood && h.good >= quotaGood {
		b.reset()
	}
}
