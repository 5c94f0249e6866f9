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

// Offsets in a record of a function (runtime._func).
const (
	recordName  = 4
	recordPCSP  = 16
	recordFile  = 20
	recordLine  = 24
	recordNPC   = 28
	recordUnit  = 32
	recordNFunc = 43
	recordSize  = 44
)

// Numbers of a function's tables and lists (internal/abi), and the layout of an
// inlined call (runtime.inlinedCall).
const (
	tableInlined = 2 // PCDATA_InlTreeIndex
	listInlined  = 3 // FUNCDATA_InlTree
	callName     = 4
	callParent   = 8 // offset of the call in the function
	callSize     = 16
)

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
	records []byte // an index of (entry, offset), then the records
	data    []byte // stack maps and lists of inlined calls
	start   int    // of the records, in the section
}

// errLayout is what a program that another Go has linked gets.
var errLayout = errors.New("the table of functions is not laid out as Go 1.26 does it")

// parse splits the section, whose data begin at an offset.
func parse(b []byte, data int) (*table, error) {
	if len(b) < 72 || data < 72 || data > len(b) || order.Uint32(b) != magic || b[7] != 4 && b[7] != 8 {
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
	if ends[4]+8*t.funcs+4 > data {
		return nil, errLayout
	}
	t.head = b[:ends[0]]
	t.names, t.units, t.files = b[ends[0]:ends[1]], b[ends[1]:ends[2]], b[ends[2]:ends[3]]
	t.tables, t.records, t.start = b[ends[3]:ends[4]], b[ends[4]:data], ends[4]
	t.data = b[data:]
	return t, nil
}

// alignment is that of the parts.
const alignment = 32

// bytes joins the parts and tells where each begins, data last.
func (t *table) bytes() (out []byte, at [6]int) {
	out = bytes.Clone(t.head[:8+8*t.word])
	for i, part := range [6][]byte{t.names, t.units, t.files, t.tables, t.records, t.data} {
		out = append(out, make([]byte, -len(out)&(alignment-1))...)
		at[i] = len(out)
		if i < 5 {
			putWord(out[8+(3+i)*t.word:], t.word, uint64(at[i]))
		}
		out = append(out, part...)
	}
	return out, at
}

// record is the i-th function's.
func (t *table) record(i int) ([]byte, error) {
	at := int(order.Uint32(t.records[8*i+4:]))
	if at+recordSize > len(t.records) {
		return nil, errLayout
	}
	r := t.records[at:]
	size := recordSize + 4*int(order.Uint32(r[recordNPC:])) + 4*int(r[recordNFunc])
	if size > len(r) {
		return nil, errLayout
	}
	return r[:size], nil
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

// kept are the places in a record with the offsets of tables that the runtime
// works with: stack sizes, then pcdata.
func kept(record []byte) []int {
	places := []int{recordPCSP}
	for i := range int(order.Uint32(record[recordNPC:])) {
		places = append(places, recordSize+4*i)
	}
	return places
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

// slim leaves lines, files and units out, and shortens names.
func (t *table) slim() (*table, error) {
	names, tables := pool{[]byte{0}, map[string]int{}}, pool{[]byte{0}, map[string]int{}}
	name := func(at []byte) { order.PutUint32(at, names.put(append([]byte(short(t.name(at))), 0))) }
	s := &table{head: t.head, word: t.word, funcs: t.funcs, files: []byte{0}, records: bytes.Clone(t.records), data: bytes.Clone(t.data)}
	renamed := map[int]bool{} // functions can have their inlined calls in common
	for i := range t.funcs {
		r, err := s.record(i)
		if err != nil {
			return nil, err
		}
		calls, err := t.calls(r)
		if err != nil {
			return nil, err
		}
		for _, call := range calls {
			if !renamed[call] {
				renamed[call] = true
				name(s.data[call+callName:])
			}
		}
		name(r[recordName:])
		for _, place := range kept(r) {
			if from := int(order.Uint32(r[place:])); from != 0 {
				values, err := t.values(from)
				if err != nil {
					return nil, err
				}
				order.PutUint32(r[place:], tables.put(values))
			}
		}
		for _, place := range []int{recordFile, recordLine, recordUnit} {
			order.PutUint32(r[place:], 0)
		}
	}
	s.names, s.tables = names.all, tables.all
	return s, nil
}

// inlined is where in the data a function's list of inlined calls is, and the
// table of which of them a program counter is in. Without any the table is nil.
func (t *table) inlined(record []byte) (list int, values []byte) {
	tables, lists := int(order.Uint32(record[recordNPC:])), int(record[recordNFunc])
	if tables <= tableInlined || lists <= listInlined {
		return 0, nil
	}
	from := int(order.Uint32(record[recordSize+4*tableInlined:]))
	at := order.Uint32(record[recordSize+4*tables+4*listInlined:])
	if from == 0 || at == ^uint32(0) {
		return 0, nil
	}
	values, err := t.values(from)
	if err != nil {
		return 0, nil
	}
	return int(at), values
}

// calls are where in the data the inlined calls are that a function's program
// counters lead to.
func (t *table) calls(record []byte) (calls []int, err error) {
	list, values := t.inlined(record)
	for value := -1; ; {
		change, n := binary.Uvarint(values)
		_, m := binary.Uvarint(values[max(n, 0):])
		if n <= 0 || m <= 0 {
			return calls, nil
		}
		values = values[n+m:]
		value += int(change>>1) ^ -int(change&1)
		if value < 0 {
			continue
		}
		at := list + value*callSize
		if at+callSize > len(t.data) {
			return nil, errLayout
		}
		calls = append(calls, at)
	}
}

// short is a function's name as a slim program has it. The runtime itself
// leaves type arguments out when it prints a name.
func short(name string) string {
	name = strings.TrimPrefix(name, "github.com/dunlin-mqtt/dunlin/")
	if rest, ok := strings.CutPrefix(name, "type:.eq."); ok && rest != "" {
		return "type:.eq"
	}
	if open, end := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']'); open > 0 && end > open {
		return name[:open] + "[...]" + name[end+1:]
	}
	return name
}

// same compares what the runtime works with in both tables.
func (t *table) same(s *table) error {
	data := bytes.Clone(t.data)
	for i := range t.funcs {
		a, err := t.record(i)
		if err != nil {
			return err
		}
		b, err := s.record(i)
		if err != nil {
			return err
		}
		if len(a) != len(b) || short(t.name(a[recordName:])) != s.name(b[recordName:]) || !bytes.Equal(t.records[8*i:8*i+8], s.records[8*i:8*i+8]) {
			return fmt.Errorf("function %d, %s, is not the same", i, t.name(a[recordName:]))
		}
		for _, place := range kept(a) {
			x, y := int(order.Uint32(a[place:])), int(order.Uint32(b[place:]))
			if x == 0 && y == 0 {
				continue
			}
			before, _ := t.values(x)
			after, _ := s.values(y)
			if x == 0 || y == 0 || before == nil || !bytes.Equal(before, after) {
				return fmt.Errorf("a table of function %d, %s, is not the same", i, t.name(a[recordName:]))
			}
		}
		lists := recordSize + 4*int(order.Uint32(a[recordNPC:]))
		for _, span := range [][2]int{{0, 4}, {8, 16}, {28, 32}, {36, 44}, {lists, len(a)}} { // all else
			if !bytes.Equal(a[span[0]:span[1]], b[span[0]:span[1]]) {
				return fmt.Errorf("the record of function %d, %s, is not the same", i, t.name(a[recordName:]))
			}
		}
		calls, err := t.calls(a)
		if err != nil {
			return err
		}
		for _, call := range calls {
			if was, is := t.data[call:call+callSize], s.data[call:call+callSize]; short(t.name(was[callName:])) != s.name(is[callName:]) {
				return fmt.Errorf("a call inlined in function %d, %s, is not the same", i, t.name(a[recordName:]))
			}
			copy(data[call+callName:call+callName+4], s.data[call+callName:])
		}
	}
	if !bytes.Equal(data, s.data) {
		return errors.New("the data of functions are not the same")
	}
	return nil
}
