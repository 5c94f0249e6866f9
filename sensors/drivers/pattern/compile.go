package pattern

import "unicode/utf8"

// maxInstructions bounds what a pattern becomes: {1000} in {1000} is a mistake.
const maxInstructions = 5000

type op uint8

const (
	opMatch  op = iota
	opRune      // one rune of set, then the next instruction
	opSplit     // x, and if that leads nowhere, y
	opSave      // the place as number x, then the next
	opAssert    // place x, then the next
)

type instruction struct {
	op   op
	x, y int
	set  set
}

// Pattern is a compiled pattern.
type Pattern struct {
	program []instruction
	names   []string
}

// Compile reads a pattern; an error says in words what is wrong with it.
func Compile(text string) (p *Pattern, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ours := r.(syntaxError)
			if !ours {
				panic(r)
			}
			p, err = nil, e
		}
	}()
	if !utf8.ValidString(text) {
		fail("it is not UTF-8 text")
	}
	in := &parser{rest: text, names: []string{""}}
	tree := in.alternatives()
	if in.rest != "" {
		fail("a ) closes nothing")
	}
	p = &Pattern{names: in.names}
	p.compile(&node{kind: group, sub: []*node{tree}})
	p.emit(instruction{op: opMatch})
	return p, nil
}

// Names are the names of the groups by their number, "" for those without.
// Number 0 is the whole match.
func (p *Pattern) Names() []string { return p.names }

// emit appends an instruction and returns where it is.
func (p *Pattern) emit(i instruction) int {
	if len(p.program) == maxInstructions {
		fail("it is too large")
	}
	p.program = append(p.program, i)
	return len(p.program) - 1
}

func (p *Pattern) compile(n *node) {
	switch n.kind {
	case sequence:
		for _, s := range n.sub {
			p.compile(s)
		}
	case alternate:
		p.alternate(n.sub)
	case repeat:
		p.repeat(n)
	case group:
		p.emit(instruction{op: opSave, x: 2 * n.min})
		p.compile(n.sub[0])
		p.emit(instruction{op: opSave, x: 2*n.min + 1})
	case oneOf:
		p.emit(instruction{op: opRune, set: n.set})
	case assert:
		p.emit(instruction{op: opAssert, x: n.min})
	}
}

func (p *Pattern) alternate(choices []*node) {
	var ends []int
	for i, c := range choices {
		if i == len(choices)-1 {
			p.compile(c)
			break
		}
		split := p.emit(instruction{op: opSplit})
		p.program[split].x = split + 1
		p.compile(c)
		ends = append(ends, p.emit(instruction{op: opSplit}))
		p.program[split].y = len(p.program)
	}
	for _, e := range ends {
		p.program[e].x, p.program[e].y = len(p.program), len(p.program)
	}
}

// choose lets the split at i go on at this, else at that.
func (p *Pattern) choose(i int, lazy bool, this, that int) {
	if lazy {
		this, that = that, this
	}
	p.program[i].x, p.program[i].y = this, that
}

// repeat writes what is repeated as often as it must be there; then either a
// loop, or one optional inside the other.
func (p *Pattern) repeat(n *node) {
	sub := n.sub[0]
	start := len(p.program)
	for range n.min {
		start = len(p.program)
		p.compile(sub)
	}
	var optional []int
	if n.max == without {
		// x* is (x+)?: what is repeated may match nothing, and then the first
		// choice must still come first.
		if n.min == 0 {
			optional = append(optional, p.emit(instruction{op: opSplit}))
			start = len(p.program)
			p.compile(sub)
		}
		again := p.emit(instruction{op: opSplit})
		p.choose(again, n.lazy, start, again+1)
	}
	for range n.max - n.min {
		optional = append(optional, p.emit(instruction{op: opSplit}))
		p.compile(sub)
	}
	for _, i := range optional {
		p.choose(i, n.lazy, i+1, len(p.program))
	}
}
