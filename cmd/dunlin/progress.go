package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// meter shows in place how far something long is: what is done of all, at what
// rate, and the time left. Where standard error is no terminal it shows
// nothing.
type meter struct {
	w    io.Writer          // nil: no terminal
	unit func(int64) string // words an amount
	all  int64              // 0: nobody knows
	done int64

	began, shown time.Time // shown is the zero time until something was
}

// meterPause is the time between two looks of people.
const meterPause = 200 * time.Millisecond

func newMeter(s streams, unit func(int64) string, all int64) *meter {
	m := &meter{unit: unit, all: all, began: time.Now()}
	if isTerminal(s.err) && os.Getenv("DUNLIN_QUIET") == "" {
		m.w = s.err
	}
	return m
}

// add counts what was done, and tells now and then.
func (m *meter) add(n int) {
	m.done += int64(n)
	now := time.Now()
	if m.w == nil || now.Sub(m.shown) < meterPause {
		return
	}
	m.shown = now
	text := "\r" + m.unit(m.done)
	if m.all > 0 {
		text += " of " + m.unit(m.all)
	}
	if per := float64(m.done) / now.Sub(m.began).Seconds(); per > 0 {
		text += ", " + m.unit(int64(per)) + "/s"
		if m.all > m.done {
			text += ", " + span(float64(m.all-m.done)/per) + " left"
		}
	}
	fmt.Fprint(m.w, oneLine+text+"\x1b[K"+manyLines)
}

// Write implements io.Writer: it counts bytes.
func (m *meter) Write(p []byte) (int, error) {
	m.add(len(p))
	return len(p), nil
}

// end takes the line away.
func (m *meter) end() {
	if !m.shown.IsZero() {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
}
