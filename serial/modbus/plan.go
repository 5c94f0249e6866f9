package modbus

import (
	"slices"
	"sort"
)

// Span is a run of entries of one table.
type Span struct {
	Table   Table
	Address uint16
	Count   int
}

// end is the address after the last entry.
func (s Span) end() int { return int(s.Address) + s.Count }

// Contains reports whether all entries of t are among those of s.
func (s Span) Contains(t Span) bool {
	return s.Table == t.Table && s.Address <= t.Address && t.end() <= s.end()
}

// Plan covers spans with as few reads as it can: those that overlap, touch or
// lie no more than maxGap entries apart become one, as long as it reads no more
// than most entries (0: what the protocol allows). The reads come ordered by
// table and address; a span that is longer than most is read on its own.
func Plan(spans []Span, maxGap, most int) []Span {
	sorted := slices.Clone(spans)
	sort.Slice(sorted, func(i, j int) bool {
		a, b := &sorted[i], &sorted[j]
		return a.Table < b.Table || a.Table == b.Table && a.Address < b.Address
	})
	var reads []Span
	for _, s := range sorted {
		if len(reads) > 0 {
			last := &reads[len(reads)-1]
			limit := s.Table.MaxRead()
			if most > 0 {
				limit = min(limit, most)
			}
			end := max(last.end(), s.end())
			inside := end == last.end()
			if s.Table == last.Table && int(s.Address) <= last.end()+maxGap && (inside || end-int(last.Address) <= limit) {
				last.Count = end - int(last.Address)
				continue
			}
		}
		reads = append(reads, s)
	}
	return reads
}
