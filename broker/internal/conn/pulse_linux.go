package conn

import (
	"syscall"
	"time"
	"unsafe"
)

// pulse is how fast what a loop has to do comes: the mean distance of rounds,
// and how much comes together when there is a nap between them.
type pulse struct {
	last int64 // in the loop's time
	gap  int64 // nanoseconds

	rounds  int // of this trial
	packets int // that they brought
	respite int // rests until the next trial
}

const (
	briskGap = int64(2 * time.Millisecond)
	rapidGap = int64(100 * time.Microsecond)
	gapMax   = 4 * briskGap

	// nap is how long packets are let gather; dense, how many a
	// round must have brought for it to be worth while. With few messages in flight somebody
	// waits for each answer, and a nap costs more than it saves.
	nap   = 30 * time.Microsecond
	dense = 16
	// trial is after how many rounds that is judged; respite, how many rests
	// pass before the next trial.
	trial   = 32
	respite = 3000
)

func (p *pulse) beat(now int64, packets int) {
	p.gap += (min(now-p.last, gapMax) - p.gap) / 8
	p.last = now
	p.rounds++
	p.packets += packets
}

// brisk reports whether the next round will come so soon that something may
// wait for it.
func (p *pulse) brisk() bool { return p.gap < briskGap }

// rapid reports whether rounds follow one another so fast that their own cost
// counts.
func (p *pulse) rapid() bool { return p.gap < rapidGap }

// sleepy reports whether what comes is to gather for a nap.
func (p *pulse) sleepy() bool {
	if p.respite > 0 {
		if p.respite--; p.respite == 0 {
			p.rounds, p.packets = 0, 0
		}
		return false
	}
	if p.rounds < trial {
		return true
	}
	if p.packets < p.rounds*dense {
		p.respite = respite
	}
	p.rounds, p.packets = 0, 0
	return p.respite == 0
}

// rest lets those who have more for the loop send it before the next round: what
// comes together costs less.
func (p *pulse) rest() {
	if !p.sleepy() {
		syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) // they may wait for this processor
		return
	}
	// The kernel adds the timer slack of the thread, 50 us if nobody sets it,
	// and the thread is another one now and then.
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, uintptr(time.Microsecond), 0)
	ts := syscall.NsecToTimespec(int64(nap))
	syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}
