package yaml

import (
	"strings"
	"unicode/utf8"
)

// node reads the value that begins here, inside a collection at column parent.
// What is inline stands behind its key and cannot be a block collection.
func (p *parser) node(parent int, inline bool) *Node {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.pos, 1, "the file is nested too deeply", "")
		return &Node{}
	}
	defer func() { p.depth-- }()
	start := p.pos
	anchor := p.properties()
	if p.pos == start {
		return p.content(parent, inline)
	}
	n := p.at(Null, start, 1)
	if p.next() && (p.pos.line == start.line || p.belongs(parent, inline)) {
		n = p.content(parent, inline && p.pos.line == start.line)
		if n.Kind == Mapping && !n.Flow && n.Line == start.line+1 {
			p.errorAt(start, 1, "an anchor or tag cannot stand before a key", "put it behind the colon of the key above")
		}
	}
	n.Anchor = anchor
	return n
}

// belongs reports whether the line here continues a collection at column
// parent. A list may stand in the column of its key.
func (p *parser) belongs(parent int, behindKey bool) bool {
	return p.pos.off > parent || behindKey && p.pos.off == parent && p.indicator('-')
}

// indicator reports whether c stands here, followed by a blank or nothing.
func (p *parser) indicator(c byte) bool {
	rest := p.rest()
	return rest[0] == c && (len(rest) == 1 || blank(rest[1]))
}

// properties reads &anchor and !tag. The only tag of any use is !!str.
func (p *parser) properties() (anchor string) {
	for {
		rest := p.rest()
		if rest == "" || rest[0] != '&' && rest[0] != '!' {
			return anchor
		}
		end := strings.IndexAny(rest, " \t,[]{}")
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		switch {
		case word == "&" || word[0] == '&' && word[end-1] == ':':
			return anchor // content says what is wrong
		case word[0] == '&':
			anchor = word[1:]
		case word != "!!str":
			p.errorAt(p.pos, utf8.RuneCountInString(word), "tags such as "+word+" are not used here", "remove the tag")
		}
		p.pos.off = skipBlanks(p.lines[p.pos.line], p.pos.off+end)
	}
}

// content reads a value without anchor and tag.
func (p *parser) content(parent int, inline bool) *Node {
	switch {
	case p.indicator('-'):
		if inline {
			p.fail(p.pos, 1, "a list starts on a line of its own", "put each \"- \" on a line below the key, or use brackets: [a, b]")
			return &Node{}
		}
		return p.sequence()
	case p.indicator('?'):
		p.fail(p.pos, 1, "a key must be plain text, without '?'", "")
		return &Node{}
	case p.rest()[0] == '|' || p.rest()[0] == '>':
		return p.literal(parent)
	}
	if !inline {
		if key := p.key(); key != nil {
			return p.mapping(key)
		}
	}
	var n *Node
	switch p.rest()[0] {
	case '[', '{':
		p.indent = parent
		n = p.flow()
	case '"', '\'':
		n = p.quoted()
	case '*':
		n = p.alias()
	default:
		n = p.plain(parent)
	}
	p.endOfValue()
	return n
}

// endOfValue refuses what stands behind a value in its line.
func (p *parser) endOfValue() {
	if p.dead || p.pos.line >= len(p.lines) {
		return
	}
	l := p.lines[p.pos.line]
	if p.pos.off = skipBlanks(l, p.pos.off); !comment(l, p.pos.off) {
		p.misfit()
	}
}

// mapping reads a block mapping whose first key was read.
func (p *parser) mapping(key *Node) *Node {
	col := p.lineOffset(key)
	n := &Node{Kind: Mapping, Line: key.Line, Col: key.Col, Length: key.Length}
	for {
		n.Entries = append(n.Entries, Entry{key, p.value(col, true)})
		if !p.next() || p.pos.off < col {
			return n
		}
		if p.pos.off == col {
			key = p.key()
		} else {
			key = nil
		}
		if key == nil {
			p.misfit()
			return n
		}
	}
}

// lineOffset returns where in its line a node begins.
func (p *parser) lineOffset(n *Node) int {
	off, l := 0, p.lines[n.Line-1]
	for range n.Col - 1 {
		_, size := utf8.DecodeRuneInString(l[off:])
		off += size
	}
	return off
}

// sequence reads a block sequence that begins here.
func (p *parser) sequence() *Node {
	n, col := p.at(Sequence, p.pos, 1), p.pos.off
	for {
		p.pos.off++
		n.Items = append(n.Items, p.value(col, false))
		if !p.next() || p.pos.off < col || p.pos.off == col && !p.indicator('-') {
			return n
		}
		if p.pos.off > col {
			p.misfit()
			return n
		}
	}
}

// value reads what stands behind "key:" or "-" of a collection at column
// parent; on the lines below it must be indented further.
func (p *parser) value(parent int, behindKey bool) *Node {
	before := place{p.pos.line, p.pos.off - 1}
	if p.next() && (p.pos.line == before.line || p.belongs(parent, behindKey)) {
		if p.pos.line == before.line && !behindKey && strings.Contains(p.lines[before.line][before.off:p.pos.off], "\t") {
			p.fail(place{before.line, before.off + 1}, 1, "a tab is used for indentation", "YAML allows only spaces; use one space after \"-\"")
		} else {
			return p.node(parent, behindKey && p.pos.line == before.line)
		}
	}
	return p.at(Null, before, 1)
}

// key reads "key:" if it stands here, nil if not. It does not leave the line.
func (p *parser) key() *Node {
	l, from := p.lines[p.pos.line], p.pos
	end := 0
	switch l[from.off] {
	case '"', '\'':
		if end = quoteEnd(l, from.off); end < 0 {
			return nil
		}
	case '[', '{', '#', '*', '&', '!', '|', '>', '%', '@', '`', ',', ']', '}':
		return nil
	default:
		if end = plainEnd(l, from.off, false); end == from.off {
			return nil
		}
	}
	colon := skipBlanks(l, end)
	if !isColon(l, colon, false) {
		return nil
	}
	var n *Node
	if l[from.off] == '"' || l[from.off] == '\'' {
		n = p.quoted()
	} else {
		text := strings.TrimRight(l[from.off:end], " \t")
		n = p.at(Scalar, from, utf8.RuneCountInString(text))
		n.Text, n.Plain = text, true
	}
	if !p.dead {
		p.pos.off = colon + 1
	}
	return n
}

// isColon reports whether a colon that ends a key stands at i.
func isColon(l string, i int, flow bool) bool {
	return i < len(l) && l[i] == ':' && (i+1 == len(l) || blank(l[i+1]) || flow && strings.IndexByte(",[]{}", l[i+1]) >= 0)
}
