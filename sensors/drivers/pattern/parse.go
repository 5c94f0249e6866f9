package pattern

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind says what a node of the syntax tree is.
type kind uint8

const (
	sequence  kind = iota // sub, one after the other
	alternate             // the first of sub that leads to a match
	repeat                // sub[0], min to max times
	group                 // sub[0], whose place is remembered as number min
	oneOf                 // one rune of set
	assert                // a place: min is one of the places
)

// Places that an assertion stands for.
const (
	textBegin = iota
	textEnd
	lineBegin
	lineEnd
	wordBoundary
	noWordBoundary
)

// without is a repeat's max when it has none.
const without = -1

type node struct {
	kind     kind
	min, max int
	lazy     bool
	set      set
	sub      []*node
}

const (
	maxDepth  = 200  // of groups in groups
	maxRepeat = 1000 // as RE2
)

// parser reads one pattern. Its methods panic with a syntax error, which
// Compile returns.
type parser struct {
	rest  string
	names []string // of groups; number 0 is the whole
	depth int
	// Flags (?i), (?m), (?s), which end with their group.
	fold, lines, dotAll bool
}

type syntaxError string

func (e syntaxError) Error() string { return string(e) }

func fail(format string, args ...any) { panic(syntaxError(fmt.Sprintf(format, args...))) }

// alternatives reads up to the end of the group or of the pattern.
func (p *parser) alternatives() *node {
	if p.depth++; p.depth > maxDepth {
		fail("more than %d groups in each other", maxDepth)
	}
	fold, lines, dotAll := p.fold, p.lines, p.dotAll
	all := &node{kind: alternate, sub: []*node{p.sequence()}}
	for strings.HasPrefix(p.rest, "|") {
		p.rest = p.rest[1:]
		all.sub = append(all.sub, p.sequence())
	}
	p.fold, p.lines, p.dotAll = fold, lines, dotAll
	p.depth--
	return all
}

func (p *parser) sequence() *node {
	s := &node{kind: sequence}
	repeated := false // the last of s is
	for p.rest != "" && p.rest[0] != '|' && p.rest[0] != ')' {
		if lo, hi, length := repetition(p.rest); length > 0 {
			if len(s.sub) == 0 || repeated {
				fail("nothing to repeat before %.10q", p.rest)
			}
			p.rest = p.rest[length:]
			lazy := strings.HasPrefix(p.rest, "?")
			if lazy {
				p.rest = p.rest[1:]
			}
			last := &s.sub[len(s.sub)-1]
			*last, repeated = &node{kind: repeat, min: lo, max: hi, lazy: lazy, sub: []*node{*last}}, true
			continue
		}
		if n := p.one(); n != nil {
			s.sub, repeated = append(s.sub, n), false
		}
	}
	return s
}

// repetition reads *, +, ? or {n,m} at the beginning of s; length 0 is none of
// them.
func repetition(s string) (lo, hi, length int) {
	switch s[0] {
	case '*':
		return 0, without, 1
	case '+':
		return 1, without, 1
	case '?':
		return 0, 1, 1
	case '{':
	default:
		return 0, 0, 0
	}
	inside, _, closed := strings.Cut(s[1:], "}")
	least, most, comma := strings.Cut(inside, ",")
	lo, ok := count(least)
	hi = lo
	switch {
	case comma && most == "":
		hi = without
	case comma && ok:
		hi, ok = count(most)
	}
	if !closed || !ok {
		return 0, 0, 0 // a brace like any other character
	}
	if lo > maxRepeat || hi > maxRepeat || hi != without && lo > hi {
		fail("{%s} is no repetition: at most %d times, least first", inside, maxRepeat)
	}
	return lo, hi, len(inside) + 2
}

// count is a number without sign and leading zeros.
func count(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return maxRepeat + 1, true
	}
	return n, true
}

// one reads one thing that may be repeated; nil is a change of flags.
func (p *parser) one() *node {
	switch c := p.rune(); c {
	case '(':
		return p.group()
	case '[':
		return &node{kind: oneOf, set: p.class()}
	case '.':
		any := set{negate: true}
		if !p.dotAll {
			any.exact = []rune{'\n', '\n'}
		}
		return &node{kind: oneOf, set: any}
	case '^':
		return p.place(textBegin, lineBegin)
	case '$':
		return p.place(textEnd, lineEnd)
	case '\\':
		if p.rest != "" {
			if at := strings.IndexByte("AzbB", p.rest[0]); at >= 0 {
				p.rest = p.rest[1:]
				return &node{kind: assert, min: [...]int{textBegin, textEnd, wordBoundary, noWordBoundary}[at]}
			}
		}
		var s set
		if !p.perlClass(&s) {
			s.add(p.escape(), p.fold)
		}
		return &node{kind: oneOf, set: s}
	default:
		var s set
		s.add(c, p.fold)
		return &node{kind: oneOf, set: s}
	}
}

func (p *parser) place(text, line int) *node {
	if p.lines {
		text = line
	}
	return &node{kind: assert, min: text}
}

// rune takes the next one.
func (p *parser) rune() rune {
	r, size := utf8.DecodeRuneInString(p.rest)
	if size == 0 {
		fail("it ends too early")
	}
	p.rest = p.rest[size:]
	return r
}

// group reads what follows an opening parenthesis.
func (p *parser) group() *node {
	number := without
	fold, lines, dotAll := p.fold, p.lines, p.dotAll
	switch {
	case strings.HasPrefix(p.rest, "?P<"), strings.HasPrefix(p.rest, "?<"):
		_, p.rest, _ = strings.Cut(p.rest, "<")
		name, rest, closed := strings.Cut(p.rest, ">")
		if !closed || name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isWord(r) }) {
			fail("%.20q is no name of a group: letters, digits and _", name)
		}
		if slices.Contains(p.names, name) {
			fail("two groups are named %s", name)
		}
		p.rest, number, p.names = rest, len(p.names), append(p.names, name)
	case strings.HasPrefix(p.rest, "?"):
		if p.rest = p.rest[1:]; !p.flags() {
			return nil
		}
	default:
		number, p.names = len(p.names), append(p.names, "")
	}
	inside := p.alternatives()
	p.fold, p.lines, p.dotAll = fold, lines, dotAll
	if !strings.HasPrefix(p.rest, ")") {
		fail("a ( is not closed")
	}
	p.rest = p.rest[1:]
	if number == without {
		return inside
	}
	return &node{kind: group, min: number, sub: []*node{inside}}
}

// flags reads ims-ims up to : or ); it reports whether a group follows.
func (p *parser) flags() bool {
	value, some := true, false
	for {
		switch c := p.rune(); {
		case c == 'i':
			p.fold, some = value, true
		case c == 'm':
			p.lines, some = value, true
		case c == 's':
			p.dotAll, some = value, true
		case c == '-' && value:
			value, some = false, false
		case c == ':' && (value || some):
			return true
		case c == ')' && some:
			return false
		default:
			fail("(?%c is not known: (?P<name>, (?: and the flags i, m and s are", c)
		}
	}
}
