package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
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
	p := &treeBuilder{src: src, anchors: map[string]*node{}}
	if e, bad := src.unreadable(); bad {
		return nil, Errors{e}
	}
	text := strings.Join(src.lines, "\n")
	for range 50 { // each round mends one mistake
		file, err := parseYAML(text)
		if err == nil {
			return p.file(file), p.errs
		}
		e, mended := explain(src, text, err)
		p.errs = append(p.errs, e)
		if mended == "" {
			break
		}
		text = mended
	}
	return nil, p.errs
}

// syntaxError is what the parser said and where.
type syntaxError struct {
	line, col int
	msg       string
}

func (e *syntaxError) Error() string { return e.msg }

// parseYAML calls the library. A panic in it is a mistake of this file only.
func parseYAML(text string) (file *ast.File, err *syntaxError) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, &syntaxError{1, 1, fmt.Sprint("the parser gave up on this file: ", r)}
		}
	}()
	file, perr := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if perr == nil {
		return file, nil
	}
	err = &syntaxError{1, 1, perr.Error()}
	var at interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(perr, &at) {
		err.msg = at.GetMessage()
		if t := at.GetToken(); t != nil && t.Position != nil {
			err.line, err.col = t.Position.Line, t.Position.Column
		}
	}
	return nil, err
}

// treeBuilder copies the library's AST into nodes.
type treeBuilder struct {
	src     *source
	errs    Errors
	anchors map[string]*node
	nodes   int
	full    bool // maxNodes was reported
}

func (p *treeBuilder) file(f *ast.File) *node {
	var root *node
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		n := p.node(d.Body, 0)
		if root != nil {
			p.errorf(n, "", "a second document (---) starts here: one file is one document")
			break
		}
		root = n
	}
	if root == nil {
		root = &node{kind: mapping, src: p.src, line: 1, col: 1, length: 1}
	}
	return root
}

func (p *treeBuilder) errorf(n *node, hint, format string, args ...any) {
	e := n.at()
	e.Msg, e.Hint = fmt.Sprintf(format, args...), hint
	p.errs = append(p.errs, e)
}

// node copies one AST node.
func (p *treeBuilder) node(a ast.Node, depth int) *node {
	if a == nil {
		return &node{src: p.src, line: 1, col: 1, length: 1}
	}
	n := p.placed(a.GetToken())
	if !p.count(n, depth) {
		return n
	}
	switch a := a.(type) {
	case *ast.MappingNode:
		p.mapping(n, a, a.Values, depth)
		n.flow = a.IsFlowStyle
	case *ast.MappingValueNode:
		p.mapping(n, a, []*ast.MappingValueNode{a}, depth)
	case *ast.SequenceNode:
		n.kind, n.flow = list, a.IsFlowStyle
		for _, it := range a.Values {
			n.items = append(n.items, p.node(it, depth+1))
		}
	case *ast.NullNode:
	case *ast.LiteralNode:
		n.kind, n.text = scalar, unmask(a.Value.Value)
	case *ast.AnchorNode:
		v := p.node(a.Value, depth+1)
		if a.Name != nil {
			p.anchors[a.Name.GetToken().Value] = v
		}
		return v
	case *ast.AliasNode:
		return p.alias(n, a, depth)
	case *ast.TagNode:
		if a.Start.Value != "!!str" {
			p.errorf(n, "remove the tag", "tags such as %s are not used here", a.Start.Value)
		}
		return p.node(a.Value, depth+1)
	case ast.ScalarNode:
		n.kind, n.text = scalar, unmask(a.GetToken().Value)
		n.plain = isPlain(a.GetToken().Type)
	default:
		p.errorf(n, "", "%s is not understood here", shorten(a.GetToken().Value))
	}
	return n
}

func isPlain(t token.Type) bool {
	return t != token.SingleQuoteType && t != token.DoubleQuoteType
}

// placed returns a node at a token.
func (p *treeBuilder) placed(t *token.Token) *node {
	n := &node{src: p.src, line: 1, col: 1, length: 1}
	if t == nil || t.Position == nil {
		return n
	}
	written, _, _ := strings.Cut(strings.TrimSpace(t.Origin), "\n")
	at := p.src.at(t.Position.Line, t.Position.Column, utf8.RuneCountInString(strings.TrimSpace(written)))
	n.line, n.col, n.length = at.Line, at.Column, at.Length
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
func (p *treeBuilder) mapping(n *node, a ast.Node, values []*ast.MappingValueNode, depth int) {
	n.kind = mapping
	first := make(map[string]*node, len(values))
	var merged []*node
	for i, mv := range values {
		key := p.key(mv.Key)
		if i == 0 {
			if m, ok := a.(*ast.MappingNode); !ok || !m.IsFlowStyle {
				n.line, n.col, n.length = key.line, key.col, key.length
			}
		}
		v := p.node(mv.Value, depth+1)
		if _, ok := mv.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, p.mergeKey(v)...)
			continue
		}
		if v.kind == null {
			p.emptied(key, v)
		}
		if f, ok := first[key.text]; ok {
			p.errorf(key, fmt.Sprintf("the first one is in line %d", f.line), "key %q is here twice", shorten(key.text))
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

// key returns the node of a mapping's key.
func (p *treeBuilder) key(k ast.MapKeyNode) *node {
	n := p.placed(k.GetToken())
	n.kind = scalar
	if mk, ok := k.(*ast.MappingKeyNode); ok { // "? key"
		if s, ok := mk.Value.(ast.ScalarNode); ok {
			n = p.placed(s.GetToken())
			n.kind, n.text = scalar, s.GetToken().Value
			return n
		}
		p.errorf(n, "", "a key must be plain text")
		return n
	}
	n.text = unmask(k.GetToken().Value)
	return n
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

func (p *treeBuilder) alias(n *node, a *ast.AliasNode, depth int) *node {
	name := ""
	if a.Value != nil {
		name = a.Value.GetToken().Value
	}
	n.length = 1 + utf8.RuneCountInString(name)
	if v, ok := p.anchors[name]; ok {
		return p.copied(v, depth)
	}
	p.errorf(n, fmt.Sprintf("put the value in quotes: \"*%s\"", name),
		`"*" cannot start an unquoted value in YAML, and there is no anchor &%s`, name)
	n.kind, n.text = scalar, "*"+name
	return n
}

// copied copies a tree, counting its nodes.
func (p *treeBuilder) copied(n *node, depth int) *node {
	c := *n
	if !p.count(&c, depth) {
		c.entries, c.items = nil, nil
		return &c
	}
	c.entries, c.items = nil, nil
	for _, e := range n.entries {
		c.entries = append(c.entries, entry{e.key, p.copied(e.value, depth+1)})
	}
	for _, it := range n.items {
		c.items = append(c.items, p.copied(it, depth+1))
	}
	return &c
}
