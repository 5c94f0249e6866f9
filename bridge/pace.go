package bridge

import (
	"math"
	"time"
)

// Pace bounds what a bridge sends. Zero is no bound.
type Pace struct {
	Messages float64 // messages/s: no second carries more
	Bytes    float64 // bytes of PUBLISH packets/s
	Daily    int64   // bytes of PUBLISH packets a day, in UTC; alarms go beyond
}

// pace says how long each lane waits before its next message. It is a value;
// time is an argument. The sender asks wait and tells sent; a server's answers
// come from another goroutine, so the shell holds a lock.
type pace struct {
	messages, bytes bucket
	catchup         throttle
	forced          bucket // of an operator, in place of catchup
	daily           int64
	day             usage
	seen            int64 // the day that the clock showed last, of day; negative: none yet
}

func newPace(o Pace) pace {
	return pace{messages: newBucket(o.Messages, 1), bytes: newBucket(o.Bytes, 0), daily: o.Daily, seen: -1}
}

// wait is how long a message of this lane waits. late says that it waited for
// the link, or comes of lane History: such messages also keep to the speed that
// the server can stand.
func (p *pace) wait(now time.Time, lane Lane, late bool) time.Duration {
	d := max(p.messages.wait(now), p.bytes.wait(now))
	switch {
	case !late || lane == Alarm:
	case p.forced.limit > 0:
		d = max(d, p.forced.wait(now))
	default:
		d = max(d, p.catchup.wait(now))
	}
	if lane != Alarm && p.daily > 0 && p.today(now) >= p.daily {
		d = max(d, untilMidnight(now))
	}
	return d
}

// sent counts a PUBLISH packet of size bytes.
func (p *pace) sent(now time.Time, size int, late bool) {
	p.messages.take(now, 1)
	p.bytes.take(now, float64(size))
	p.catchup.sent(now, late)
	if late {
		p.forced.take(now, 1)
	}
	p.today(now)
	p.day.Used += int64(size)
}

// today returns the bytes of the day.
func (p *pace) today(now time.Time) int64 {
	p.day, p.seen = p.day.on(now, p.seen), dayOf(now)
	return p.day.Used
}

// bucket is a token bucket that keeps a limit in every second, not only on
// average: what it fills and what it holds are together less than the limit.
// The level may go below zero, so that a message larger than the bucket passes
// and is paid for afterwards.
type bucket struct {
	limit float64 // per second; 0: none
	need  float64 // level at which the next may pass
	level float64
	at    time.Time
}

const (
	bucketRate  = 0.90 // of the limit
	bucketBurst = 0.05
)

func newBucket(limit, need float64) bucket { return bucket{limit: limit, need: need} }

func (b *bucket) burst() float64 { return max(b.limit*bucketBurst, b.need, 1) }

func (b *bucket) fill(now time.Time) {
	if b.at.IsZero() {
		b.level = b.burst()
	} else if d := now.Sub(b.at); d > 0 {
		b.level = min(b.burst(), b.level+d.Seconds()*b.limit*bucketRate)
	}
	b.at = now
}

func (b *bucket) wait(now time.Time) time.Duration {
	if b.limit <= 0 {
		return 0
	}
	b.fill(now)
	if b.level >= b.need {
		return 0
	}
	// Rounded up: waking a moment early would be a turn for nothing.
	return time.Duration(math.Ceil((b.need - b.level) / (b.limit * bucketRate) * 1e9))
}

func (b *bucket) take(now time.Time, n float64) {
	if b.limit > 0 {
		b.fill(now)
		b.level -= n
	}
}

// throttle is the speed of what waited: any, until the server shows that it is
// too much by Quota exceeded or by round trips that grow. Then it is half of
// what was sent, and a tenth more after each good second, until that is twice
// the speed at which the trouble began.
type throttle struct {
	bucket  bucket
	full    float64       // messages/s when the trouble began
	base    time.Duration // shortest round trip of this connection
	changed time.Time     // the rate, or its halving

	second time.Time // counted from here
	count  float64   // messages in it
	recent float64   // messages/s of the second before
}

const (
	slowTimes = 3                      // round trips that are so many times the shortest are a sign
	slowRTT   = 500 * time.Millisecond // but not below
)

func (t *throttle) wait(now time.Time) time.Duration {
	t.recover(now)
	return t.bucket.wait(now)
}

func (t *throttle) sent(now time.Time, late bool) {
	if late {
		t.bucket.take(now, 1)
	}
	if d := now.Sub(t.second); d >= time.Second {
		t.recent, t.count, t.second = t.count/d.Seconds(), 0, now
	}
	t.count++
}

// connected forgets the round trips of the connection before.
func (t *throttle) connected() { t.base = 0 }

// answered takes a round trip.
func (t *throttle) answered(now time.Time, rtt time.Duration) {
	if t.base == 0 || rtt < t.base {
		t.base = rtt
	}
	if rtt > slowRTT && rtt > slowTimes*t.base {
		t.slower(now)
	}
}

// slower halves the speed, at most once in a second.
func (t *throttle) slower(now time.Time) {
	if now.Sub(t.changed) < time.Second {
		return
	}
	rate := t.bucket.limit
	if rate == 0 {
		rate = max(t.recent, t.count)
		t.full = rate
	}
	t.bucket = newBucket(max(1, rate/2), 1)
	t.changed = now
}

// recover gives back a tenth for each second without trouble.
func (t *throttle) recover(now time.Time) {
	if t.bucket.limit == 0 {
		return
	}
	for now.Sub(t.changed) >= time.Second {
		t.changed = t.changed.Add(time.Second)
		t.bucket.limit *= 1.1
		if t.bucket.limit >= 2*t.full {
			t.bucket = bucket{}
			return
		}
	}
}

// usage is how many bytes were sent on one day in UTC. A clock that is behind, as after the
// start of a board without a battery, begins no day: what is sent belongs to the
// last one until the clock is there again, or goes through a midnight.
type usage struct {
	Day  int64 // days since 1970
	Used int64 // bytes
}

const day = 24 * time.Hour

func dayOf(now time.Time) int64 { return int64(math.Floor(float64(now.Unix()) / day.Seconds())) }

// on returns the usage of the day that now is in; seen is the day that the clock
// showed before, negative for none.
func (u usage) on(now time.Time, seen int64) usage {
	d := dayOf(now)
	if d > u.Day || d < u.Day && seen >= 0 && d > seen {
		return usage{Day: d}
	}
	return u
}

func untilMidnight(now time.Time) time.Duration {
	return now.UTC().Truncate(day).Add(day).Sub(now)
}
