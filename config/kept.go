package config

import (
	"slices"
	"sync"
	"weak"
)

// kept is the tree of a loaded configuration, for messages and places. Nobody
// asks for most of it for days, and it takes some hundred bytes a value: the
// collector may have it, and then the text is parsed again.
type kept struct {
	sources []*source // the main file, what it includes, what was set over them

	mu   sync.Mutex
	root weak.Pointer[node]
}

// tree returns the merged tree. It may be called at any time.
func (k *kept) tree() *node {
	k.mu.Lock()
	defer k.mu.Unlock()
	if root := k.root.Value(); root != nil {
		return root
	}
	var root *node
	for _, s := range k.sources {
		again := *s
		again.secrets = slices.Clip(s.secrets) // parsing adds to them
		part, _ := parse(&again)               // without mistakes, the first time
		root = merge(root, part)
	}
	k.root = weak.Make(root)
	return root
}
