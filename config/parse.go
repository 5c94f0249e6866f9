package config

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/config/yaml"
)

// Bounds of one file. Aliases are copied, so maxNodes also stops a file whose
// anchors multiply.
const (
	maxFile  = 1 << 20
	maxNodes = 100_000
	maxDepth = 100
)

// parse returns the tree of one file and its mistakes of syntax. The tree is
// nil when nothing could be understood.
func parse(src *source) (*node, Errors) {
	if e, bad := src.unreadable(); bad {
		return nil, Errors{e}
	}
	p := &treeBuilder{src: src, anchors: map[string]*node{}}
	root, mistakes := yaml.Parse(src.lines)
	for _, m := range mistakes {
		e := src.at(m.Line, m.Col, m.Length)
		e.Msg, e.Hint = m.Msg, m.Hint
		src.hideSecrets(&e)
		p.errs = append(p.errs, e)
	}
	switch {
	case root != nil:
		return p.node(root, 0), p.errs
	case len(mistakes) > 0:
		return nil, p.errs
	}
	return (&node{src: src, line: 1, col: 1, length: 1}).place(mapping), nil
}

// treeBuilder makes the tree of a configuration from that of its YAML: with
// aliases copied, keys merged, and every key once.
type treeBuilder struct {
	src     *source
	errs    Errors
	anchors map[string]*node
	nodes   int
	full    bool // maxNodes was reported
}

func (p *treeBuilder) errorf(n *node, hint, format string, args ...any) {
	e := n.at()
	e.Msg, e.Hint = fmt.Sprintf(format, args...), hint
	p.errs = append(p.errs, e)
}

// node turns one value of the YAML into one of the configuration.
func (p *treeBuilder) node(y *yaml.Node, depth int) *node {
	n := &node{
		src: p.src, line: y.Line, col: y.Col, length: y.Length,
		text: y.Text, plain: y.Plain, flow: y.Flow, branch: &bare,
	}
	if !p.count(n, depth) {
		return n
	}
	switch y.Kind {
	case yaml.Null:
		n.text, n.plain = "", false
	case yaml.Scalar:
		n.kind = scalar
	case yaml.Mapping:
		n.kind, n.branch = mapping, &branch{}
		p.mapping(n, y.Entries, depth)
	case yaml.Sequence:
		n.kind, n.branch = list, &branch{}
		for _, it := range y.Items {
			n.items = append(n.items, p.node(it, depth+1))
		}
	case yaml.Alias:
		n = p.alias(n, depth)
	}
	if y.Anchor != "" {
		p.anchors[y.Anchor] = n
	}
	return n
}

// count keeps the tree inside maxNodes and maxDepth.
func (p *treeBuilder) count(n *node, depth int) bool {
	p.nodes++
	if p.nodes <= maxNodes && depth <= maxDepth {
		return true
	}
	if !p.full {
		p.full = true
		p.errorf(n, "", "the file is nested too deeply or has too many values")
	}
	return false
}

// mapping fills in n's entries; << merges a mapping under the others.
func (p *treeBuilder) mapping(n *node, entries []yaml.Entry, depth int) {
	first := make(map[string]*node, len(entries))
	var merged []*node
	for _, e := range entries {
		key, v := p.node(e.Key, depth+1), p.node(e.Value, depth+1)
		if key.plain && key.text == "<<" {
			merged = append(merged, p.mergeKey(v)...)
			continue
		}
		if v.kind == null {
			p.emptied(key, v)
		}
		if word := keyWord(key.text); looksSecret(word) || word == "credentials" {
			v.hide()
			if word != key.text {
				key.hide()
			}
		}
		if f, ok := first[key.text]; ok {
			p.errorf(key, fmt.Sprintf("the first one is in line %d", f.line), "key %q is here twice", shorten(keyWord(key.text)))
			continue
		}
		first[key.text] = key
		n.entries = append(n.entries, entry{key, v})
	}
	for _, m := range merged {
		for _, e := range m.entries {
			if _, ok := first[e.key.text]; !ok {
				first[e.key.text] = e.key
				n.entries = append(n.entries, e)
			}
		}
	}
}

// emptied places a value that is not there: at the # that hid it, else at
// its key.
func (p *treeBuilder) emptied(key, v *node) {
	line := []rune(p.src.lines[key.line-1])
	end := key.col - 1 + key.length
	v.line, v.col, v.length = key.line, key.col, key.length
	if end > len(line) {
		return
	}
	rest := string(line[end:])
	if trimmed := strings.TrimLeft(rest, ": "); strings.HasPrefix(trimmed, "#") {
		v.col = end + utf8.RuneCountInString(rest) - utf8.RuneCountInString(trimmed) + 1
		v.length = 1
		v.text = trimmed // read by the message only
	}
}

// mergeKey returns the mappings that "<<: value" names.
func (p *treeBuilder) mergeKey(v *node) []*node {
	if v.kind == list {
		var all []*node
		for _, it := range v.items {
			all = append(all, p.mergeKey(it)...)
		}
		return all
	}
	if v.kind != mapping {
		p.errorf(v, "", "<<: takes a mapping, found %s", v.is())
		return nil
	}
	return []*node{v}
}

// alias returns a copy of what an alias names.
func (p *treeBuilder) alias(n *node, depth int) *node {
	if v, ok := p.anchors[n.text]; ok {
		return p.copied(v, depth)
	}
	p.errorf(n, fmt.Sprintf("put the value in quotes: \"*%s\"", n.text),
		`"*" cannot start an unquoted value in YAML, and there is no anchor &%s`, n.text)
	p.src.hideSecrets(&p.errs[len(p.errs)-1])
	n.kind, n.text = scalar, "*"+n.text
	return n
}

// copied copies a tree, counting its nodes.
func (p *treeBuilder) copied(n *node, depth int) *node {
	c := *n
	c.branch = &branch{}
	if !p.count(&c, depth) {
		return &c
	}
	for _, e := range n.entries {
		c.entries = append(c.entries, entry{e.key, p.copied(e.value, depth+1)})
	}
	for _, it := range n.items {
		c.items = append(c.items, p.copied(it, depth+1))
	}
	return &c
}
