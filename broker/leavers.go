package broker

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	manyLeft     = 512                    // connections: fewer are not worth a collection
	leaversPause = 250 * time.Millisecond // in which others may leave too
)

// leavers gives memory back after many connections have gone: without it the
// process would stay as large as its busiest moment.
type leavers struct {
	sync.Mutex
	most  int         // connections since the last time
	timer *time.Timer // nil before the first time
	wait  sync.WaitGroup
}

// left is told how many connections are left after one has ended. shrink runs
// before memory is given back and emptied after it.
func (l *leavers) left(n int, shrink, emptied func()) {
	l.Lock()
	defer l.Unlock()
	l.most = max(l.most, n)
	if l.most < manyLeft || n > l.most/2 {
		return
	}
	l.most = n
	if l.timer != nil && l.timer.Stop() {
		l.wait.Done()
	}
	l.wait.Add(1)
	l.timer = time.AfterFunc(leaversPause, func() {
		defer l.wait.Done()
		shrink()
		runtime.GC() // what pools hold is let go by the second one
		debug.FreeOSMemory()
		if emptied != nil {
			emptied()
		}
	})
}

// stop ends what is going on and waits for it.
func (l *leavers) stop() {
	l.Lock()
	if l.timer != nil && l.timer.Stop() {
		l.wait.Done()
	}
	l.Unlock()
	l.wait.Wait()
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
