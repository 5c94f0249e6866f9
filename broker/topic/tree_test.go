package topic

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// model is the dumb list the trees race.
type model map[string]int

func (m model) filters(name string) (got []string) {
	for f, v := range m {
		if Match(f, name) {
			got = append(got, fmt.Sprint(f, "=", v))
		}
	}
	slices.Sort(got)
	return got
}

func (m model) names(filter string) (got []string) {
	for n, v := range m {
		if Match(filter, n) {
			got = append(got, fmt.Sprint(n, "=", v))
		}
	}
	slices.Sort(got)
	return got
}

func matchFilters(t *Filters[int], name string) (got []string) {
	t.Match(name, func(f string, v int) { got = append(got, fmt.Sprint(f, "=", v)) })
	slices.Sort(got)
	return got
}

func matchNames(t *Names[int], filter string) (got []string) {
	t.Match(filter, func(n string, v int) bool { got = append(got, fmt.Sprint(n, "=", v)); return true })
	slices.Sort(got)
	return got
}

// words make topics that collide, differ by empty levels and start with $.
var words = []string{"a", "b", "", "$s", "aa", "+", "a", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "#"}

// op is one step of a race, drawn from fuzz bytes.
type op struct {
	kind  byte // 0, 1 set; 2 delete; 3 match
	topic string
	wild  string
}

// ops turns fuzz bytes into steps: a byte of kind and length, then a byte a
// level.
func ops(data []byte) (all []op) {
	for len(data) > 0 {
		head, n := data[0], 1+int(data[0]>>2&3)
		data = data[1:]
		n = min(n, len(data))
		var levels, wild []string
		for i, b := range data[:n] {
			w := words[b&15]
			if w == "#" && i < n-1 {
				w = "+"
			}
			wild = append(wild, w)
			levels = append(levels, strings.NewReplacer("+", "p", "#", "h").Replace(w))
		}
		data = data[n:]
		o := op{head & 3, strings.Join(levels, "/"), strings.Join(wild, "/")}
		if o.topic != "" && o.wild != "" {
			all = append(all, o)
		}
	}
	return all
}

func raceFilters(t *testing.T, data []byte) {
	var tree Filters[int]
	m := model{}
	for i, o := range ops(data) {
		step(t, &tree.tree, m, i, o.kind, o.wild)
		if got, want := matchFilters(&tree, o.topic), m.filters(o.topic); !slices.Equal(got, want) {
			t.Fatalf("step %d: match %q: got %q, want %q", i, o.topic, got, want)
		}
	}
	empty(t, &tree.tree, m)
}

func raceNames(t *testing.T, data []byte) {
	var tree Names[int]
	m := model{}
	for i, o := range ops(data) {
		step(t, &tree.tree, m, i, o.kind, o.topic)
		if got, want := matchNames(&tree, o.wild), m.names(o.wild); !slices.Equal(got, want) {
			t.Fatalf("step %d: match %q: got %q, want %q", i, o.wild, got, want)
		}
	}
	empty(t, &tree.tree, m)
}

func step(t *testing.T, tree *tree[int], m model, i int, kind byte, topic string) {
	was, had := m[topic]
	switch kind {
	case 0, 1:
		if old, replaced := tree.Set(topic, i); replaced != had || old != was {
			t.Fatalf("step %d: set %q: got %d, %t, want %d, %t", i, topic, old, replaced, was, had)
		}
		m[topic] = i
	case 2:
		if old, ok := tree.Delete(topic); ok != had || old != was {
			t.Fatalf("step %d: delete %q: got %d, %t, want %d, %t", i, topic, old, ok, was, had)
		}
		delete(m, topic)
	case 3:
		if v, ok := tree.Get(topic); ok != had || v != was {
			t.Fatalf("step %d: get %q: got %d, %t, want %d, %t", i, topic, v, ok, was, had)
		}
	}
	if tree.Len() != len(m) {
		t.Fatalf("step %d: length %d, want %d", i, tree.Len(), len(m))
	}
}

// empty checks that All lists the model and that deleting everything leaves
// no node behind.
func empty(t *testing.T, tree *tree[int], m model) {
	for topic, v := range tree.All() {
		if w, ok := m[topic]; !ok || v != w {
			t.Fatalf("All: %q = %d, want %d, %t", topic, v, w, ok)
		}
	}
	for topic := range m {
		tree.Delete(topic)
	}
	if r := &tree.root; r.first != nil || r.last != nil || r.children != 0 || r.index != nil || r.plus || r.hash {
		t.Fatalf("nodes are left after the last delete: %+v", r)
	}
}

func FuzzFilters(f *testing.F) { seeds(f); f.Fuzz(raceFilters) }
func FuzzNames(f *testing.F)   { seeds(f); f.Fuzz(raceNames) }

func seeds(f *testing.F) {
	f.Add([]byte("\x00\x00\x04\x00\x01\x08\x05\x00\x0f\x03\x00\x02\x00"))
	f.Add([]byte{4, 3, 15, 4, 15, 15, 0, 15, 7, 3, 1, 7, 0, 15})
	all := make([]byte, 0, 64)
	for i := range byte(16) {
		all = append(all, 4, i, 5, 4, 0, i)
	}
	f.Add(append(all, 2, 5, 6, 0, 5))
}
