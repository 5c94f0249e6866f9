package bridge

import "time"

// backoff is decorrelated jitter: each wait is drawn between the base and
// three times the last one, so that many gateways which lost the same server
// do not return together.
type backoff struct {
	last  time.Duration
	slow  bool                // last was for a person
	limit time.Duration       // 0: the caps below
	rand  func(n int64) int64 // uniform in [0, n)
}

// The bounds of the wait between attempts. A wrong password or certificate is
// cured by a person, so it is asked about less often.
const (
	backoffBase     = time.Second
	backoffCap      = 5 * time.Minute
	backoffSlowBase = 5 * time.Minute
	backoffSlowCap  = 10 * time.Minute
)

// next returns how long to wait before the attempt after a failure of class c.
func (b *backoff) next(c Class) time.Duration {
	base, limit := backoffBase, backoffCap
	was := b.slow
	if b.slow = c.slow(); b.slow {
		base, limit = backoffSlowBase, backoffSlowCap
	} else if was { // who has done his part
		b.last = 0
	}
	if b.limit > 0 {
		base, limit = min(base, b.limit), min(limit, b.limit)
	}
	top := max(3*b.last, base+base/2)
	b.last = min(limit, base+time.Duration(b.rand(int64(top-base)+1)))
	return b.last
}

// reset forgets the failures; called once a connection has been stable.
func (b *backoff) reset() { b.last = 0 }
