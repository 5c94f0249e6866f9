package bridge

import (
	"context"
	"errors"
)

// loose is an entry that no acknowledgement is waited for: it may go when the
// bytes up to end have left.
type loose struct {
	seq uint64
	end int64
}

// looseMost is how many messages of QoS 0 leave together.
const looseMost = 64

// settleLoose waits until everything has left that is of QoS 0, and takes it out
// of the queue. Without any it lets leave what was written.
func (l *link) settleLoose(ctx context.Context) error {
	if len(l.loose) == 0 {
		l.up.push()
		return nil
	}
	return errors.Join(l.up.sync(), l.sweep(ctx))
}

// sweep takes what has left out of the queue.
func (l *link) sweep(ctx context.Context) error {
	left, n := l.up.wire.left(), 0
	var seqs []uint64
	for n < len(l.loose) && l.loose[n].end <= left {
		seqs = append(seqs, l.loose[n].seq)
		n++
	}
	l.loose = append(l.loose[:0], l.loose[n:]...)
	return l.forget(ctx, seqs...)
}
