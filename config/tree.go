package config

import (
	"strconv"
	"strings"
)

type kind uint8

const (
	null kind = iota
	scalar
	mapping
	list
)

// node is one value of a file and where it stands. Trees of several files are
// merged, so every node knows its source.
type node struct {
	src               *source
	line, col, length int
	kind              kind
	plain             bool // the scalar stands without quotes
	flow              bool // a mapping or list in brackets
	secret            bool // no message quotes it
	// text of a scalar as it was written, without quotes: 0403 stays 0403.
	text string
	*branch
}

// branch is what is below a mapping or a list. It is apart because most nodes
// are scalars.
type branch struct {
	entries []entry
	items   []*node
}

// bare is below scalars. Nobody writes to it.
var bare branch

// place is an empty node of a kind at the place of another.
func (n *node) place(k kind) *node {
	return &node{kind: k, src: n.src, line: n.line, col: n.col, length: n.length, branch: &branch{}}
}

type entry struct{ key, value *node }

// get returns the entry of a mapping with this key.
func (n *node) get(key string) (entry, bool) {
	for _, e := range n.entries {
		if e.key.text == key {
			return e, true
		}
	}
	return entry{}, false
}

// is returns what the node is, for messages.
func (n *node) is() string {
	switch n.kind {
	case mapping:
		return "a mapping"
	case list:
		return "a list"
	case null:
		return "nothing"
	}
	if n.secret {
		return "a text"
	}
	return strconv.Quote(shorten(n.text))
}

// hide keeps a text, or a list of them, out of what is shown.
func (n *node) hide() {
	if n.kind == scalar {
		n.secret = true
		n.src.secrets = append(n.src.secrets, spansOf(n)...)
	}
	for _, item := range n.items {
		item.hide()
	}
}

// at returns a finding at the node.
func (n *node) at() Error { return n.src.at(n.line, n.col, n.length) }

// find returns the node to point at for a path: the value when it is a
// scalar, else its key; the nearest owner of what is missing.
func (n *node) find(path string) *node {
	at := n
	for _, seg := range segments(path) {
		if n.kind == list {
			i, err := strconv.Atoi(seg)
			if err != nil || i < 0 || i >= len(n.items) {
				return at
			}
			n = n.items[i]
			at = n
			continue
		}
		e, ok := n.get(seg)
		if !ok {
			return at
		}
		n = e.value
		if at = e.key; n.kind == scalar {
			at = n
		}
	}
	return at
}

// lookup returns the value at a path, nil when the file does not set it.
func (n *node) lookup(path string) *node {
	for _, seg := range segments(path) {
		if n.kind == list {
			i, err := strconv.Atoi(seg)
			if err != nil || i < 0 || i >= len(n.items) {
				return nil
			}
			n = n.items[i]
			continue
		}
		e, ok := n.get(seg)
		if !ok {
			return nil
		}
		n = e.value
	}
	return n
}

// segments splits a.b[0].c into a, b, 0, c.
func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

func join(path, key string) string {
	switch {
	case path == "":
		return key
	case key == "", strings.HasPrefix(key, "["):
		return path + key
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// last returns the last key of a path: what a message calls the value.
func last(path string) string {
	p := path[strings.LastIndexByte(path, '.')+1:]
	if key, _, indexed := strings.Cut(p, "["); indexed && key != "" {
		return key
	}
	return p
}

// shorten keeps a quoted value in a message readable.
func shorten(s string) string {
	if rs := []rune(s); len(rs) > 60 {
		return string(rs[:57]) + "..."
	}
	return s
}

// merge lays b over a: maps merge, lists append, anything else is b's. An
// empty value in b changes nothing. Neither tree is changed.
func merge(a, b *node) *node {
	switch {
	case a == nil || a.kind == null:
		return b
	case b.kind == null:
		return a
	case a.kind == list && b.kind == list:
		m := *a
		m.branch = &branch{items: append(append([]*node(nil), a.items...), b.items...)}
		return &m
	case a.kind != mapping || b.kind != mapping:
		return b
	}
	m := *a
	m.branch = &branch{entries: append([]entry(nil), a.entries...)}
	at := make(map[string]int, len(m.entries))
	for i, e := range m.entries {
		at[e.key.text] = i
	}
	for _, e := range b.entries {
		if i, ok := at[e.key.text]; ok {
			merged := merge(m.entries[i].value, e.value)
			if merged == e.value {
				m.entries[i].key = e.key
			}
			m.entries[i].value = merged
			continue
		}
		at[e.key.text] = len(m.entries)
		m.entries = append(m.entries, e)
	}
	return &m
}
