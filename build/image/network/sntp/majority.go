package sntp

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// errDisagree is for servers of which no majority tells the same time.
var errDisagree = errors.New("the time servers do not agree")

// majority is the offset that more than half of the samples allow: the middle
// of the interval that most of them share (Marzullo's algorithm, as in RFC
// 5905, 11.2.1).
func majority(samples []Sample) (time.Duration, error) {
	type edge struct {
		at   time.Duration
		kind int // +1: an interval begins; -1: it ends
	}
	var edges []edge
	for _, s := range samples {
		edges = append(edges, edge{s.Offset - s.Error, +1}, edge{s.Offset + s.Error, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.kind, a.kind))
	})
	best, open := 0, 0
	var low, high time.Duration
	for i, e := range edges {
		if open += e.kind; open > best {
			best, low, high = open, e.at, edges[i+1].at
		}
	}
	if best == 0 || best*2 <= len(samples) {
		return 0, errDisagree
	}
	return low + (high-low)/2, nil
}
