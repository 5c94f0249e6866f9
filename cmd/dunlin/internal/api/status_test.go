package api

import (
	"slices"
	"testing"
	"time"
)

// What a person should look at names its cause, and is not what somebody meant
// to be.
func TestAttention(t *testing.T) {
	s := Status{Store: Store{Mode: "degraded", Error: "read-only file system"}, Bridges: []Bridge{
		{Name: "a", State: "up", Dropped: 12, Drops: map[string]uint64{"full": 7, "expired": 2, "unwanted": 3}},
		{Name: "days ago", State: "up", Dropped: 7, Drops: map[string]uint64{"full": 7}, LastLoss: 25 * time.Hour},
		{Name: "b", State: "up", Dropped: 5, Drops: map[string]uint64{"replaced": 1, "sampled": 1, "unwanted": 3}},
	}}
	s.attend()
	if want := []string{
		"the disk refuses writes: read-only file system; nothing is kept until it works again",
		"bridge a has dropped 9 messages: 7 full, 2 expired",
	}; !slices.Equal(s.Attention, want) {
		t.Errorf("%q", s.Attention)
	}
}

// What was lost is told for a day, and again when more is lost.
func TestLossesAreToldForADay(t *testing.T) {
	var l losses
	began := time.Now()
	for _, tc := range []struct {
		after time.Duration
		n     uint64
		want  bool
	}{
		{0, 0, false}, {time.Hour, 7, true}, {24 * time.Hour, 7, true}, {25 * time.Hour, 7, false}, {26 * time.Hour, 8, true},
		{50 * time.Hour, 8, false}, {51 * time.Hour, 0, false}, {52 * time.Hour, 2, true},
	} {
		if got := l.fresh(tc.n, began.Add(tc.after)); got != tc.want {
			t.Errorf("%d after %v: %v", tc.n, tc.after, got)
		}
	}
}
