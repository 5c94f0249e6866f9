package main

import (
	"bytes"
	"slices"
	"strings"
)

// Layout of an inlined call (runtime.inlinedCall).
const (
	callFuncID = 0
	callName   = 4
	callParent = 8 // offset of the call in the function
	callSize   = 16

	wrapper = 23 // identity of a function that the compiler made (abi.FuncIDWrapper)
)

// inlined is the table of which call inlined in a function a program counter
// is in.
func (t *table) inlined(f function) ([]span, error) {
	if len(f.tables) <= tableInlined || f.tables[tableInlined] == 0 || f.list(listInlined) == none {
		return t.spans(nil), nil
	}
	values, err := t.values(int(f.tables[tableInlined]))
	if err != nil {
		return nil, err
	}
	return t.spans(values), nil
}

// calls are where in the data the inlined calls are that a function's program
// counters lead to.
func (t *table) calls(f function) (calls []int, err error) {
	spans, err := t.inlined(f)
	for _, s := range spans {
		if s.value < 0 {
			continue
		}
		at := int(f.list(listInlined)) + s.value*callSize
		if at+callSize > len(t.data) {
			return nil, errLayout
		}
		calls = append(calls, at)
	}
	return calls, err
}

// refused tells whether the runtime does not interrupt a function with this
// name (isAsyncSafePoint in runtime/preempt.go).
func refused(name string) bool {
	return strings.HasPrefix(name, "runtime.") || strings.HasPrefix(name, "internal/runtime/") || strings.HasPrefix(name, "reflect.")
}

// preempted tells whether the runtime needs the calls inlined in a function
// for its work: gorecover counts those in wrappers, other functions with an
// identity are left alone, and isAsyncSafePoint looks at the innermost name.
// All other readers want them for a trace or a profile.
func (t *table) preempted(f function, calls []int) bool {
	return f.head[recordFuncID] != 0 || slices.ContainsFunc(calls, func(call int) bool {
		return refused(t.name(t.data[call+callName:])) != refused(t.name(f.head[recordName:]))
	})
}

// callsDiffer is what of the calls inlined in a function is not the same in s.
// They may all be left out of a function without an identity, when the runtime
// may interrupt the same instructions without them.
func (t *table) callsDiffer(s *table, a, b function) string {
	spans, err := t.inlined(a)
	if err != nil {
		return "a table"
	}
	if len(b.tables) <= tableInlined || b.tables[tableInlined] == 0 {
		if a.head[recordFuncID] != 0 && len(spans) > 1 {
			return "a call inlined"
		}
		for _, span := range spans {
			if refused(t.innermost(a, span.value)) != refused(s.name(b.head[recordName:])) {
				return "what may be interrupted"
			}
		}
		return ""
	}
	calls, err := t.calls(a)
	if err != nil {
		return "a call inlined"
	}
	kept, err := s.calls(b)
	if err != nil || len(calls) != len(kept) { // their tables are the same
		return "a call inlined"
	}
	for i := range calls {
		was, is := t.data[calls[i]:calls[i]+callSize], s.data[kept[i]:kept[i]+callSize]
		if name := t.name(was[callName:]); short(name) != s.name(is[callName:]) || refused(name) != refused(short(name)) {
			return "the name of a call inlined"
		}
		if !bytes.Equal(was[:callName], is[:callName]) || !bytes.Equal(was[callParent:], is[callParent:]) {
			return "a call inlined"
		}
	}
	return ""
}

// innermost is the name of an inlined call, and the function's for -1.
func (t *table) innermost(f function, call int) string {
	if call < 0 {
		return t.name(f.head[recordName:])
	}
	return t.name(t.data[int(f.list(listInlined))+call*callSize+callName:])
}
