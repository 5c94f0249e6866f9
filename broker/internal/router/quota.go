package router

import "github.com/dunlin-mqtt/dunlin/broker/internal/memory"

// quota is what one user has retained since the process began; "" is the
// gateway itself. What the store had kept before that is nobody's.
type quota struct {
	user     string
	messages int
	bytes    int64
}

// greedy reports whether user has more than a quarter of what is retained, and
// is not the only one who has something. Such a user gets nothing of the last
// eighth of the room: else one that publishes to ever new topics would leave
// the others nothing.
func (r *Router) greedy(user string) bool {
	q := r.quotas[user]
	if q == nil || user == "" || len(r.quotas) == 1 {
		return false
	}
	return 4*q.messages > r.retained.Len()-r.ownRetained || 4*q.bytes > r.retainedBytes
}

// scarce reports whether n messages in all, size bytes in all or more memory
// would be in the last eighth of the room.
func (r *Router) scarce(n int, size int64, more int) bool {
	l := &r.limits
	return n > l.RetainedMessages-l.RetainedMessages/8 || size > l.RetainedBytes-l.RetainedBytes/8 ||
		l.Memory.Last(memory.Retained, more)
}

// quotaOf is the quota that a message of user goes to.
func (r *Router) quotaOf(user string) *quota {
	q := r.quotas[user]
	if q == nil {
		if r.quotas == nil {
			r.quotas = make(map[string]*quota)
		}
		q = &quota{user: user}
		r.quotas[user] = q
	}
	return q
}

// charge adds messages and bytes to q, or takes them back; nil is nobody.
func (r *Router) charge(q *quota, messages, bytes int) {
	if q == nil {
		return
	}
	q.messages += messages
	q.bytes += int64(bytes)
	if q.messages == 0 {
		delete(r.quotas, q.user)
	}
}
