package router

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// What is remembered of a topic races the tree while filters come and go.
func TestRoutesRaceTheTree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	filters := []string{"a", "a/b", "a/+", "a/#", "+/b", "#", "b", "b/#", "+/+"}
	names := []string{"a", "a/b", "b", "b/c", "c/d/e"}
	memos := make([]any, len(names))
	var tree routes
	remembered := 0
	for i := range 20000 {
		if r.IntN(8) == 0 {
			f := filters[r.IntN(len(filters))]
			if _, there := tree.Get(f); there {
				tree.remove(f)
			} else {
				tree.add(f)
			}
		}
		k := r.IntN(len(names))
		p := new(packet.Publication).Own(&mqtt.Message{Topic: names[k]})
		want := tree.find(p, nil)
		p.Memo = &memos[k]
		if old, ok := memos[k].(*route); ok && old.shape == tree.shape {
			remembered++
		}
		if got := tree.find(p, nil); !slices.Equal(got, want) {
			t.Fatalf("step %d, %s: %d filters, the tree has %d", i, names[k], len(got), len(want))
		}
	}
	if remembered < 1000 || met.n != 0 || met.shape != 0 {
		t.Errorf("%d of 20000 were remembered; met is %v", remembered, *met)
	}
}

// A topic that comes once costs no memory.
func TestRoutesOfManyTopics(t *testing.T) {
	var tree routes
	tree.add("#")
	p := new(packet.Publication).Own(&mqtt.Message{Topic: "a"})
	nodes := make([]*node, 0, 4)
	memo := any(nil)
	p.Memo = &memo
	if n := testing.AllocsPerRun(100, func() { memo = nil; nodes = tree.find(p, nodes[:0]) }); n > 0 {
		t.Errorf("%v allocations the first time", n)
	}
	tree.find(p, nodes[:0])
	if n := testing.AllocsPerRun(100, func() { tree.shape++; nodes = tree.find(p, nodes[:0]) }); n > 0 {
		t.Errorf("%v allocations when filters have changed", n)
	}
}
