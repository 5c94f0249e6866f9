package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// magic is what a table of Go 1.20 and later begins with (abi.Go120PCLnTabMagic).
const magic = 0xfffffff1

var order = binary.LittleEndian

// table is a .gopclntab in its parts.
type table struct {
	head    []byte
	word    int // bytes of a pointer
	funcs   int
	names   []byte
	units   []byte // of 4 bytes, offsets in files
	files   []byte
	tables  []byte // values by program counter
	records []byte // an index of (entry, offset), the end of the text, then the records
	data    []byte // stack maps and lists of inlined calls
	find    []byte // the index of functions by address
	start   int    // of the records, in the section
}

// errLayout is what a program that another Go has linked gets.
var errLayout = errors.New("the table of functions is not laid out as Go 1.26 does it")

// parse splits the section, whose data and index begin at an offset.
func parse(b []byte, data, find int) (*table, error) {
	if len(b) < 72 || data < 72 || find < data || find > len(b) || order.Uint32(b) != magic || b[7] != 4 && b[7] != 8 {
		return nil, errLayout
	}
	t := &table{word: int(b[7])}
	number := func(i int) int { return int(word(b[8+i*t.word:], t.word)) }
	t.funcs = number(0)
	ends := []int{number(3), number(4), number(5), number(6), number(7), data}
	for i, at := range ends[:5] {
		if at < 8+8*t.word || at > ends[i+1] {
			return nil, errLayout
		}
	}
	if t.funcs < 0 || t.funcs > len(b) || ends[4]+t.index() > data {
		return nil, errLayout
	}
	t.head = b[:8+8*t.word]
	t.names, t.units, t.files = b[ends[0]:ends[1]], b[ends[1]:ends[2]], b[ends[2]:ends[3]]
	t.tables, t.records, t.start = b[ends[3]:ends[4]], b[ends[4]:data], ends[4]
	t.data, t.find = b[data:find], b[find:]
	return t, nil
}

// index is the size of what is before the records.
func (t *table) index() int { return 8*t.funcs + 4 }

// alignment is that of the parts.
const alignment = 32

// bytes joins the parts and tells where each begins, the index last.
func (t *table) bytes() (out []byte, at [7]int) {
	out = bytes.Clone(t.head)
	for i, part := range [7][]byte{t.names, t.units, t.files, t.tables, t.records, t.data, t.find} {
		out = append(out, make([]byte, -len(out)&(alignment-1))...)
		at[i] = len(out)
		if i < 5 {
			putWord(out[8+(3+i)*t.word:], t.word, uint64(at[i]))
		}
		out = append(out, part...)
	}
	return out, at
}

// name is what the offset at the start of b is of.
func (t *table) name(b []byte) string {
	at := int(order.Uint32(b))
	if at >= len(t.names) {
		return ""
	}
	text, _, _ := bytes.Cut(t.names[at:], []byte{0})
	return string(text)
}

// values is one table: pairs of a change of the value and one of the counter,
// as varints, until a change of 0 that is not the first.
func (t *table) values(at int) ([]byte, error) {
	b := t.tables
	varint := func(i int) (value byte, next int) {
		for ; i < len(b); i++ {
			if value |= b[i] & 0x7f; b[i] < 0x80 {
				return value, i + 1
			}
		}
		return 0, len(b) + 1
	}
	for i := at; i <= len(b); {
		value, next := varint(i)
		if value == 0 && i > at {
			return b[at:next:next], nil
		}
		_, i = varint(next)
	}
	return nil, errLayout
}

// span is a value, from where the one before it ends to the offset in the
// function where it ends.
type span struct {
	value int
	end   uint32
}

// spans reads values. A function without any has the value -1 all through.
func (t *table) spans(values []byte) (spans []span) {
	quantum := uint64(t.head[6]) // of a program counter
	value, end := -1, uint64(0)
	for {
		change, n := binary.Uvarint(values)
		count, m := binary.Uvarint(values[max(n, 0):])
		if n <= 0 || m <= 0 {
			return append(spans, span{-1, ^uint32(0)})
		}
		values = values[n+m:]
		value += int(change>>1) ^ -int(change&1)
		end += count * quantum
		spans = append(spans, span{value, uint32(end)})
	}
}

// at is the value at an offset.
func at(spans []span, offset uint32) int {
	for _, s := range spans {
		if offset < s.end {
			return s.value
		}
	}
	return -1
}

// pool collects values that are found again by what they are.
type pool struct {
	all []byte
	at  map[string]int
}

func (p *pool) put(value []byte) uint32 {
	at, ok := p.at[string(value)]
	if !ok {
		at = len(p.all)
		p.at[string(value)] = at
		p.all = append(p.all, value...)
	}
	return uint32(at)
}

// slim leaves out what only a stack trace reads, and shortens names.
func (t *table) slim() (*table, error) {
	names, tables := pool{[]byte{0}, map[string]int{}}, pool{[]byte{0}, map[string]int{}}
	put := func(at []byte) { order.PutUint32(at, names.put(append([]byte(short(t.name(at))), 0))) }
	funcs := make([]function, t.funcs)
	renamed := bytes.Clone(t.data)
	for i := range funcs {
		f, err := t.function(i)
		if err != nil {
			return nil, err
		}
		calls, err := t.calls(f)
		if err != nil {
			return nil, err
		}
		if f = f.slim(t.preempted(f, calls)); f.list(listInlined) != none {
			for _, call := range calls { // in more than one function, it may be
				copy(renamed[call+callName:call+callName+4], t.data[call+callName:])
				put(renamed[call+callName:])
			}
		}
		put(f.head[recordName:])
		for _, from := range f.offsets() {
			if *from == 0 {
				continue
			}
			values, err := t.values(int(*from))
			if err != nil {
				return nil, err
			}
			*from = tables.put(values)
		}
		funcs[i] = f
	}
	data, moved := t.compact(renamed, funcs)
	s := &table{head: t.head, word: t.word, funcs: t.funcs, names: names.all, files: []byte{0}, tables: tables.all, data: data, find: t.find}
	s.records = bytes.Clone(t.records[:t.index()])
	for i, f := range funcs {
		for j, from := range f.lists {
			if from != none {
				f.lists[j] = moved[from]
			}
		}
		s.records = append(s.records, make([]byte, -len(s.records)&(t.word-1))...)
		order.PutUint32(s.records[8*i+4:], uint32(len(s.records)))
		s.records = f.append(s.records)
	}
	return s, nil
}

// short is a function's name as a slim program has it: as Go code calls it,
// without the directory of its package, and without type arguments, which the
// runtime itself leaves out when it prints a name.
func short(name string) string {
	if rest, ok := strings.CutPrefix(name, "type:.eq."); ok && rest != "" {
		return "type:.eq"
	}
	s := name
	if open, end := strings.IndexByte(s, '['), strings.LastIndexByte(s, ']'); open > 0 && end > open {
		s = s[:open] + "[...]" + s[end+1:]
	}
	path := s
	if receiver := strings.IndexByte(s, '('); receiver >= 0 {
		path = s[:receiver]
	}
	s = s[strings.LastIndexByte(path, '/')+1:]
	if refused(s) != refused(name) {
		return name
	}
	return s
}

// same compares what the runtime works with in both tables.
func (t *table) same(s *table) error {
	if t.funcs != s.funcs || t.word != s.word || !bytes.Equal(t.head[:8+t.word], s.head[:8+s.word]) || !bytes.Equal(t.find, s.find) {
		return errors.New("the index of functions is not the same")
	}
	if end := 8 * t.funcs; !bytes.Equal(t.records[end:end+4], s.records[end:end+4]) {
		return errors.New("the text ends elsewhere")
	}
	sizes := t.sizes()
	for i := range t.funcs {
		a, err := t.function(i)
		if err != nil {
			return err
		}
		b, err := s.function(i)
		if err != nil {
			return err
		}
		if !bytes.Equal(t.records[8*i:8*i+4], s.records[8*i:8*i+4]) {
			return fmt.Errorf("function %d, %s, begins elsewhere", i, t.name(a.head[recordName:]))
		}
		if what := t.differs(s, a, b, sizes); what != "" {
			return fmt.Errorf("%s of function %d, %s, is not the same", what, i, t.name(a.head[recordName:]))
		}
	}
	return nil
}

// differs is what of a function is not the same in s, "" when all is.
func (t *table) differs(s *table, a, b function, sizes map[uint32]int) string {
	if name := t.name(a.head[recordName:]); short(name) != s.name(b.head[recordName:]) || refused(name) != refused(short(name)) {
		return "the name"
	}
	for _, span := range [][2]int{{0, 4}, {8, 16}, {36, 43}} { // what is neither name, nor offset, nor count
		if !bytes.Equal(a.head[span[0]:span[1]], b.head[span[0]:span[1]]) {
			return "the record"
		}
	}
	x, y := a.offsets(), b.offsets()
	for i := range max(len(x), len(y)) {
		before, after := uint32(0), uint32(0)
		if i < len(x) {
			before = *x[i]
		}
		if i < len(y) {
			after = *y[i]
		}
		if dropped := i == 1+tableInlined || i == 1+tableLive; before == 0 && after == 0 || dropped && after == 0 {
			continue
		}
		was, _ := t.values(int(before))
		is, _ := s.values(int(after))
		if before == 0 || after == 0 || was == nil || !bytes.Equal(was, is) {
			return fmt.Sprintf("table %d", i-1)
		}
	}
	for i := range max(len(a.lists), len(b.lists)) {
		before, after := a.list(i), b.list(i)
		if i == listInlined || before == none && after == none || i >= listArguments && after == none {
			continue
		}
		if before == none || after == none {
			return fmt.Sprintf("list %d", i)
		}
		size, align := sizes[before], 4
		switch i {
		case listObjects:
			align = t.word
		case listDefers:
			align = 1
		}
		if int(after)%align != 0 || int(after)+size > len(s.data) || !bytes.Equal(t.data[before:int(before)+size], s.data[after:int(after)+size]) {
			return fmt.Sprintf("list %d", i)
		}
	}
	return t.callsDiffer(s, a, b)
}
