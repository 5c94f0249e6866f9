package pattern

import (
	"slices"
	"unicode/utf8"
)

// way is one way through the pattern: where it is, and the places that it
// remembers, which ways share until one of them changes.
type way struct {
	at    int
	saved []int
}

// matcher goes through a text once, on all ways at the same time. The order of
// the ways is their order of preference.
type matcher struct {
	p    *Pattern
	text string
	ways []way
	// visited is the place at which an instruction was last reached, plus one:
	// who comes second is the worse one.
	visited []int
}

// Match finds the first match in text, of those that begin there the one that
// the pattern prefers: begin and end of the whole and of each group, by number,
// -1 for a group that took no part. Nil is no match.
func (p *Pattern) Match(text string) []int {
	m := &matcher{p: p, text: text, visited: make([]int, len(p.program))}
	none := make([]int, 2*len(p.names))
	for i := range none {
		none[i] = -1
	}
	var found []int
	var spare []way
	for at := 0; ; {
		if found == nil {
			m.follow(0, at, none)
		}
		r, size := utf8.DecodeRuneInString(text[at:])
		ways := m.ways
		m.ways, spare = spare[:0], ways
		for _, w := range ways {
			i := &p.program[w.at]
			if i.op == opMatch {
				found = w.saved
				break // those behind are worse
			}
			if size > 0 && i.set.has(r) {
				m.follow(w.at+1, at+size, w.saved)
			}
		}
		if size == 0 || found != nil && len(m.ways) == 0 {
			return found
		}
		at += size
	}
}

// follow adds the ways that go on from an instruction at a place.
func (m *matcher) follow(next, at int, saved []int) {
	if m.visited[next] == at+1 {
		return
	}
	m.visited[next] = at + 1
	switch i := &m.p.program[next]; i.op {
	case opSplit:
		m.follow(i.x, at, saved)
		m.follow(i.y, at, saved)
	case opSave:
		saved = slices.Clone(saved)
		saved[i.x] = at
		m.follow(next+1, at, saved)
	case opAssert:
		if m.holds(i.x, at) {
			m.follow(next+1, at, saved)
		}
	default:
		m.ways = append(m.ways, way{next, saved})
	}
}

func (m *matcher) holds(place, at int) bool {
	before, after := rune(-1), rune(-1)
	if at > 0 {
		before, _ = utf8.DecodeLastRuneInString(m.text[:at])
	}
	if at < len(m.text) {
		after, _ = utf8.DecodeRuneInString(m.text[at:])
	}
	switch place {
	case textBegin:
		return at == 0
	case textEnd:
		return at == len(m.text)
	case lineBegin:
		return at == 0 || before == '\n'
	case lineEnd:
		return at == len(m.text) || after == '\n'
	}
	return (isWord(before) != isWord(after)) == (place == wordBoundary)
}
