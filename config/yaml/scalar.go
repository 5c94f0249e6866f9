package yaml

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// plainEnd returns where an unquoted value that begins at from ends in its
// line.
func plainEnd(l string, from int, flow bool) int {
	for i := from; i < len(l); i++ {
		switch c := l[i]; {
		case c == ':' && isColon(l, i, flow),
			c == '#' && i > from && blank(l[i-1]),
			flow && strings.IndexByte(",[]{}", c) >= 0:
			return i
		}
	}
	return len(l)
}

// plain reads an unquoted value of a collection at column parent; it may go on
// in the lines below.
func (p *parser) plain(parent int) *Node {
	if n := p.cannotStart(false); n != nil {
		return n
	}
	from := p.pos
	text := p.plainText()
	n := p.at(Scalar, from, utf8.RuneCountInString(text))
	for p.pos.off >= len(p.lines[p.pos.line]) {
		i := p.pos.line + 1
		for i < len(p.lines) && skipBlanks(p.lines[i], 0) == len(p.lines[i]) {
			i++
		}
		if i >= len(p.lines) || empty(p.lines[i]) || marks(p.lines[i], "---") || marks(p.lines[i], "...") {
			break
		}
		l := p.lines[i]
		off := skipBlanks(l, 0)
		if off <= parent {
			break
		}
		breaks := i - p.pos.line - 1
		p.pos = place{i, off}
		if strings.HasPrefix(l[off:], "- ") || isColon(l, plainEnd(l, off, false), false) {
			p.misfit()
			return n
		}
		text += fold(breaks) + p.plainText()
	}
	n.Text, n.Plain = text, true
	return n.nullable()
}

func (p *parser) plainText() string {
	l, from := p.lines[p.pos.line], p.pos.off
	p.pos.off = plainEnd(l, from, false)
	text := strings.TrimRight(l[from:p.pos.off], " \t")
	if skipBlanks(l, p.pos.off) == len(l) {
		p.pos.off = len(l)
	}
	return text
}

// fold is what line breaks inside a value become: a single one is a space.
func fold(emptyLines int) string {
	if emptyLines == 0 {
		return " "
	}
	return strings.Repeat("\n", emptyLines)
}

// nullable turns the words for nothing into nothing.
func (n *Node) nullable() *Node {
	switch n.Text {
	case "", "~", "null", "Null", "NULL":
		n.Kind = Null
	}
	return n
}

// cannotStart reports a character that YAML keeps for itself at the start of
// an unquoted value, and reads the value nevertheless; nil when there is none.
func (p *parser) cannotStart(flow bool) *Node {
	l, from := p.lines[p.pos.line], p.pos
	c := l[from.off]
	if strings.IndexByte("%@`&|>,]}#*", c) < 0 {
		bare := from.off+1 == len(l) || blank(l[from.off+1]) || flow && strings.IndexByte(",[]{}", l[from.off+1]) >= 0
		if strings.IndexByte("-?:", c) < 0 || !bare {
			return nil
		}
	}
	end := plainEnd(l, from.off+1, flow)
	if cut := strings.IndexAny(l[from.off:end], ",]}"); cut > 0 {
		end = from.off + cut
	}
	text := strings.TrimRight(l[from.off:end], " \t")
	n := p.at(Scalar, from, utf8.RuneCountInString(text))
	n.Text = text
	p.errorAt(from, n.Length, fmt.Sprintf("%q cannot start an unquoted value in YAML", string(c)), "put the value in quotes: \""+text+"\"")
	if p.pos.off = end; !flow {
		p.pos.off = len(l)
	}
	return n
}

// alias reads *name.
func (p *parser) alias() *Node {
	rest := p.rest()
	end := strings.IndexAny(rest, " \t,[]{}")
	if end < 0 {
		end = len(rest)
	}
	if end == 1 {
		return p.cannotStart(true)
	}
	n := p.at(Alias, p.pos, utf8.RuneCountInString(rest[:end]))
	n.Text = rest[1:end]
	p.pos.off += end
	return n
}

// quoteEnd returns the byte behind a quoted value that ends in its line, else
// -1.
func quoteEnd(l string, from int) int {
	for i := from + 1; i < len(l); i++ {
		switch {
		case l[from] == '"' && l[i] == '\\':
			i++
		case l[i] == l[from] && l[i] == '\'' && strings.HasPrefix(l[i+1:], "'"):
			i++
		case l[i] == l[from]:
			return i + 1
		}
	}
	return -1
}

// quoted reads a value in quotes; it may go on in the lines below.
func (p *parser) quoted() *Node {
	from, quote := p.pos, p.rest()[0]
	n := p.at(Scalar, from, utf8.RuneCountInString(p.rest()))
	if end := quoteEnd(p.lines[from.line], from.off); end >= 0 {
		n.Length = utf8.RuneCountInString(p.lines[from.line][from.off:end])
	}
	var b strings.Builder
	kept := 0 // bytes of b that folding must not trim
	p.pos.off++
	for {
		l := p.lines[p.pos.line]
		if p.pos.off >= len(l) {
			text := b.String()
			text = text[:kept] + strings.TrimRight(text[kept:], " \t")
			breaks, ok := p.nextQuotedLine()
			if !ok {
				p.fail(from, 1, "the quote opened here is never closed", "")
				return n
			}
			b.Reset()
			b.WriteString(text + fold(breaks))
			kept = b.Len()
			continue
		}
		switch c := l[p.pos.off]; {
		case c == quote && quote == '\'' && strings.HasPrefix(l[p.pos.off+1:], "'"):
			b.WriteByte('\'')
			p.pos.off += 2
		case c == quote:
			p.pos.off++
			n.Text = b.String()
			return n
		case c == '\\' && quote == '"':
			p.escape(&b)
			kept = b.Len()
		default:
			b.WriteByte(c)
			p.pos.off++
		}
	}
}

// nextQuotedLine moves to the next line of a quoted value that is not empty.
func (p *parser) nextQuotedLine() (breaks int, ok bool) {
	for i := p.pos.line + 1; i < len(p.lines); i++ {
		l := p.lines[i]
		off := skipBlanks(l, 0)
		if marks(l, "---") || marks(l, "...") {
			return 0, false
		}
		if off < len(l) {
			p.pos = place{i, off}
			return breaks, true
		}
		breaks++
	}
	return 0, false
}

// escapes are the characters that may follow a backslash, each before what it
// stands for.
const escapes = "0\x00a\ab\bt\t\t\tn\nv\vf\fr\re\x1b  \"\"//\\\\N\u0085_\u00A0L\u2028P\u2029"

// escape reads a backslash and what it stands for.
func (p *parser) escape(b *strings.Builder) {
	l, from := p.lines[p.pos.line], p.pos
	if from.off+1 == len(l) { // the line goes on below without a blank
		if _, ok := p.nextQuotedLine(); !ok {
			p.pos.off = len(l)
		}
		return
	}
	c := l[from.off+1]
	p.pos.off += 2
	for rest := escapes; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest[1:])
		if rest[0] == c {
			b.WriteRune(r)
			return
		}
		rest = rest[1+size:]
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if digits > 0 && p.pos.off+digits <= len(l) {
		if v, err := strconv.ParseUint(l[p.pos.off:p.pos.off+digits], 16, 32); err == nil && v <= utf8.MaxRune {
			b.WriteRune(rune(v))
			p.pos.off += digits
			return
		}
	}
	p.errorAt(from, 2, "this backslash starts no escape that YAML knows", "write \\\\ for a backslash, or use single quotes")
	b.WriteString(l[from.off : from.off+2])
}
