package topic

// Names is a tree of Topic Names, found by the Topic Filters that match them.
// The zero value is empty and ready.
type Names[V any] struct{ tree[V] }

// Match calls yield for every name that matches the valid, not shared Topic
// Filter filter until yield returns false. A leading wildcard does not find
// names that start with $ [MQTT-4.7.2-1]. Yield must not change the tree.
func (t *Names[V]) Match(filter string, yield func(name string, v V) bool) {
	if filter == "" {
		return
	}
	var few [16]string
	levels := split(few[:0], filter)
	n, depth := &t.root, 0
	for {
		var c *node[V]
		switch levels[depth] {
		case "#":
			if !n.all(yield) {
				return
			}
		case "+":
			c = n.first.visible()
		default:
			c = n.find(levels[depth])
		}
		for c != nil && depth == len(levels)-1 {
			if c.set && !yield(c.path, c.value) {
				return
			}
			c = c.another(levels[depth])
		}
		for c == nil {
			if n.parent == nil {
				return
			}
			depth--
			n, c = n.parent, n.another(levels[depth])
		}
		n, depth = c, depth+1
	}
}

// split appends the levels of filter to levels.
func split(levels []string, filter string) []string {
	for pos := 0; pos >= 0; {
		var l string
		l, pos = level(filter, pos)
		levels = append(levels, l)
	}
	return levels
}

// another is the next sibling of n that the filter level matches as well.
func (n *node[V]) another(level string) *node[V] {
	if level != "+" {
		return nil
	}
	return n.next.visible()
}

// visible is n or its first sibling behind it that a wildcard may find.
func (n *node[V]) visible() *node[V] {
	for n != nil && n.hidden() {
		n = n.next
	}
	return n
}

// hidden reports whether n is a first level that starts with $.
func (n *node[V]) hidden() bool {
	return n.parent.parent == nil && n.path != "" && n.path[0] == '$'
}

// all yields n and everything below it, as "#" behind n's path matches, and
// reports whether to go on.
func (n *node[V]) all(yield func(string, V) bool) bool {
	if n.set && !yield(n.path, n.value) {
		return false
	}
	for m := n.after(n); m != nil; {
		if m.hidden() {
			m = m.past(n)
			continue
		}
		if m.set && !yield(m.path, m.value) {
			return false
		}
		m = m.after(n)
	}
	return true
}
