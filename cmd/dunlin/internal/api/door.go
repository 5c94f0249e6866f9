package api

import (
	"hash/maphash"
	"maps"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// role is what a caller may do; each may what the ones before may.
type role byte

const (
	open   role = iota // anybody
	viewer             // look
	admin              // act
)

func (r role) String() string { return [...]string{"open", "viewer", "admin"}[r] }

// Who guesses is slowed down.
const (
	freeFailures    = 5                // of a user name, or of tokens, from an address
	namesPerAddress = 5                // that may use these up before the address waits, whatever the name
	waitAfter       = 30 * time.Second // for each attempt after these
	localWait       = time.Second      // of loopback as a whole: behind it may be a proxy with all callers
	forgiveness     = 10 * time.Minute // after which a failure is the first one again
	attempts        = 1024             // that are remembered
)

// door keeps account of callers on the port who could not prove who they are.
type door struct {
	sync.Mutex
	seed   maphash.Seed
	failed map[attempt]failures
}

// attempt is an address, a name there, or with a secret one that was right
// there: it does not wait for others who fail.
type attempt struct {
	from         netip.Addr
	name, secret uint64
}

type failures struct {
	count int
	last  time.Time
}

// tooMany sends somebody who guesses away.
func (c *call) tooMany(what string, wait time.Duration) *Problem {
	seconds := strconv.Itoa(int(wait.Seconds()) + 1)
	c.w.Set("Retry-After", seconds)
	return problem(429, "too many wrong %s: wait %s s", what, seconds)
}

// admit says who a caller on the port is, or why it is not let in.
func (a *API) admit(c *call) *Problem {
	if p := foreign(c); p != nil {
		return p
	}
	scheme, token, _ := strings.Cut(c.Header.Get("authorization"), " ")
	if scheme == "" {
		a.recognize(c)
		return nil
	}
	from, token := address(c.Conn.RemoteAddr()), strings.TrimSpace(token)
	if wait := a.door.wait(from, "", token, time.Now()); wait > 0 {
		return c.tooMany("tokens", wait)
	}
	if t := knownToken(a.Config(), token); t != nil && strings.EqualFold(scheme, "bearer") {
		c.User, c.role, c.proof = "token "+t.Name, roleNamed(t.Role), &login{token: t.Name}
		a.door.proved(from, "", token, time.Now())
		return nil
	}
	a.door.fail(from, "", token, time.Now())
	a.Log.Warn("a wrong token over the API", "remote", from.String())
	return &Problem{401, "the token is not known", "tokens are in http.tokens of the configuration"}
}

// foreign refuses what a web page of another site had a browser send: under a
// name that was pointed at this machine (DNS rebinding), or across origins. A
// request without Host, as load balancers ask by HTTP/1.0, is no browser's.
func foreign(c *call) *Problem {
	name := c.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	own, _ := os.Hostname()
	_, notAddress := netip.ParseAddr(name)
	if c.Host != "" && notAddress != nil && name != "localhost" && !strings.HasSuffix(name, ".local") && !strings.EqualFold(name, own) {
		return &Problem{403, "this machine has another name", "use its address, its host name or NAME.local"}
	}
	if c.Method == "GET" || c.Method == "HEAD" {
		return nil
	}
	site, origin := c.Header.Get("sec-fetch-site"), c.Header.Get("origin")
	_, page, _ := strings.Cut(origin, "://")
	if site == "same-origin" || site == "none" || site == "" && (origin == "" || page == c.Host && page != "") {
		return nil
	}
	return problem(403, "pages of other sites may not act here")
}

// address is the other side's; of IPv6 the network, which one host may fill.
func address(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := tcp.AddrPort().Addr().Unmap()
	if ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.Addr()
	}
	return ip
}

// key is what is remembered of a secret; without the secret that of its name,
// without both that of the address. The caller holds the lock.
func (d *door) key(from netip.Addr, name, secret string) attempt {
	if d.failed == nil {
		d.seed, d.failed = maphash.MakeSeed(), make(map[attempt]failures)
	}
	return attempt{from, maphash.String(d.seed, name), maphash.String(d.seed, secret)}
}

// wait is how long the next attempt has to wait.
func (d *door) wait(from netip.Addr, name, secret string, now time.Time) time.Duration {
	d.Lock()
	defer d.Unlock()
	at := d.key(from, name, secret)
	if _, known := d.failed[at]; known {
		return 0
	}
	longest := waitAfter
	if from.IsLoopback() {
		longest = localWait
	}
	at.secret = 0
	return max(d.failed[at].wait(freeFailures, waitAfter, now), d.failed[attempt{from: from}].wait(freeFailures*namesPerAddress, longest, now))
}

func (f failures) wait(free int, longest time.Duration, now time.Time) time.Duration {
	if f.count < free {
		return 0
	}
	return f.last.Add(longest).Sub(now)
}

func (d *door) fail(from netip.Addr, name, secret string, now time.Time) {
	d.Lock()
	defer d.Unlock()
	at := d.key(from, name, secret)
	delete(d.failed, at) // it was right once
	at.secret = 0
	for _, at := range [...]attempt{at, {from: from}} {
		f := d.failed[at]
		if now.Sub(f.last) > forgiveness {
			f.count = 0
		}
		d.remember(at, failures{f.count + 1, now})
	}
}

// proved lets the secret in from there while others fail.
func (d *door) proved(from netip.Addr, name, secret string, now time.Time) {
	d.Lock()
	defer d.Unlock()
	d.remember(d.key(from, name, secret), failures{last: now})
}

// remember makes room: first what is forgiven, then whatever comes.
func (d *door) remember(at attempt, f failures) {
	if _, there := d.failed[at]; !there && len(d.failed) >= attempts {
		maps.DeleteFunc(d.failed, func(_ attempt, was failures) bool { return f.last.Sub(was.last) > forgiveness })
		for old := range d.failed {
			if len(d.failed) < attempts {
				break
			}
			delete(d.failed, old)
		}
	}
	d.failed[at] = f
}
