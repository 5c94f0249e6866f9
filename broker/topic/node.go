package topic

import "iter"

// wide is how many children a node may have before it indexes them: the index of
// a device with ten values would take as much as its values' nodes.
const wide = 16

// node is one topic level of a tree. Its path is the topic from the root to
// here, a slice of the string of some topic at or below this node, so names
// cost their bytes once however deep they are.
type node[V any] struct {
	path  string
	value V

	parent, first, last, next, prev *node[V]
	index                           map[string]*node[V] // nil up to wide children

	start    uint16 // where this node's own level starts in path
	children uint8  // how many, while there is no index
	set      bool   // value counts
	plus     bool   // a child is "+"; only in Filters
	hash     bool   // a child is "#"; only in Filters
}

func (n *node[V]) level() string { return n.path[n.start:] }

func (n *node[V]) find(level string) *node[V] {
	if n.index != nil {
		return n.index[level]
	}
	for c := n.first; c != nil; c = c.next {
		if c.level() == level {
			return c
		}
	}
	return nil
}

func (n *node[V]) adopt(c *node[V]) {
	c.parent = n
	if c.prev = n.last; c.prev != nil {
		c.prev.next = c
	} else {
		n.first = c
	}
	n.last = c
	if n.index != nil {
		n.index[c.level()] = c
	} else if n.children++; n.children > wide {
		n.index, n.children = make(map[string]*node[V], 2*wide), 0
		for c := n.first; c != nil; c = c.next {
			n.index[c.level()] = c
		}
	}
	n.mark(c, true)
}

func (n *node[V]) disown(c *node[V]) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		n.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		n.last = c.prev
	}
	if n.index == nil {
		n.children--
	} else if delete(n.index, c.level()); len(n.index) <= wide/2 {
		n.index, n.children = nil, uint8(len(n.index))
	}
	n.mark(c, false)
}

func (n *node[V]) mark(c *node[V], present bool) {
	switch c.level() {
	case "+":
		n.plus = present
	case "#":
		n.hash = present
	}
}

// tree is what Filters and Names share: topics to values, a node a level.
type tree[V any] struct {
	root  node[V]
	len   int
	nodes int
}

// Nodes is the number of topic levels that the tree holds.
func (t *tree[V]) Nodes() int { return t.nodes }

// Len is the number of topics set.
func (t *tree[V]) Len() int { return t.len }

// Get returns the value set for exactly this topic.
func (t *tree[V]) Get(topic string) (v V, ok bool) {
	if n := t.lookup(topic); n != nil && n.set {
		return n.value, true
	}
	return v, false
}

// Set gives topic, which must be valid, the value v and returns the one it
// had. The tree keeps the string.
func (t *tree[V]) Set(topic string, v V) (old V, replaced bool) {
	n, fresh := &t.root, false
	for pos := 0; pos >= 0; {
		l, next := level(topic, pos)
		c := n.find(l)
		if fresh = c == nil; fresh {
			c = &node[V]{path: topic[:pos+len(l)], start: uint16(pos)}
			n.adopt(c)
			t.nodes++
		}
		n, pos = c, next
	}
	if n.set {
		old, n.value = n.value, v
		return old, true
	}
	if !fresh {
		n.keep(topic)
	}
	n.value, n.set = v, true
	t.len++
	return old, false
}

// Delete removes topic and every node that only it needed; it returns the
// value it had.
func (t *tree[V]) Delete(topic string) (old V, ok bool) {
	n := t.lookup(topic)
	if n == nil || !n.set {
		return old, false
	}
	var zero V
	old, n.value, n.set = n.value, zero, false
	t.len--
	for n.parent != nil && !n.set && n.first == nil {
		p := n.parent
		p.disown(n)
		t.nodes--
		n = p
	}
	// What is left of this path may still slice the deleted topic's string
	// and would keep it alive.
	for ; n.parent != nil && !n.set; n = n.parent {
		n.keep(n.first.path[:len(n.path)])
	}
	return old, true
}

// keep makes path, equal to what n has, the string n slices.
func (n *node[V]) keep(path string) {
	n.path = path
	if n.parent.index != nil {
		// Setting an entry again replaces its key too, which is of the old
		// string.
		n.parent.index[n.level()] = n
	}
}

func (t *tree[V]) lookup(topic string) *node[V] {
	n := &t.root
	for pos := 0; pos >= 0 && n != nil; {
		var l string
		l, pos = level(topic, pos)
		n = n.find(l)
	}
	return n
}

// All yields every topic with its value, parents first, siblings in the order
// they came. The tree must not change meanwhile.
func (t *tree[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for n := t.root.after(&t.root); n != nil; n = n.after(&t.root) {
			if n.set && !yield(n.path, n.value) {
				return
			}
		}
	}
}

// after is the node that follows n in a walk of the subtree under top, nil at
// its end.
func (n *node[V]) after(top *node[V]) *node[V] {
	if n.first != nil {
		return n.first
	}
	return n.past(top)
}

// past is after without n's own children.
func (n *node[V]) past(top *node[V]) *node[V] {
	for ; n != top; n = n.parent {
		if n.next != nil {
			return n.next
		}
	}
	return nil
}
