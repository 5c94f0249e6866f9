package main

import (
	"bufio"
	"debug/gosym"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// tracer finds the lines of a trace of the slim program.
type tracer struct {
	p       *program
	text    uint64
	source  *gosym.Table
	records map[string][]int // of the functions with a name
	fault   uint64           // address of the instruction that a signal came of
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
		f, err := p.table.function(i)
		if err != nil {
			return err
		}
		name := short(p.table.name(f.head[recordName:]))
		t.records[name] = append(t.records[name], i)
	}
	var frames []string // names and their places, from an inlined call to the function that it is in
	w := bufio.NewWriter(out)
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 16<<20) // a log around the trace may have long lines
	for scanner.Scan() {
		line := scanner.Text()
		if _, pc, ok := strings.Cut(line, " pc=0x"); ok && strings.HasPrefix(line, "[signal ") {
			t.fault, _ = strconv.ParseUint(strings.TrimSuffix(pc, "]"), 16, 64)
		}
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
	return errors.Join(scanner.Err(), w.Flush())
}

// called is the function that a line of a trace names: "main.run(0x1, ...)" or
// "created by main.run in goroutine 1".
func called(line string) string {
	if rest, ok := strings.CutPrefix(line, "created by "); ok {
		name, _, _ := strings.Cut(rest, " in goroutine ")
		return name
	}
	i := strings.LastIndexByte(line, '(')
	if i <= 0 || line[0] == '\t' {
		return ""
	}
	if line[:i] == "panic" {
		return "runtime.gopanic"
	}
	return line[:i]
}

// places fills in the places of frames, whose last names its offset in the
// function, and puts the calls in that were inlined there.
func (t *tracer) places(frames []string) []string {
	if len(frames) < 2 {
		return frames
	}
	own := frames[len(frames)-2:]
	offset, _, _ := strings.Cut(strings.TrimPrefix(own[1], "\t?:0 +0x"), " ")
	n, err := strconv.ParseUint(offset, 16, 32)
	if err != nil {
		return frames
	}
	all := strings.Contains(own[1], " fp=0x") // the runtime's functions too
	var found [][]frame
	for _, i := range t.records[called(own[0])] {
		if chain := t.chain(i, uint32(n)); len(chain) > 0 {
			found = append(found, chain)
		}
	}
	if len(found) == 0 {
		return frames
	}
	if strings.HasPrefix(own[0], "created by ") { // the function and the innermost place
		return append(frames[:len(frames)-1], strings.Replace(own[1], "?:0", join(found, func(chain []frame) string { return chain[0].place }), 1))
	}
	frames = frames[:0:0]
	if !slices.ContainsFunc(found, func(chain []frame) bool { return !slices.EqualFunc(chain, found[0], frame.named) }) {
		for i, call := range found[0][:len(found[0])-1] {
			if call.shown || all {
				frames = append(frames, call.name+"(...)", "\t"+join(found, func(chain []frame) string { return chain[i].place }))
			}
		}
	}
	last := join(found, func(chain []frame) string { return chain[len(chain)-1].place })
	return append(frames, own[0], strings.Replace(own[1], "?:0", last, 1))
}

// join names the places that functions with one name have.
func join(found [][]frame, place func(chain []frame) string) string {
	var places []string
	for _, chain := range found {
		if p := place(chain); !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	return strings.Join(places, " or ")
}

// frame is a call in a trace.
type frame struct {
	name, place string
	shown       bool
}

func (f frame) named(g frame) bool { return f.name == g.name && f.shown == g.shown }

// chain are the places of an offset in a function, which a call returns to: of
// the innermost call that was inlined there first, of the function itself last.
func (t *tracer) chain(i int, offset uint32) (chain []frame) {
	tb := t.p.table
	f, err := tb.function(i)
	if err != nil {
		return nil
	}
	spans, err := tb.inlined(f)
	if err != nil {
		return nil
	}
	entry := t.text + uint64(order.Uint32(tb.records[8*i:]))
	if entry+uint64(offset) != t.fault {
		offset--
	}
	for {
		file, line, source := t.source.PCToLine(entry + uint64(offset))
		if source == nil || source.Entry != entry || len(chain) > len(spans) {
			return nil
		}
		call := at(spans, offset)
		name := short(tb.innermost(f, call))
		chain = append(chain, frame{name, fmt.Sprintf("%s:%d", file, line), exported(name)})
		if call < 0 {
			return chain
		}
		inlined := tb.data[int(f.list(listInlined))+call*callSize:]
		if inlined[callFuncID] == wrapper {
			chain[len(chain)-1].shown = false
		}
		offset = order.Uint32(inlined[callParent:])
	}
}

// exported tells whether a trace shows a function: of the runtime's only those
// that others may call.
func exported(name string) bool {
	rest, ok := strings.CutPrefix(name, "runtime.")
	if !ok {
		return true
	}
	kind, method, ok := strings.Cut(strings.TrimPrefix(rest, "(*"), ".")
	upper := func(s string) bool { return s != "" && 'A' <= s[0] && s[0] <= 'Z' }
	return upper(kind) && (!ok || upper(method))
}
