package lines

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func all(*Line) bool { return true }

func TestRingKeepsTheNewest(t *testing.T) {
	var r Ring
	log := slog.New(r.Handler(slog.DiscardHandler)).With("component", "bridge", "bridge", "cloud")
	// The discarding handler takes nothing: the ring keeps what a Logger would
	// have handed to it.
	for i := range 1500 {
		rec := slog.Record{Message: "link lost"}
		rec.AddAttrs(slog.Int("n", i), slog.Any("err", errors.New("no such host")))
		if err := log.Handler().Handle(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	got := r.After(0, 5000, all)
	if len(got) != most || got[most-1].ID != 1500 || got[0].ID != 501 {
		t.Fatalf("%d lines, %d to %d", len(got), got[0].ID, got[len(got)-1].ID)
	}
	if want := `link lost bridge=cloud n=1499 err="no such host"`; got[most-1].Text != want || got[0].Part != "bridge" {
		t.Errorf("%q of %q, want %q", got[most-1].Text, got[0].Part, want)
	}
	if got := r.After(1498, 5000, all); len(got) != 2 {
		t.Errorf("%d lines after 1498", len(got))
	}
	if got := r.After(0, 3, func(l *Line) bool { return l.ID%2 == 0 }); len(got) != 3 || got[2].ID != 1500 || got[0].ID != 1496 {
		t.Errorf("the newest three that are even: %v", got)
	}
}

func TestRingKeepsItsLimit(t *testing.T) {
	var r Ring
	h := r.Handler(slog.DiscardHandler)
	for range 2000 {
		if err := h.Handle(t.Context(), slog.Record{Message: strings.Repeat("ä", 5000)}); err != nil {
			t.Fatal(err)
		}
	}
	held := 0
	for _, l := range r.After(0, 5000, all) {
		held += len(l.Text)
	}
	if held > mostBytes+lineBytes+3 || held < mostBytes/2 || held != r.bytes {
		t.Errorf("%d bytes are held, %d counted", held, r.bytes)
	}
}
