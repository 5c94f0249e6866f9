package sntp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// Client keeps a clock right.
type Client struct {
	Clock   Clock
	Servers func() []string // names or addresses, the best first; asked anew each round
	Wake    <-chan struct{} // a round at once: the servers have changed
	File    string          // where the time is kept; empty: nowhere
	Logf    func(format string, args ...any)
	Problem func(text string) // that the time is not known, and what helps; an empty text: it is known

	// Ask asks one server; nil: by UDP, with Query.
	Ask func(ctx context.Context, server string) (Sample, error)

	banned map[string]time.Time // servers that do not want to be asked, until when
}

const (
	maxServers = 8
	timeout    = 3 * time.Second
	firstPause = 2 * time.Second  // after a round without a result; doubles
	lastPause  = 17 * time.Minute // between rounds, RFC 4330 10: not below 15 s
	keepEvery  = time.Hour        // what a board without a clock chip may be behind
	banFor     = 24 * time.Hour   // after a kiss of death
	stepAbove  = 500 * time.Millisecond
	tellAfter  = time.Minute // of pause: the rounds before it took as long
)

// Run keeps the clock until ctx ends, and then keeps the time in the file, of a
// clock that nobody has set too.
func (c *Client) Run(ctx context.Context) {
	if c.Ask == nil {
		c.Ask = func(ctx context.Context, server string) (Sample, error) { return Query(ctx, c.Clock, server) }
	}
	c.banned = map[string]time.Time{}
	keep := time.NewTicker(keepEvery)
	defer keep.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	pause, right := firstPause, false
	for {
		select {
		case <-ctx.Done():
			c.keep()
			return
		case <-keep.C:
			c.keep() // a clock that nobody set is behind, but goes on from there after a restart
			continue
		case <-c.Wake:
			pause = firstPause
		case <-next.C:
		}
		err := c.round(ctx)
		switch {
		case err == nil:
			if !right {
				c.keep()
			}
			right, pause = true, lastPause
			c.Problem("")
		case right:
			pause = lastPause // it runs on for a while by itself
		default:
			if pause = min(2*pause, lastPause); pause > tellAfter && !errors.Is(err, errNone) {
				c.Problem("No time server answers: the clock may be wrong, so that servers with TLS are refused and values have a wrong time. Name one that is reached in network.txt: ntp = ADDRESS")
			}
		}
		if err != nil && !errors.Is(err, errNone) && ctx.Err() == nil {
			c.Logf("time: %v; again in %v", err, pause)
		}
		next.Reset(pause)
	}
}

func (c *Client) keep() {
	if c.File == "" {
		return
	}
	if err := Keep(c.Clock, c.File); err != nil {
		c.Logf("keep the time: %v", err)
	}
}

var errNone = errors.New("no time server is known")

// round asks all servers, side by side, and sets the clock.
func (c *Client) round(ctx context.Context) error {
	servers := c.wanted()
	if len(servers) == 0 {
		return errNone
	}
	samples := make([]Sample, len(servers))
	failed := make([]error, len(servers))
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var all sync.WaitGroup
	for i, s := range servers {
		all.Go(func() { samples[i], failed[i] = c.Ask(ctx, s) })
	}
	all.Wait()
	var good []Sample
	for i, err := range failed {
		if err == nil {
			good = append(good, samples[i])
			continue
		}
		var kiss Kiss
		if errors.As(err, &kiss) {
			c.banned[servers[i]] = time.Now().Add(banFor)
			c.Logf("time: %s: %v: not asked again for %v", servers[i], err, banFor)
		}
	}
	if len(good) == 0 {
		return errors.Join(failed...)
	}
	offset, err := majority(good)
	if err != nil {
		return err
	}
	return c.set(offset, len(good))
}

// wanted are the servers to ask, without those that do not want it.
func (c *Client) wanted() []string {
	var out []string
	now := time.Now()
	for _, s := range c.Servers() {
		if now.After(c.banned[s]) && len(out) < maxServers {
			delete(c.banned, s)
			out = append(out, s)
		}
	}
	return out
}

func (c *Client) set(offset time.Duration, servers int) error {
	if offset.Abs() > stepAbove {
		c.Logf("time: the clock was wrong by %v (%d servers): set", offset, servers)
		return c.Clock.Step(offset)
	}
	return c.Clock.Slew(offset)
}

// Query asks one server for the time: a name, an address, or either with a
// port; the sample's offset is the clock's. It blocks until ctx ends at most.
func Query(ctx context.Context, clock Clock, server string) (Sample, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "123")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", server)
	if err != nil {
		return Sample{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	cookie := rand.Uint64()
	sent, begin := clock.Now(), time.Now()
	if _, err := conn.Write(request(cookie)); err != nil {
		return Sample{}, err
	}
	var buf [packetSize * 4]byte
	for {
		n, err := conn.Read(buf[:])
		elapsed := time.Since(begin) // by the monotonic clock
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return Sample{}, errors.New(server + " does not answer")
		}
		if err != nil {
			return Sample{}, err
		}
		s, err := reply(buf[:n], cookie, sent, elapsed)
		if errors.Is(err, errReply) {
			continue
		}
		return s, err
	}
}
