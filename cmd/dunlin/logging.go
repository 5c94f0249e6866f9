package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/dunlin-mqtt/dunlin/config"
)

// newLogger returns a logger to w as the configuration's log block says: text
// on a terminal, JSON elsewhere unless the format is named.
func newLogger(l config.Log, w io.Writer) (*slog.Logger, map[string]slog.Level) {
	base := level(l.Level)
	levels, lowest := map[string]slog.Level{}, base
	for part, name := range l.Levels {
		levels[part] = level(name)
		lowest = min(lowest, levels[part])
	}
	o := &slog.HandlerOptions{Level: lowest}
	var h slog.Handler
	if l.Format == "json" || l.Format == "auto" && !isTerminal(w) {
		h = slog.NewJSONHandler(w, o)
	} else {
		h = slog.NewTextHandler(w, o)
	}
	return slog.New(levelHandler{h, base}), levels
}

func level(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // the configuration's enum lets nothing else through
	}
	return l
}

// levelHandler is a handler with a level of its own.
type levelHandler struct {
	slog.Handler
	level slog.Level
}

// Enabled replaces the inner level.
func (h levelHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// WithAttrs keeps the level.
func (h levelHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(a), h.level}
}

// WithGroup keeps the level.
func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.level}
}
