package store

import (
	"slices"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
)

// A range that is given up is taken off the runs that it was in: after a restart
// they are the blocks of the queue, each given up as a whole.
func TestCutOfSeveralRuns(t *testing.T) {
	for _, tc := range []struct {
		name     string
		holes    bool // the first run was spilled without 8 and 9
		from, to uint64
		count    int
		want     []int // of each run
	}{
		{"whole runs", false, 11, 30, 20, []int{9, 0, 0}},
		{"the end of one, and one", false, 6, 20, 15, []int{4, 0, 10}},
		{"parts of two", false, 6, 15, 10, []int{4, 5, 10}},
		{"parts of two, one with holes", true, 6, 15, 8, []int{4, 5, 10}},
		{"a count that is wrong", false, 6, 15, 30, []int{4, 5, 10}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := new(spilled)
			for i := range uint64(3) {
				r := Run{Extent: journal.Extent{File: i}, First: 10*i + 1, Last: 10*i + 10, Messages: 10, Bytes: 1000}
				if tc.holes && i == 0 {
					r.Messages = 8
				}
				s.add(r)
			}
			s.finish(3)
			s.cut(tc.from, tc.to, tc.count)
			got := make([]int, len(tc.want))
			for _, r := range s.runs {
				got[r.Extent.File] = r.Messages
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%v messages are left, want %v", got, tc.want)
			}
		})
	}
}
