package main

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

const notifySocket = "/run/init/notify"

const (
	startTime   = 2 * time.Minute  // from dunlin's start to its first sign of life
	silence     = 40 * time.Second // between two later ones; dunlin sends one every 10 s
	longSilence = 4 * time.Minute  // of all of dunlin's runs: then the machine itself starts anew
)

// life is what is known of dunlin: whether it says that it lives.
type life struct {
	sync.Mutex
	process *os.Process
	ready   bool          // it said so in this run
	vain    int           // runs, one after the other, that ended before they said so
	runs    int           // that ended
	words   string        // the last one's last
	changed chan struct{} // has one when it serves, or has ended, since somebody looked
	silent  time.Time
	sign    time.Time // of any run; at first when init began
	status  string
}

func newLife() *life { return &life{sign: time.Now(), changed: make(chan struct{}, 1)} }

func (l *life) started(p *os.Process, now time.Time) {
	l.Lock()
	defer l.Unlock()
	l.process, l.ready, l.silent, l.status = p, false, now, "starting"
}

// ended takes a run's last words, and tells how many runs, one after the
// other, have ended before dunlin served.
func (l *life) ended(words string) int {
	l.Lock()
	defer l.Unlock()
	if l.vain++; l.ready {
		l.vain = 0
	}
	l.process, l.ready, l.status = nil, false, "not running"
	l.runs, l.words = l.runs+1, words
	l.change()
	return l.vain
}

// endings are how many runs have ended, and the last one's last words.
func (l *life) endings() (runs int, words string) {
	l.Lock()
	defer l.Unlock()
	return l.runs, l.words
}

// serves tells whether dunlin has said that it does, in this run.
func (l *life) serves() bool {
	l.Lock()
	defer l.Unlock()
	return l.ready
}

// change wakes who waits for changed. The lock is held.
func (l *life) change() {
	select {
	case l.changed <- struct{}{}:
	default: // it will look anyway
	}
}

// told takes a datagram of dunlin, as sd_notify(3) describes them, and tells
// whether it is the first that says that dunlin serves.
func (l *life) told(text string, now time.Time) (first bool) {
	l.Lock()
	defer l.Unlock()
	for line := range strings.Lines(text) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name {
		case "READY":
			first, l.ready = !l.ready, true
			l.silent, l.sign = now, now
			l.change()
		case "WATCHDOG":
			l.silent, l.sign = now, now
		case "STATUS":
			l.status = value
		}
	}
	return first
}

// overdue is dunlin's process when it has been silent for too long.
func (l *life) overdue(now time.Time) *os.Process {
	l.Lock()
	defer l.Unlock()
	patience := startTime
	if l.ready {
		patience = silence
	}
	if l.process == nil || now.Sub(l.silent) <= patience {
		return nil
	}
	return l.process
}

// lives tells whether the machine is of use: dunlin, or one that was started
// in its place, gave a sign of life not too long ago.
func (l *life) lives(now time.Time) bool {
	l.Lock()
	defer l.Unlock()
	return now.Sub(l.sign) <= longSilence
}

// notifications listens to dunlin, and ends a dunlin that has gone silent.
func (b *board) notifications(ctx context.Context) error {
	if err := os.MkdirAll("/run/init", 0o711); err != nil {
		return err
	}
	os.Remove(notifySocket) // of a run of this part before
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notifySocket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	if err := os.Chown(notifySocket, gatewayUser, gatewayUser); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		c.SetReadDeadline(time.Now().Add(5 * time.Second)) // fails only when closed
		n, err := c.Read(buf)
		if err == nil {
			if b.life.told(string(buf[:n]), time.Now()) {
				b.logf("the gateway serves")
				b.report("gateway", "")
				b.tellReports()
				if u := b.updater.Load(); u != nil {
					u.Tell()
				}
			}
		} else if !os.IsTimeout(err) {
			return err
		}
		if p := b.life.overdue(time.Now()); p != nil {
			b.logf("the gateway has been silent for too long: it is ended")
			p.Signal(syscall.SIGABRT) // it says where it hangs
			time.AfterFunc(5*time.Second, func() { p.Kill() })
			b.life.started(p, time.Now())
		}
	}
}
