package yaml

import (
	"strings"
	"unicode/utf8"
)

// flow reads the collection in brackets that begins here.
func (p *parser) flow() *Node {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.pos, 1, "the file is nested too deeply", "")
		return &Node{}
	}
	defer func() { p.depth-- }()
	open := p.pos
	n := p.at(Sequence, open, 1)
	n.Flow = true
	closer := byte(']')
	if p.rest()[0] == '{' {
		n.Kind, closer = Mapping, '}'
	}
	p.pos.off++
	for p.inside(open) {
		switch p.rest()[0] {
		case closer:
			p.pos.off++
			return n
		case ',', ']', '}':
			p.unexpected(closer)
			return n
		}
		if n.Kind == Mapping {
			n.Entries = append(n.Entries, p.pair(open, p.flowValue()))
		} else {
			n.Items = append(n.Items, p.item(open))
		}
		if !p.inside(open) {
			break
		}
		switch p.rest()[0] {
		case ',':
			p.pos.off++
		case closer:
		default:
			p.unexpected(closer)
			return n
		}
	}
	return n
}

// inside moves to what comes next between brackets. It is false, and the
// mistake is reported, when the bracket is not closed.
func (p *parser) inside(open place) bool {
	for !p.dead && p.pos.line < len(p.lines) {
		l := p.lines[p.pos.line]
		if p.pos.off == 0 {
			p.pos.off = skipBlanks(l, 0)
			if !comment(l, p.pos.off) && (p.pos.off <= p.indent && l[p.pos.off] != ']' && l[p.pos.off] != '}' || marks(l, "---") || marks(l, "...")) {
				break
			}
		}
		p.pos.off = skipBlanks(l, p.pos.off)
		if !comment(l, p.pos.off) || hiddenHash(l, p.pos.off) {
			return true
		}
		p.pos = place{p.pos.line + 1, 0}
	}
	p.fail(open, 1, "the bracket opened here is never closed", "")
	return false
}

func (p *parser) unexpected(closer byte) {
	p.fail(p.pos, 1, "a comma or '"+string(closer)+"' is missing before this", "quote a value that holds commas or brackets")
}

// hiddenHash reports whether a # here should be a value: nothing but the end
// of a collection follows it, as no comment would have it.
func hiddenHash(l string, at int) bool {
	if at >= len(l) || l[at] != '#' || at == 0 {
		return false
	}
	before := strings.TrimRight(l[:at], " \t")
	if before == "" || strings.IndexByte("[{,:", before[len(before)-1]) < 0 {
		return false
	}
	after := skipBlanks(l, at+1)
	return after < len(l) && strings.IndexByte("]},", l[after]) >= 0
}

// pair reads ": value" behind a key between brackets; a key may stand alone.
func (p *parser) pair(open place, key *Node) Entry {
	if key.Kind == Mapping || key.Kind == Sequence || key.Kind == Alias {
		p.errorAt(place{key.Line - 1, p.lineOffset(key)}, key.Length, "a key must be plain text", "")
	}
	none := &Node{Line: key.Line, Col: key.Col, Length: key.Length}
	if !p.inside(open) || p.rest()[0] != ':' {
		return Entry{key, none}
	}
	p.pos.off++
	if !p.inside(open) || strings.IndexByte(",]}", p.rest()[0]) >= 0 {
		return Entry{key, none}
	}
	return Entry{key, p.flowValue()}
}

// item reads one value of a list in brackets; "a: b" in it is a mapping of one
// key.
func (p *parser) item(open place) *Node {
	v := p.flowValue()
	if !p.inside(open) || p.rest()[0] != ':' {
		return v
	}
	return &Node{Kind: Mapping, Flow: true, Line: v.Line, Col: v.Col, Length: v.Length, Entries: []Entry{p.pair(open, v)}}
}

// flowValue reads a value between brackets, with its anchor.
func (p *parser) flowValue() *Node {
	start := p.pos
	anchor := p.properties()
	if rest := p.rest(); rest == "" || p.pos != start && strings.IndexByte(",]}", rest[0]) >= 0 {
		n := p.at(Null, start, 1)
		n.Anchor = anchor
		return n
	}
	var n *Node
	switch c := p.rest()[0]; c {
	case '[', '{':
		n = p.flow()
	case '"', '\'':
		n = p.quoted()
	case '*':
		n = p.alias()
	case '#':
		p.errorAt(p.pos, 1, "empty value: '#' starts a comment here", "quote the topic filter: \"#\"")
		n = p.at(Scalar, p.pos, 1)
		n.Text = "#"
		p.pos.off++
	default:
		n = p.flowPlain()
	}
	n.Anchor = anchor
	return n
}

// flowPlain reads an unquoted value between brackets; it may go on in the
// lines below.
func (p *parser) flowPlain() *Node {
	if n := p.cannotStart(true); n != nil {
		return n
	}
	from := p.pos
	text := p.flowText()
	n := p.at(Scalar, from, utf8.RuneCountInString(text))
	for !p.dead && p.pos.off >= len(p.lines[p.pos.line]) {
		i := p.pos.line + 1
		if i >= len(p.lines) {
			break
		}
		l := p.lines[i]
		off := skipBlanks(l, 0)
		if empty(l) || off <= p.indent || strings.IndexByte(",[]{}\"'", l[off]) >= 0 || isColon(l, off, true) {
			break
		}
		p.pos = place{i, off}
		text += " " + p.flowText()
	}
	n.Text, n.Plain = text, true
	return n.nullable()
}

// flowText reads an unquoted value between brackets to its end in this line,
// and over ${...}, which must be quoted here.
func (p *parser) flowText() string {
	l, from := p.lines[p.pos.line], p.pos
	end := plainEnd(l, from.off, true)
	for end < len(l) && l[end] == '{' && l[end-1] == '$' {
		n := strings.IndexByte(l[end:], '}')
		if n < 0 {
			p.fail(place{from.line, end - 1}, 2, "'${' is never closed", "")
			return ""
		}
		variable := l[end-1 : end+n+1]
		p.errorAt(place{from.line, end - 1}, utf8.RuneCountInString(variable), "'${...}' inside brackets must be quoted", "put the value in quotes: \""+variable+"\"")
		end = plainEnd(l, end+n+1, true)
	}
	p.pos.off = end
	return strings.TrimRight(l[from.off:end], " \t")
}
