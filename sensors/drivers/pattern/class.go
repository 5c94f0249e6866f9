package pattern

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// set is a set of runes: pairs of first and last.
type set struct {
	exact  []rune
	folded []rune // and whatever differs from these in case alone
	others []set  // what is in one of these is in it too
	negate bool
}

func (s *set) add(r rune, fold bool) { s.addRange(r, r, fold) }

func (s *set) addRange(first, last rune, fold bool) {
	if fold {
		s.folded = append(s.folded, first, last)
	} else {
		s.exact = append(s.exact, first, last)
	}
}

func (s *set) has(r rune) bool {
	found := within(s.exact, r) || within(s.folded, r)
	if !found && s.folded != nil {
		for f := unicode.SimpleFold(r); f != r && !found; f = unicode.SimpleFold(f) {
			found = within(s.folded, f)
		}
	}
	for i := range s.others {
		found = found || s.others[i].has(r)
	}
	return found != s.negate
}

func within(pairs []rune, r rune) bool {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] <= r && r <= pairs[i+1] {
			return true
		}
	}
	return false
}

// classes are the pairs of runes that a name stands for, in order: of ASCII
// alone, as in RE2.
var classes = map[string]string{
	"d": "09", "s": "\t\n\f\r  ", "w": "09AZ__az",
	"alnum": "09AZaz", "alpha": "AZaz", "ascii": "\x00\x7f", "blank": "\t\t  ", "cntrl": "\x00\x1f\x7f\x7f", "digit": "09",
	"graph": "!~", "lower": "az", "print": " ~", "punct": "!/:@[`{~", "space": "\t\r  ", "upper": "AZ", "word": "09AZ__az", "xdigit": "09AFaf",
}

func isWord(r rune) bool { return within([]rune(classes["w"]), r) }

// addClass adds a class, or all that is not in it.
func (s *set) addClass(name string, fold, negate bool) {
	c := set{exact: []rune(classes[name])}
	if fold {
		c.exact, c.folded = nil, c.exact
	}
	if negate {
		c.negate = true
		s.others = append(s.others, c)
		return
	}
	s.exact, s.folded = append(s.exact, c.exact...), append(s.folded, c.folded...)
}

// perlClass reads what follows a backslash when it is d, D, s, S, w or W.
func (p *parser) perlClass(s *set) bool {
	if p.rest == "" || !strings.Contains("dDsSwW", p.rest[:1]) {
		return false
	}
	name := strings.ToLower(p.rest[:1])
	s.addClass(name, p.fold, name != p.rest[:1])
	p.rest = p.rest[1:]
	return true
}

// escape reads the one rune that follows a backslash.
func (p *parser) escape() rune {
	c := p.rune()
	if at := strings.IndexRune("afnrtv", c); at >= 0 {
		return rune("\a\f\n\r\t\v"[at])
	}
	switch {
	case c == 'x':
		return p.hexadecimal()
	case c < utf8.RuneSelf && !(isWord(c) && c != '_'):
		return c
	}
	fail(`\%c is not known`, c)
	return 0
}

// hexadecimal reads 7F or {10FFFF}.
func (p *parser) hexadecimal() rune {
	digits, closed := "", true
	if strings.HasPrefix(p.rest, "{") {
		digits, p.rest, closed = strings.Cut(p.rest[1:], "}")
	} else if len(p.rest) >= 2 {
		digits, p.rest = p.rest[:2], p.rest[2:]
	}
	v, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || !closed || v > unicode.MaxRune || digits[0] == '+' {
		fail(`\x%.10s is no rune`, digits)
	}
	return rune(v)
}

// class reads what follows an opening bracket.
func (p *parser) class() set {
	var s set
	if strings.HasPrefix(p.rest, "^") {
		s.negate, p.rest = true, p.rest[1:]
	}
	for first := true; first || !strings.HasPrefix(p.rest, "]"); first = false {
		if p.named(&s) {
			continue
		}
		if strings.HasPrefix(p.rest, "-") && !first && !strings.HasPrefix(p.rest, "-]") {
			fail("a - in a class stands first, last, or after a backslash")
		}
		from, isRune := p.classRune(&s)
		if !isRune {
			continue
		}
		to := from
		if strings.HasPrefix(p.rest, "-") && !strings.HasPrefix(p.rest, "-]") {
			p.rest = p.rest[1:]
			if to, isRune = p.classRune(&set{}); !isRune || to < from {
				fail("a range of a class does not go from one character to a later one")
			}
		}
		s.addRange(from, to, p.fold)
	}
	p.rest = p.rest[1:]
	return s
}

// named reads [:digit:] or [:^digit:].
func (p *parser) named(s *set) bool {
	inside, rest, closed := strings.Cut(strings.TrimPrefix(p.rest, "[:"), ":]")
	if !strings.HasPrefix(p.rest, "[:") || !closed {
		return false
	}
	name := strings.TrimPrefix(inside, "^")
	if len(name) < 2 || classes[name] == "" {
		fail("[:%.20s:] is not known", inside)
	}
	s.addClass(name, p.fold, name != inside)
	p.rest = rest
	return true
}

// classRune reads one rune of a class, or a class such as \d into s.
func (p *parser) classRune(s *set) (r rune, isRune bool) {
	r = p.rune()
	switch {
	case r != '\\':
		return r, true
	case p.perlClass(s):
		return 0, false
	}
	return p.escape(), true
}
