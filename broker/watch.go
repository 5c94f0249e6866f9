package broker

// watcher is told when a client comes and goes.
type watcher struct {
	id string
	f  func(connected bool)
}

// Watch calls f now and whenever the client with this Client Identifier
// connects or its connection ends, until stop is called; f may run a last time
// while stop does. It runs with a lock of the Broker: it must return at once
// and may not call the Broker.
func (b *Broker) Watch(id string, f func(connected bool)) (stop func()) {
	r := &b.hub.registry
	w := &watcher{id, f}
	r.Lock()
	defer r.Unlock()
	r.watchers = append(r.watchers, w)
	cl := r.clients[id]
	f(cl != nil && cl.endpoint != nil)
	return func() {
		r.Lock()
		defer r.Unlock()
		for i, x := range r.watchers {
			if x == w {
				r.watchers = append(r.watchers[:i:i], r.watchers[i+1:]...)
				return
			}
		}
	}
}

// tell is called with the registry's lock when id has connected or left.
func (h *hub) tell(id string, connected bool) {
	for _, w := range h.registry.watchers {
		if w.id == id {
			w.f(connected)
		}
	}
}
