package main

import (
	"bufio"
	"debug/gosym"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// tracer finds the lines of a trace of the slim program.
type tracer struct {
	p       *program
	text    uint64
	source  *gosym.Table
	records map[string][]int // of the functions with a name
}

// lines copies a stack trace and puts file and line in the place of each
// "?:0" below the name of a function.
func (p *program) lines(in io.Reader, out io.Writer) error {
	source, err := gosym.NewTable(nil, gosym.NewLineTable(p.section(".gopclntab"), p.get(moduleText)))
	if err != nil {
		return err
	}
	t := &tracer{p: p, text: p.get(moduleText), source: source, records: map[string][]int{}}
	for i := range p.table.funcs {
		r, err := p.table.record(i)
		if err != nil {
			return err
		}
		name := short(p.table.name(r[recordName:]))
		t.records[name] = append(t.records[name], i)
	}
	var frames []string // names and their places, from an inlined call to the function that it is in
	w := bufio.NewWriter(out)
	for scanner := bufio.NewScanner(in); scanner.Scan(); {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, "\t?:0 +0x"):
			for _, line := range t.places(append(frames, line)) {
				fmt.Fprintln(w, line)
			}
			frames = nil
		case line == "\t?:0" || called(line) != "":
			frames = append(frames, line)
		default:
			for _, line := range append(frames, line) {
				fmt.Fprintln(w, line)
			}
			frames = nil
		}
	}
	for _, line := range frames {
		fmt.Fprintln(w, line)
	}
	return w.Flush()
}

// called is the function that a line of a trace names: "main.run(0x1, ...)" or
// "created by main.run in goroutine 1".
func called(line string) string {
	if rest, ok := strings.CutPrefix(line, "created by "); ok {
		name, _, _ := strings.Cut(rest, " in goroutine ")
		return name
	}
	if i := strings.LastIndexByte(line, '('); i > 0 && line[0] != '\t' {
		return line[:i]
	}
	return ""
}

// places fills in the places of frames, whose last names its offset in the
// function.
func (t *tracer) places(frames []string) []string {
	if len(frames) < 2 {
		return frames
	}
	offset, _, _ := strings.Cut(strings.TrimPrefix(frames[len(frames)-1], "\t?:0 +0x"), " ")
	n, err := strconv.ParseUint(offset, 16, 32)
	if err != nil {
		return frames
	}
	var found [][]string
	for _, i := range t.records[called(frames[len(frames)-2])] {
		if chain := t.chain(i, uint32(n)-1); len(chain) == len(frames)/2 {
			found = append(found, chain)
		}
	}
	for i := 1; i < len(frames) && len(found) > 0; i += 2 {
		var names []string
		for _, chain := range found {
			names = append(names, chain[i/2])
		}
		frames[i] = strings.Replace(frames[i], "?:0", strings.Join(names, " or "), 1)
	}
	return frames
}

// chain are the places of an offset in a function: of the innermost call that
// was inlined there first, of the function itself last.
func (t *tracer) chain(i int, offset uint32) (places []string) {
	r, err := t.p.table.record(i)
	if err != nil {
		return nil
	}
	entry := t.text + uint64(order.Uint32(t.p.table.records[8*i:]))
	for {
		file, line, f := t.source.PCToLine(entry + uint64(offset))
		if f == nil || f.Entry != entry {
			return nil
		}
		places = append(places, fmt.Sprintf("%s:%d", file, line))
		call := t.p.call(r, offset)
		if call == nil {
			return places
		}
		offset = order.Uint32(call[callParent:])
	}
}

// call is the inlined call that an offset in a function is in, nil in none.
func (p *program) call(record []byte, offset uint32) []byte {
	list, values := p.table.inlined(record)
	quantum := uint64(p.table.head[6]) // of a program counter
	var end uint64
	for value := -1; ; {
		change, n := binary.Uvarint(values)
		count, m := binary.Uvarint(values[max(n, 0):])
		if n <= 0 || m <= 0 {
			return nil
		}
		values = values[n+m:]
		value += int(change>>1) ^ -int(change&1)
		if end += count * quantum; uint64(offset) >= end {
			continue
		}
		if at := list + value*callSize; value >= 0 && at+callSize <= len(p.table.data) {
			return p.table.data[at : at+callSize]
		}
		return nil
	}
}
