package yaml

import (
	"strings"
	"unicode/utf8"
)

// Kind is what a node is.
type Kind uint8

const (
	Null     Kind = iota // nothing, ~ or null
	Scalar               // text
	Mapping              // keys and values, in the order of the file
	Sequence             // a list
	Alias                // *name
)

// Node is one value of a file and the place where it begins.
type Node struct {
	Kind Kind
	// Line and Col count from 1, in lines and characters. Length is how many
	// characters of its first line the value covers. A block mapping stands
	// where its first key does.
	Line, Col, Length int
	// Text is a scalar without quotes and escapes, or an alias's name.
	Text string
	// Plain marks a scalar without quotes, Flow a collection in brackets.
	Plain, Flow bool
	// Anchor is the name after &, "" for none.
	Anchor  string
	Entries []Entry
	Items   []*Node
}

// Entry is one key of a mapping and its value.
type Entry struct{ Key, Value *Node }

// Error is one mistake.
type Error struct {
	Line, Col, Length int
	Msg               string
	Hint              string // a cure, "" when none is known
}

// maxDepth is how deeply values may be nested.
const maxDepth = 100

// Parse reads the lines of one file. The tree is nil when a mistake left
// nothing to go on with, or the file holds no value.
func Parse(lines []string) (*Node, []Error) {
	p := &parser{lines: make([]string, len(lines)), opener: place{line: -1}}
	for i, l := range lines {
		p.lines[i] = strings.TrimSuffix(l, "\r")
	}
	if len(p.lines) > 0 && strings.HasPrefix(p.lines[0], byteOrderMark) {
		p.pos.off = len(byteOrderMark)
	}
	p.prologue()
	var root *Node
	if p.next() {
		root = p.node(-1, false)
		if p.next() {
			p.misfit()
		}
	}
	p.epilogue()
	if p.dead {
		return nil, p.errs
	}
	return root, p.errs
}

const byteOrderMark = "\uFEFF"

// place is a line and a byte in it, both from 0.
type place struct{ line, off int }

// parser is the state of one Parse.
type parser struct {
	lines  []string
	pos    place
	depth  int
	errs   []Error
	dead   bool  // nothing sensible can follow
	opener place // the outermost open bracket; its line is -1 outside of brackets
	indent int   // lines inside brackets are indented more than this
}

// prologue skips directives and the first "---".
func (p *parser) prologue() {
	for p.pos.off == 0 && p.pos.line < len(p.lines) {
		l := p.lines[p.pos.line]
		switch {
		case marks(l, "---"):
			p.pos.off = 3
			return
		case !strings.HasPrefix(l, "%YAML ") && !strings.HasPrefix(l, "%TAG ") && !empty(l):
			return
		}
		p.pos = place{p.pos.line + 1, 0}
	}
}

// epilogue refuses a second document.
func (p *parser) epilogue() {
	for i := p.pos.line; i < len(p.lines) && !p.dead; i++ {
		l := p.lines[i]
		if marks(l, "---") || marks(l, "...") {
			l = "   " + l[3:]
		}
		if off := skipBlanks(l, 0); !empty(l) {
			p.errorAt(place{i, off}, len(l)-off, "a second document (---) starts here: one file is one document", "")
			return
		}
	}
}

// next moves to the next value: over blanks, comments and empty lines. It is
// false at the end of the document.
func (p *parser) next() bool {
	for ; p.pos.line < len(p.lines); p.pos = (place{p.pos.line + 1, 0}) {
		l := p.lines[p.pos.line]
		if p.pos.off == 0 && (marks(l, "---") || marks(l, "...")) {
			return false
		}
		from := p.pos.off
		p.pos.off = skipBlanks(l, from)
		if comment(l, p.pos.off) {
			continue
		}
		if i := strings.IndexByte(l[from:p.pos.off], '\t'); i >= 0 && empty(l[:from]) {
			p.fail(place{p.pos.line, from + i}, 1, "a tab is used for indentation", "YAML allows only spaces; use two spaces for each level")
			return false
		}
		return true
	}
	return false
}

// rest is the text from here to the end of the line.
func (p *parser) rest() string { return p.lines[p.pos.line][p.pos.off:] }

// at returns a node that begins at a place.
func (p *parser) at(k Kind, from place, length int) *Node {
	return &Node{Kind: k, Line: from.line + 1, Col: utf8.RuneCountInString(p.lines[from.line][:from.off]) + 1, Length: max(length, 1)}
}

func (p *parser) errorAt(at place, length int, msg, hint string) {
	n := p.at(Null, at, length)
	p.errs = append(p.errs, Error{n.Line, n.Col, n.Length, msg, hint})
}

// fail reports a mistake after which nothing can be understood, and moves to
// the end.
func (p *parser) fail(at place, length int, msg, hint string) {
	if !p.dead {
		p.errorAt(at, length, msg, hint)
	}
	p.dead = true
	p.pos = place{len(p.lines), 0}
}

// misfit ends reading at a line that belongs nowhere.
func (p *parser) misfit() {
	if p.dead {
		return
	}
	p.fail(p.pos, utf8.RuneCountInString(strings.TrimSpace(p.rest())), "this line does not fit the lines around it",
		"check the indentation of this line and the next, and the space after each colon; quote a value that holds ': '")
}

// marks reports whether a line is a document marker.
func marks(l, marker string) bool {
	return strings.HasPrefix(l, marker) && (len(l) == 3 || l[3] == ' ' || l[3] == '\t')
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func skipBlanks(l string, from int) int {
	for from < len(l) && blank(l[from]) {
		from++
	}
	return from
}

// comment reports whether a line has nothing more to say from here.
func comment(l string, from int) bool {
	return from >= len(l) || l[from] == '#' && (from == 0 || blank(l[from-1]))
}

// empty reports whether a line has neither value nor comment.
func empty(l string) bool { return comment(l, skipBlanks(l, 0)) }
