package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	floodWindow = 10 * time.Second
	calmLines   = 50  // of one kind in a window
	floodLines  = 5   // of one kind in a window after one that was too loud
	maxKinds    = 256 // messages are constants of the program; this only makes sure
)

// floodHandler counts the repeats of a log line instead of repeating them, so
// that nobody who can connect can fill the disk with failing. What is below
// slog.LevelInfo passes: it is there because a person asked for all of it.
type floodHandler struct {
	slog.Handler
	component string
	shared    *flood
}

// flood is what the handlers of one logger share.
type flood struct {
	sums slog.Handler // writes how many lines were left out

	state struct {
		sync.Mutex
		kinds  map[lineKind]*tally
		timer  *time.Timer // runs while lines are being left out
		closed bool
	}
}

// lineKind is what makes two lines repeats of each other.
type lineKind struct {
	component, message string
	level              slog.Level
}

// tally is one window of one kind.
type tally struct {
	start             time.Time
	limit, said, left int
}

func newFloodHandler(h slog.Handler) floodHandler {
	f := &flood{sums: h}
	f.state.kinds = make(map[lineKind]*tally)
	return floodHandler{Handler: h, shared: f}
}

// Handle writes the line or counts it.
func (h floodHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && !h.shared.admit(lineKind{h.component, r.Message, r.Level}) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the counts.
func (h floodHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "component" {
			h.component = a.Value.String()
		}
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup keeps the counts.
func (h floodHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

func (f *flood) admit(kind lineKind) bool {
	s := &f.state
	s.Lock()
	defer s.Unlock()
	now := time.Now()
	t := s.kinds[kind]
	if t == nil {
		if len(s.kinds) >= maxKinds {
			kind = lineKind{}
			t = s.kinds[kind]
		}
		if t == nil {
			t = &tally{start: now, limit: calmLines}
			s.kinds[kind] = t
		}
	}
	if now.Sub(t.start) >= floodWindow {
		f.turn(kind, t, now)
	}
	if t.said < t.limit {
		t.said++
		return true
	}
	t.left++
	if s.timer == nil && !s.closed {
		s.timer = time.AfterFunc(time.Until(t.start.Add(floodWindow)), f.settle)
	}
	return false
}

// turn says what was left out in a window that is over and begins the next.
// The caller holds state.
func (f *flood) turn(kind lineKind, t *tally, now time.Time) {
	limit := calmLines
	if t.left > 0 {
		limit = floodLines
		r := slog.NewRecord(now, kind.level, "log lines left out", 0)
		r.AddAttrs(slog.String("component", kind.component), slog.String("line", kind.message), slog.Int("suppressed", t.left))
		f.sums.Handle(context.Background(), r) // a log that cannot be written has nobody to tell
	}
	*t = tally{start: now, limit: limit}
}

// settle ends the windows that are over, so that a flood that stopped is
// counted too.
func (f *flood) settle() {
	s := &f.state
	s.Lock()
	defer s.Unlock()
	s.timer = nil
	if s.closed {
		return
	}
	now, next := time.Now(), time.Time{}
	for kind, t := range s.kinds {
		end := t.start.Add(floodWindow)
		if t.left > 0 && !now.Before(end) {
			f.turn(kind, t, now)
		} else if t.left > 0 && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	if !next.IsZero() {
		s.timer = time.AfterFunc(next.Sub(now), f.settle)
	}
}

// close says what was left out until now.
func (f *flood) close() {
	s := &f.state
	s.Lock()
	defer s.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop() // a call that is waiting for the lock finds closed
	}
	for kind, t := range s.kinds {
		f.turn(kind, t, time.Now())
	}
}
