package router

import (
	"math"

	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
)

// quotas are what users have retained since the process began, by the numbers
// in their messages. What the store had kept before that is nobody's: number 0.
type quotas struct {
	byUser map[string]uint16 // of who has something retained; "" is the gateway itself
	all    []quota
	free   []uint16
}

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
	n := r.quotas.byUser[user]
	if n == 0 || user == "" || len(r.quotas.byUser) == 1 {
		return false
	}
	q := &r.quotas.all[n]
	return 4*q.messages > r.retained.Len()-r.ownRetained || 4*q.bytes > r.retainedBytes
}

// scarce reports whether n messages in all, size bytes in all or more memory
// would be in the last eighth of the room.
func (r *Router) scarce(n int, size int64, more int) bool {
	l := &r.limits
	return n > l.RetainedMessages-l.RetainedMessages/8 || size > l.RetainedBytes-l.RetainedBytes/8 ||
		l.Memory.Last(memory.Retained, more)
}

// quotaOf is the number for a message of user, who is nobody if there are too
// many.
func (r *Router) quotaOf(user string) uint16 {
	q := &r.quotas
	n, ok := q.byUser[user]
	if ok {
		return n
	}
	if q.byUser == nil {
		q.byUser, q.all = make(map[string]uint16), make([]quota, 1)
	}
	switch last := len(q.free) - 1; {
	case last >= 0:
		n, q.free = q.free[last], q.free[:last]
	case len(q.all) <= math.MaxUint16:
		n, q.all = uint16(len(q.all)), append(q.all, quota{})
	default:
		return 0
	}
	q.byUser[user], q.all[n].user = n, user
	return n
}

// charge adds messages and bytes to a quota, or takes them back.
func (r *Router) charge(n uint16, messages, bytes int) {
	if n == 0 {
		return
	}
	q := &r.quotas.all[n]
	q.messages += messages
	q.bytes += int64(bytes)
	if q.messages == 0 {
		delete(r.quotas.byUser, q.user)
		q.user = ""
		r.quotas.free = append(r.quotas.free, n)
	}
}
