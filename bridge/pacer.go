package bridge

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pacer is the pace of a bridge with its lock: the sender asks, the server's
// answers and operators tell.
type pacer struct {
	file string // of the usage; empty: it is forgotten with the process

	mu struct {
		sync.Mutex
		pace    pace
		paused  bool
		changed signal // paused, or another pace
		saved   usage
		next    time.Time // when the usage is saved again
	}
}

// usageParts is in how many parts a budget is saved, at least: what a kill gives
// away of it.
const usageParts = 64

func newPacer(o Pace, file string) *pacer {
	p := &pacer{file: file}
	p.mu.pace = newPace(o)
	if o.Daily <= 0 {
		p.file = ""
	}
	p.load()
	return p
}

// gate reports whether sending is paused; changed is closed when to ask again.
func (p *pacer) gate() (paused bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.paused, p.mu.changed.wait()
}

func (p *pacer) pause(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.paused = paused
	p.mu.changed.tell()
}

// nudge makes the sender ask again.
func (p *pacer) nudge() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.changed.tell()
}

func (p *pacer) wait(now time.Time, lane Lane, late bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.pace.wait(now, lane, late)
}

// sent counts a PUBLISH packet. The usage is saved once a minute, and when so much
// of the budget is gone since that a process which is killed again and again
// would have a second one.
func (p *pacer) sent(now time.Time, size int, late bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.pace.sent(now, size, late)
	l := &p.mu.pace.day
	most := p.mu.pace.daily / usageParts
	if p.file == "" || now.Before(p.mu.next) && l.Day == p.mu.saved.Day && l.Used-p.mu.saved.Used <= most {
		return nil
	}
	p.mu.next = now.Add(time.Minute)
	return p.save()
}

// force sets the speed of what waited, in messages/s, until drained; 0 gives it
// back at once. It returns what force has set before.
func (p *pacer) force(rate float64) (before float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = p.mu.pace.forced.limit
	p.mu.pace.forced = newBucket(rate, 1)
	p.mu.changed.tell()
	return before
}

// drained ends what force began: nothing waits.
func (p *pacer) drained() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.pace.forced = bucket{}
}

func (p *pacer) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.pace.catchup.connected()
}

// answered takes the round trips that ended at now.
func (p *pacer) answered(now time.Time, all []ack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range all {
		if a := &all[i]; a.kind != ackPubcomp {
			p.mu.pace.catchup.answered(now, now.Sub(a.f.sent))
		}
	}
}

func (p *pacer) slower(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.pace.catchup.slower(now)
}

// used returns the bytes of the day.
func (p *pacer) used(now time.Time) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.pace.today(now)
}

// close saves the usage.
func (p *pacer) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.save()
}

// load reads the usage. A file that is not there or not one counts as none:
// the day begins anew, which costs one day's budget at most.
func (p *pacer) load() {
	if p.file == "" {
		return
	}
	b, err := os.ReadFile(p.file)
	first, second, _ := strings.Cut(strings.TrimSpace(string(b)), " ") // days since 1970, bytes
	d, err1 := strconv.ParseInt(first, 10, 64)
	used, err2 := strconv.ParseInt(second, 10, 64)
	if err == nil && err1 == nil && err2 == nil && used >= 0 {
		p.mu.pace.day = usage{d, used}
		p.mu.saved = p.mu.pace.day
	}
}

// save writes the usage beside the old one and renames it: a power cut leaves
// one of the two. The caller holds the lock; the file is 20 bytes.
func (p *pacer) save() error {
	l := p.mu.pace.day
	if p.file == "" || l == p.mu.saved {
		return nil
	}
	p.mu.saved = l // a disk that takes nothing is not asked for each message
	if err := replaceFile(p.file, fmt.Appendf(nil, "%d %d\n", l.Day, l.Used)); err != nil {
		return fmt.Errorf("daily budget: %w", err)
	}
	return nil
}
