package yaml

import (
	"strings"
	"unicode/utf8"
)

// literal reads a block scalar, | or >, of a collection at column parent.
func (p *parser) literal(parent int) *Node {
	l, from := p.lines[p.pos.line], p.pos
	folded, chomp, indent := l[from.off] == '>', byte(0), 0
	i := from.off + 1
	for ; i < len(l) && !blank(l[i]); i++ {
		switch c := l[i]; {
		case c == '-' || c == '+':
			chomp = c
		case c >= '1' && c <= '9':
			indent = max(parent, 0) + int(c-'0')
		default:
			return p.cannotStart(false)
		}
	}
	if i = skipBlanks(l, i); !comment(l, i) {
		return p.cannotStart(false)
	}
	n := p.at(Scalar, from, utf8.RuneCountInString(strings.TrimSpace(l[from.off:i])))
	p.pos = place{from.line + 1, 0}
	n.Text = chomped(p.literalLines(parent, indent), folded, chomp)
	return n
}

// literalLines reads the lines of a block scalar without their indentation,
// which is that of the first line when it is 0.
func (p *parser) literalLines(parent, indent int) []string {
	var lines []string
	for ; p.pos.line < len(p.lines); p.pos.line++ {
		l := p.lines[p.pos.line]
		off := len(l) - len(strings.TrimLeft(l, " "))
		if indent == 0 && off == len(l) {
			lines = append(lines, "")
			continue
		}
		if off < len(l) {
			if indent == 0 {
				indent = off
			}
			if off < indent || off <= parent || marks(l, "---") || marks(l, "...") {
				break
			}
		}
		lines = append(lines, l[min(indent, len(l)):])
	}
	return lines
}

// chomped joins the lines of a block scalar.
func chomped(lines []string, folded bool, chomp byte) string {
	last := len(lines)
	for last > 0 && strings.Trim(lines[last-1], " ") == "" {
		last--
	}
	trailing := len(lines) - last
	var b strings.Builder
	breaks, before := 0, ""
	for i, l := range lines[:last] {
		switch deeper := l != "" && blank(l[0]) || before != "" && blank(before[0]); {
		case l == "":
			breaks++
			continue
		case before == "" || !folded || deeper:
			b.WriteString(strings.Repeat("\n", breaks))
			if before != "" {
				b.WriteByte('\n')
			}
		default:
			b.WriteString(fold(breaks))
		}
		b.WriteString(l)
		before, breaks = lines[i], 0
	}
	switch {
	case chomp == '+':
		if last > 0 {
			trailing++
		}
		b.WriteString(strings.Repeat("\n", trailing))
	case chomp == 0 && last > 0:
		b.WriteByte('\n')
	}
	return b.String()
}
