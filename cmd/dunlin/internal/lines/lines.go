package lines

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	most      = 1000
	mostBytes = 256 << 10
	lineBytes = 1 << 10 // of a text; longer ones are cut
)

// Line is one line of the log.
type Line struct {
	ID    uint64    `json:"id"` // counts up from 1
	Time  time.Time `json:"time"`
	Level string    `json:"level"` // DEBUG, INFO, WARN or ERROR
	Part  string    `json:"part"`  // of the program
	Text  string    `json:"text"`
}

// Ring keeps the newest lines. The zero value is ready.
type Ring struct {
	lock  sync.Mutex
	lines []Line // oldest first
	bytes int    // of their texts
	last  uint64 // ID of the newest
}

// After returns the newest lines whose ID is larger than id and that keep
// accepts, at most limit, oldest first.
func (r *Ring) After(id uint64, limit int, keep func(*Line) bool) []Line {
	r.lock.Lock()
	defer r.lock.Unlock()
	out := []Line{}
	for i := len(r.lines) - 1; i >= 0 && r.lines[i].ID > id && len(out) < limit; i-- {
		if keep(&r.lines[i]) {
			out = append(out, r.lines[i])
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

func (r *Ring) add(l Line) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.last++
	l.ID = r.last
	r.bytes += len(l.Text)
	gone := 0
	for len(r.lines)-gone >= most || gone < len(r.lines) && r.bytes > mostBytes {
		r.bytes -= len(r.lines[gone].Text)
		gone++
	}
	n := copy(r.lines, r.lines[gone:])
	clear(r.lines[n:]) // lets the texts go
	r.lines = append(r.lines[:n], l)
}

// Handler returns a handler that keeps what it hands on to inner.
func (r *Ring) Handler(inner slog.Handler) slog.Handler { return &handler{Handler: inner, ring: r} }

type handler struct {
	slog.Handler
	ring        *Ring
	part, attrs string
}

// Handle keeps the record and hands it on.
func (h *handler) Handle(ctx context.Context, rec slog.Record) error {
	var b strings.Builder
	b.WriteString(rec.Message)
	b.WriteString(h.attrs)
	rec.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, a)
		return b.Len() < lineBytes
	})
	text := b.String()
	if len(text) > lineBytes {
		text = strings.ToValidUTF8(text[:lineBytes], "") + "…"
	}
	h.ring.add(Line{Time: rec.Time, Level: rec.Level.String(), Part: h.part, Text: text})
	return h.Handler.Handle(ctx, rec)
}

// WithAttrs keeps them for the lines to come; "component" is the part.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.Handler = h.Handler.WithAttrs(attrs)
	var b strings.Builder
	for _, a := range attrs {
		if a.Key == "component" {
			next.part = a.Value.String()
			continue
		}
		appendAttr(&b, a)
	}
	next.attrs += b.String()
	return &next
}

func appendAttr(b *strings.Builder, a slog.Attr) {
	v := a.Value.String()
	if strings.ContainsAny(v, " \"\n=") {
		v = strconv.Quote(v)
	}
	b.WriteString(" " + a.Key + "=" + v)
}
