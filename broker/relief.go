package broker

import (
	"context"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// While memory is short.
const (
	reliefPause = 100 * time.Millisecond // from one client that has to give up something to the next
	freePause   = 30 * time.Second       // from one return of memory to the system to the next
	fallPause   = 2 * time.Second        // from when much was let go to that
	slowOutput  = 16 << 10               // bytes that make a client a slow consumer
)

// relieve does what the level of the account asks for beyond what every
// connection does itself, until ctx ends. It sleeps while memory is enough.
func (b *Broker) relieve(ctx context.Context) {
	m := b.hub.memory
	defer watchHeap(m, b.opts.MemoryLimit)()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var free time.Time // when memory may be given back again
	level, owing := 0, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.Changed():
		case <-timer.C:
		}
		now, before := time.Now(), level
		if level = m.Level(); level != before {
			b.sayLevel(before, level)
			owing = true
		}
		if m.Fell() && level == 0 { // others will leave too
			owing = true
			free = later(free, now.Add(fallPause))
		}
		if level > 0 {
			b.hub.shed(level)
		}
		if owing && !now.Before(free) {
			b.giveBack(level == 0)
			free, owing = now.Add(freePause), level > 0
		}
		switch {
		case level >= 3:
			timer.Reset(reliefPause)
		case owing:
			timer.Reset(free.Sub(now))
		}
	}
}

// giveBack returns memory to the system: when it is short what there is at
// once, when it is short no more all that there is.
func (b *Broker) giveBack(all bool) {
	if all {
		b.shrink()
		runtime.GC() // what pools hold is let go by the second one
	}
	debug.FreeOSMemory()
	if all && b.opts.Emptied != nil {
		b.opts.Emptied()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sayLevel tells people that the level has changed.
func (b *Broker) sayLevel(before, level int) {
	m := b.hub.memory
	say := b.log.Info
	if level > before {
		say = b.log.Warn
	}
	say("memory is short", "level", level, "before", before, "held", m.Total(), "budget", m.Budget())
	if b.opts.SysInterval > 0 {
		m := &mqtt.Message{Topic: sysMemory + "level", Payload: strconv.AppendInt(nil, int64(level), 10), Retain: true}
		b.hub.router.Publish(time.Now(), new(packet.Publication).Own(m))
	}
}

// shed lets sessions give up what the level asks for. From level 3 on, the one
// that holds most gives up half of what waits, and the slowest consumer is
// disconnected.
func (h *hub) shed(level int) {
	r := &h.registry
	r.Lock()
	var slowest *conn.Conn
	var largest *conn.Peer
	most, behind := 0, slowOutput
	for _, cl := range r.clients {
		p := cl.peer
		p.Shed(min(level, 2))
		bytes := p.InMemory()
		if cl.owner != gateway && bytes > most && (level >= 4 || !p.Durable()) {
			largest, most = p, bytes
		}
		if c, ok := cl.endpoint.(*conn.Conn); ok && c.Output() > 0 && c.Output()+bytes > behind {
			slowest, behind = c, c.Output()+bytes
		}
	}
	r.Unlock()
	if h.durable != nil {
		h.durable.Relieve()
	}
	if level < 3 {
		return
	}
	if largest != nil {
		if n := largest.Shed(level); n > 0 {
			h.log.Warn("messages given up: memory is short", "client_id", largest.ClientID(), "messages", n)
		}
	}
	if slowest != nil {
		h.slowEnded.Add(1)
		slowest.Kick(mqtt.QuotaExceeded)
	}
}

// watchHeap tells m after collections how large the heap may grow until the
// next one, of limit bytes, until stop is called.
func watchHeap(m *memory.Account, limit int64) (stop func()) {
	if limit <= 0 {
		return func() {}
	}
	stopped := new(atomic.Bool) // not w: it must be garbage
	w := &heapWatch{account: m, limit: limit, stopped: stopped}
	runtime.SetFinalizer(w, (*heapWatch).collected)
	return func() { stopped.Store(true) }
}

// heapWatch is garbage at all times: its finalizer runs after each collection.
type heapWatch struct {
	account *memory.Account
	limit   int64 // bytes
	stopped *atomic.Bool
	last    time.Time
}

func (w *heapWatch) collected() {
	if w.stopped.Load() {
		return
	}
	if now := time.Now(); now.Sub(w.last) >= reliefPause { // looking stops the world for a moment
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		w.account.Heap(int64(s.NextGC), w.limit)
		w.last = now
	}
	runtime.SetFinalizer(w, (*heapWatch).collected)
}
