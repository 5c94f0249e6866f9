package broker

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	manyMoved = 512                    // connections: fewer are not worth a collection
	trimPause = 250 * time.Millisecond // in which others may come or leave too
)

// trim gives memory back after many connections have come or gone. What it
// took to let them in is garbage that an idle process would keep until its heap
// has doubled, and a process that is left would stay as large as in its
// busiest moment.
type trim struct {
	sync.Mutex
	least, most int         // connections since the last time
	timer       *time.Timer // nil before the first time
	wait        sync.WaitGroup
}

// count is told how many connections there are after one has come or gone.
// shrink runs before memory is given back and, when many have gone, emptied
// after it.
func (t *trim) count(n int, shrink, emptied func()) {
	t.Lock()
	defer t.Unlock()
	t.least, t.most = min(t.least, n), max(t.most, n)
	gone := t.most >= manyMoved && n <= t.most/2
	if !gone && n < t.least+manyMoved {
		return
	}
	t.least, t.most = n, n
	if t.timer != nil && t.timer.Stop() {
		t.wait.Done()
	}
	t.wait.Add(1)
	t.timer = time.AfterFunc(trimPause, func() {
		defer t.wait.Done()
		shrink()
		runtime.GC() // what pools hold is let go by the second one
		debug.FreeOSMemory()
		if gone && emptied != nil {
			emptied()
		}
	})
}

// stop ends what is going on and waits for it.
func (t *trim) stop() {
	t.Lock()
	if t.timer != nil && t.timer.Stop() {
		t.wait.Done()
	}
	t.Unlock()
	t.wait.Wait()
}

// shrink makes the maps of connections and clients as small as what they hold:
// a map never shrinks by itself.
func (b *Broker) shrink() {
	b.serving.Lock()
	b.serving.conns = fitted(b.serving.conns)
	b.serving.Unlock()
	r := &b.hub.registry
	r.Lock()
	r.clients = fitted(r.clients)
	r.Unlock()
}

func fitted[K comparable, V any](m map[K]V) map[K]V {
	n := make(map[K]V, len(m))
	for k, v := range m {
		n[k] = v
	}
	return n
}
