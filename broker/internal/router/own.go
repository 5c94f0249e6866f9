package router

import (
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// own reports whether a topic is the server's account of itself. Such values
// are made anew by every process: the store does not record them, they take
// no room from the clients' retained messages, and do not count as published.
func own(topic string) bool { return strings.HasPrefix(topic, "$SYS/") }

// retainOwn sets or clears a retained value of the server; the caller holds the
// write lock.
func (r *Router) retainOwn(m *mqtt.Message) {
	_, had := r.retained.Get(m.Topic)
	if len(m.Payload) == 0 {
		if had {
			r.retained.Delete(m.Topic)
			r.ownRetained--
		}
		return
	}
	if !had {
		r.ownRetained++
	}
	r.retained.Set(m.Topic, m)
}
