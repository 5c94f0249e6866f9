package main

import (
	"bytes"
	"maps"
	"slices"
)

// Offsets in a record of a function (runtime._func).
const (
	recordName   = 4
	recordPCSP   = 16
	recordFile   = 20
	recordLine   = 24
	recordNPC    = 28
	recordUnit   = 32
	recordFuncID = 40
	recordNFunc  = 43
	recordSize   = 44
)

// Numbers of a function's tables and lists (internal/abi).
const (
	tableInlined = 2 // PCDATA_InlTreeIndex
	tableLive    = 3 // PCDATA_ArgLiveIndex
	tablesKnown  = 5

	listObjects   = 2 // FUNCDATA_StackObjects
	listInlined   = 3 // FUNCDATA_InlTree
	listDefers    = 4 // FUNCDATA_OpenCodedDeferInfo
	listArguments = 5 // FUNCDATA_ArgInfo
	listLive      = 6 // FUNCDATA_ArgLiveInfo
	listWrapped   = 7 // FUNCDATA_WrapInfo
	listsKnown    = 8
)

// none is the offset of a list that a function does not have. That of a table
// is 0.
const none = ^uint32(0)

// function is a record in its parts.
type function struct {
	head   []byte   // with its name and numbers
	pcsp   uint32   // table of stack sizes
	tables []uint32 // offsets in the table's tables
	lists  []uint32 // offsets in the table's data
}

// function reads the i-th record.
func (t *table) function(i int) (f function, err error) {
	at := int(order.Uint32(t.records[8*i+4:]))
	if at < t.index() || at+recordSize > len(t.records) {
		return f, errLayout
	}
	r := t.records[at:]
	tables, lists := int(order.Uint32(r[recordNPC:])), int(r[recordNFunc])
	if tables > tablesKnown || lists > listsKnown || recordSize+4*(tables+lists) > len(r) {
		return f, errLayout
	}
	f = function{head: bytes.Clone(r[:recordSize]), pcsp: order.Uint32(r[recordPCSP:])}
	for i := range tables + lists {
		at := order.Uint32(r[recordSize+4*i:])
		if i < tables {
			f.tables = append(f.tables, at)
			continue
		}
		if at != none && int(at) >= len(t.data) {
			return f, errLayout
		}
		f.lists = append(f.lists, at)
	}
	return f, nil
}

// append writes the record behind b.
func (f function) append(b []byte) []byte {
	head := bytes.Clone(f.head)
	order.PutUint32(head[recordPCSP:], f.pcsp)
	order.PutUint32(head[recordNPC:], uint32(len(f.tables)))
	head[recordNFunc] = byte(len(f.lists))
	b = append(b, head...)
	for _, at := range slices.Concat(f.tables, f.lists) {
		b = order.AppendUint32(b, at)
	}
	return b
}

// offsets are those of the tables: of stack sizes, then the numbered ones.
func (f *function) offsets() []*uint32 {
	offsets := []*uint32{&f.pcsp}
	for i := range f.tables {
		offsets = append(offsets, &f.tables[i])
	}
	return offsets
}

// list is the offset of a list.
func (f function) list(i int) uint32 {
	if i >= len(f.lists) {
		return none
	}
	return f.lists[i]
}

// slim leaves out file, line and unit, what tells the arguments of a call, and
// the inlined calls unless the runtime needs them.
func (f function) slim(calls bool) function {
	for _, place := range []int{recordFile, recordLine, recordUnit} {
		order.PutUint32(f.head[place:], 0)
	}
	for i := range f.tables {
		if i == tableLive || i == tableInlined && !calls {
			f.tables[i] = 0
		}
	}
	for i := range f.lists {
		if i == listArguments || i == listLive || i == listWrapped || i == listInlined && !calls {
			f.lists[i] = none
		}
	}
	for len(f.tables) > 0 && f.tables[len(f.tables)-1] == 0 {
		f.tables = f.tables[:len(f.tables)-1]
	}
	for len(f.lists) > 0 && f.lists[len(f.lists)-1] == none {
		f.lists = f.lists[:len(f.lists)-1]
	}
	return f
}

// sizes are those of all lists by their offsets: each ends where the next one
// begins.
func (t *table) sizes() map[uint32]int {
	sizes := map[uint32]int{}
	for i := range t.funcs {
		f, err := t.function(i)
		if err != nil {
			continue // a table that is read in full before
		}
		for _, at := range f.lists {
			if at != none {
				sizes[at] = 0
			}
		}
	}
	end := len(t.data)
	for _, at := range slices.Backward(slices.Sorted(maps.Keys(sizes))) {
		sizes[at] = end - int(at)
		end = int(at)
	}
	return sizes
}

// compact joins those lists that functions have, equal ones once, and tells
// where each is. The linker puts the lists that need the most alignment first:
// an odd offset says that no list behind it needs any.
func (t *table) compact(data []byte, funcs []function) (all []byte, moved map[uint32]uint32) {
	wanted := map[uint32]bool{}
	for _, f := range funcs {
		for _, at := range f.lists {
			wanted[at] = true
		}
	}
	moved = map[uint32]uint32{}
	placed := map[string]uint32{}
	sizes, align := t.sizes(), alignment
	for _, at := range slices.Sorted(maps.Keys(sizes)) {
		if at != 0 {
			align = min(align, int(at&-at))
		}
		if !wanted[at] {
			continue
		}
		list := data[at : int(at)+sizes[at]]
		place, same := placed[string(list)]
		if !same { // else it has the alignment too, since it came before
			all = append(all, make([]byte, -len(all)&(align-1))...)
			place = uint32(len(all))
			placed[string(list)] = place
			all = append(all, list...)
		}
		moved[at] = place
	}
	return all, moved
}
