package main

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/lines"
	"github.com/dunlin-mqtt/dunlin/config"
)

// newLogger returns a logger to w as the configuration's log block says: text
// on a terminal, JSON elsewhere unless the format is named. Repeats are
// counted, not repeated; stop says what was left out at the end. The newest
// lines stay in kept.
func newLogger(l config.Log, w io.Writer, kept *lines.Ring) (log *slog.Logger, levels *logLevels, stop func()) {
	o := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: harmless} // logLevels decide
	var h slog.Handler
	if l.Format == "json" || l.Format == "auto" && !isTerminal(w) {
		h = slog.NewJSONHandler(w, o)
	} else {
		h = slog.NewTextHandler(w, o)
	}
	calm := newFloodHandler(kept.Handler(h))
	levels = &logLevels{parts: map[string]*slog.LevelVar{}}
	levels.set(l)
	return slog.New(levelHandler{calm, levels.of("")}), levels, calm.shared.close
}

// logLevels are the levels of the parts of the program, "" for those that have
// none of their own; a reload changes them.
type logLevels struct {
	sync.Mutex
	config config.Log
	parts  map[string]*slog.LevelVar
}

// of returns the level of a part, which follows set.
func (l *logLevels) of(part string) *slog.LevelVar {
	l.Lock()
	defer l.Unlock()
	v := l.parts[part]
	if v == nil {
		v = new(slog.LevelVar)
		l.parts[part] = v
		v.Set(l.wanted(part))
	}
	return v
}

func (l *logLevels) set(c config.Log) {
	l.Lock()
	defer l.Unlock()
	l.config = c
	for part, v := range l.parts {
		v.Set(l.wanted(part))
	}
}

func (l *logLevels) wanted(part string) slog.Level {
	if name, own := l.config.Levels[part]; own {
		return level(name)
	}
	return level(l.config.Level)
}

func level(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // the configuration's enum lets nothing else through
	}
	return l
}

// harmless escapes what a terminal would obey instead of show: the formats'
// own quoting leaves C1 controls and marks that turn the direction of text. It
// gives times their unit.
func harmless(_ []string, a slog.Attr) slog.Attr {
	text := ""
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		text = v.String()
	case slog.KindDuration: // nanoseconds in JSON
		a.Value = slog.StringValue(v.Duration().String())
	case slog.KindAny:
		err, ok := v.Any().(error)
		if !ok {
			return a
		}
		text = err.Error()
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }); i >= 0 {
		a.Value = slog.StringValue(strconv.Quote(text))
	}
	return a
}

// levelHandler is a handler with a level of its own.
type levelHandler struct {
	slog.Handler
	level slog.Leveler
}

// Enabled replaces the inner level.
func (h levelHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs keeps the level.
func (h levelHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(a), h.level}
}

// WithGroup keeps the level.
func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.level}
}
