package format

import (
	"errors"
	"fmt"
	"strings"
)

// Format is a parsed -F string.
type Format struct {
	pieces []piece
	pretty bool
	// Terminal: what a terminal would obey in a message is replaced.
	Terminal bool
}

// piece is literal text, or one sequence: '%' with a specifier or '@' with a
// strftime conversion.
type piece struct {
	literal   string
	kind      byte // 0 literal, '%', '@'
	verb      byte
	left      bool // '-' flag
	zero      bool // '0' flag
	width     int
	precision int // -1: none
}

// maxField bounds width and precision, so that a typo cannot ask for
// gigabytes of spaces.
const maxField = 1 << 20

const verbs = "%ACDEFIJPRSUXjlmpqrtx"

// Parse checks s and returns it in a form that can be printed. With pretty,
// JSON is written over several lines, as --pretty does.
func Parse(s string, pretty bool) (*Format, error) {
	p := parser{rest: s}
	for p.rest != "" {
		var err error
		switch c := p.next(); c {
		case '%':
			err = p.percent()
		case '@':
			err = p.at()
		case '\\':
			err = p.escape()
		default:
			p.text = append(p.text, c)
		}
		if err != nil {
			return nil, err
		}
	}
	p.flush()
	return &Format{pieces: p.pieces, pretty: pretty}, nil
}

type parser struct {
	rest   string
	text   []byte
	pieces []piece
}

var errIncomplete = errors.New("incomplete format specifier")

func (p *parser) next() byte {
	c := p.rest[0]
	p.rest = p.rest[1:]
	return c
}

func (p *parser) flush() {
	if len(p.text) > 0 {
		p.pieces = append(p.pieces, piece{literal: string(p.text)})
		p.text = nil
	}
}

func (p *parser) add(x piece) {
	p.flush()
	p.pieces = append(p.pieces, x)
}

func (p *parser) percent() error {
	x := piece{kind: '%', precision: -1}
	if strings.HasPrefix(p.rest, "-") {
		x.left = true
		p.next()
	}
	if strings.HasPrefix(p.rest, "0") {
		x.zero = true
		p.next()
	}
	var err error
	if x.width, err = p.number(); err != nil {
		return err
	}
	if strings.HasPrefix(p.rest, ".") {
		p.next()
		if x.precision, err = p.number(); err != nil {
			return err
		}
	}
	if p.rest == "" {
		return errIncomplete
	}
	x.verb = p.next()
	switch {
	case x.verb == '%':
		p.text = append(p.text, '%')
	case strings.IndexByte(verbs, x.verb) < 0:
		return fmt.Errorf("invalid format specifier %q", x.verb)
	default:
		p.add(x)
	}
	return nil
}

func (p *parser) number() (int, error) {
	n := 0
	for p.rest != "" && p.rest[0] >= '0' && p.rest[0] <= '9' {
		n = n*10 + int(p.next()-'0')
		if n > maxField {
			return 0, fmt.Errorf("field width above %d", maxField)
		}
	}
	return n, nil
}

func (p *parser) at() error {
	if p.rest == "" {
		return errIncomplete
	}
	if c := p.next(); c == '@' {
		p.text = append(p.text, '@')
	} else {
		p.add(piece{kind: '@', verb: c})
	}
	return nil
}

func (p *parser) escape() error {
	if p.rest == "" {
		return errors.New("incomplete escape specifier")
	}
	const names, values = `\0aenrtv`, "\\\x00\a\x1b\n\r\t\v"
	c := p.next()
	i := strings.IndexByte(names, c)
	if i < 0 {
		return fmt.Errorf("invalid escape specifier %q", c)
	}
	p.text = append(p.text, values[i])
	return nil
}
