package topic

// Filters is a tree of Topic Filters, found by the Topic Names that match
// them. The zero value is empty and ready. Filters must be valid and not
// shared (see ValidFilter and Share).
type Filters[V any] struct{ tree[V] }

// Match calls yield for every filter that matches the valid Topic Name name
// and does not allocate. The order is that of the tree. Yield must not change
// the tree.
func (t *Filters[V]) Match(name string, yield func(filter string, v V)) {
	if name == "" {
		return
	}
	n, pos := &t.root, 0
	// A leading wildcard does not match a name that starts with $
	// [MQTT-4.7.2-1].
	wild := name[0] != '$'
	for n != nil {
		// n stands for everything in front of pos, its "#" for all the rest.
		if n.hash && wild {
			yieldNode(n.find("#"), yield)
		}
		l, next := level(name, pos)
		c := n.literal(l)
		if c == nil && n.plus && wild {
			c = n.find("+")
		}
		for c != nil && next < 0 {
			yieldEnd(c, yield)
			c = c.other(n, wild)
		}
		if c != nil {
			n, pos, wild = c, next, true
			continue
		}
		n, pos, wild = n.back(name, pos)
	}
}

// back leaves n, whose children would have matched the level at pos, for the
// next node to look into.
func (n *node[V]) back(name string, pos int) (*node[V], int, bool) {
	for n.parent != nil {
		here := pos
		pos = before(name, pos)
		wild := pos > 0 || name[0] != '$'
		if c := n.other(n.parent, wild); c != nil {
			return c, here, true
		}
		n = n.parent
	}
	return nil, 0, false
}

// literal is find for a level of a Topic Name: a wildcard there is no wildcard.
func (n *node[V]) literal(level string) *node[V] {
	if level == "+" || level == "#" {
		return nil
	}
	return n.find(level)
}

// other is the second child of p that matches what n matched: "+" after the
// literal level.
func (n *node[V]) other(p *node[V], wild bool) *node[V] {
	if !wild || !p.plus || n.level() == "+" {
		return nil
	}
	return p.find("+")
}

// yieldEnd yields n, where the name ends, and n's "#", which matches the
// parent level too.
func yieldEnd[V any](n *node[V], yield func(string, V)) {
	yieldNode(n, yield)
	if n.hash {
		yieldNode(n.find("#"), yield)
	}
}

func yieldNode[V any](n *node[V], yield func(string, V)) {
	if n.set {
		yield(n.path, n.value)
	}
}
