package conn

import "time"

// pace holds a client to the rates of its listener. A client that is too fast
// is not read for a while: nothing is lost, and TCP tells it to wait.
type pace struct {
	messages, bytes allowance
	scarce          allowance // of bytes, while memory is short
	until           time.Time // nothing is worked off before
}

// What one client may publish a second while memory is so short that
// publishers have to wait: who sends more waits longer.
const (
	scarceLevel   = 3
	scarceRate    = 16 << 10 // bytes
	scarceMessage = 512      // what a message counts beside its bytes
	scarceWait    = time.Second
)

// allowance grows with time up to what one second brings, and may be
// overdrawn by one PUBLISH.
type allowance struct {
	rate, left float64 // a second; 0 is no limit
	at         time.Time
}

func newPace(now time.Time, l *Limits) *pace {
	if l.MessageRate == 0 && l.ByteRate == 0 {
		return nil
	}
	return &pace{
		messages: allowance{l.MessageRate, max(l.MessageRate, 1), now},
		bytes:    allowance{l.ByteRate, l.ByteRate, now},
	}
}

// spend takes n and returns how long the client has to wait for it.
func (a *allowance) spend(now time.Time, n float64) time.Duration {
	if a.rate == 0 {
		return 0
	}
	a.left = min(a.left+now.Sub(a.at).Seconds()*a.rate, max(a.rate, 1)) - n
	a.at = now
	if a.left >= 0 {
		return 0
	}
	return time.Duration(min(-a.left/a.rate*float64(time.Second), float64(24*time.Hour)))
}

// count counts a PUBLISH of size bytes.
func (c *Conn) count(now time.Time, size int) {
	short := c.cfg.Memory.Level() >= scarceLevel
	if c.pace == nil && short {
		c.pace = new(pace)
	}
	p := c.pace
	if p == nil {
		return
	}
	wait := max(p.messages.spend(now, 1), p.bytes.spend(now, float64(size)))
	if short {
		if p.scarce.rate == 0 {
			p.scarce = allowance{scarceRate, scarceRate, now}
		}
		wait = max(wait, min(p.scarce.spend(now, float64(size+scarceMessage)), scarceWait))
	}
	if wait > 0 {
		p.until = now.Add(wait)
		c.cfg.Counters.Throttled.Add(1)
	}
}

// rest is how long nothing of the client may be worked off.
func (c *Conn) rest(now time.Time) time.Duration {
	if c.pace == nil {
		return 0
	}
	return max(c.pace.until.Sub(now), 0)
}
