package api

import (
	"net"
	"net/netip"
	"os"
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

// Who guesses tokens is slowed down.
const (
	freeFailures = 5                // of an address
	waitAfter    = 30 * time.Second // for each attempt after these
	addresses    = 256              // that are remembered; more share one account
)

// door keeps account of callers on the port who could not prove who they are.
type door struct {
	sync.Mutex
	failed map[netip.Addr]failures
}

type failures struct {
	count int
	last  time.Time
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
	from := address(c.Conn.RemoteAddr())
	if wait := a.door.wait(from, time.Now()); wait > 0 {
		return problem(429, "too many wrong tokens: wait %d s", int(wait.Seconds())+1)
	}
	if t := knownToken(a.Config(), strings.TrimSpace(token)); t != nil && strings.EqualFold(scheme, "bearer") {
		c.User, c.role, c.proof = "token "+t.Name, roleNamed(t.Role), &login{token: t.Name}
		a.door.forget(from)
		return nil
	}
	a.door.fail(from, time.Now())
	a.Log.Warn("a wrong token over the API", "remote", from.String())
	return &Problem{401, "the token is not known", "tokens are in http.tokens of the configuration"}
}

// foreign refuses what a web page of another site had a browser send: under a
// name that was pointed at this machine (DNS rebinding), or across origins.
func foreign(c *call) *Problem {
	name := c.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	own, _ := os.Hostname()
	_, notAddress := netip.ParseAddr(name)
	if notAddress != nil && name != "localhost" && !strings.HasSuffix(name, ".local") && !strings.EqualFold(name, own) {
		return &Problem{403, "this machine has another name", "use its address, its host name or NAME.local"}
	}
	if c.Method == "GET" || c.Method == "HEAD" {
		return nil
	}
	site, origin := c.Header.Get("sec-fetch-site"), c.Header.Get("origin")
	_, page, _ := strings.Cut(origin, "://")
	if site == "same-origin" || site == "none" || site == "" && (origin == "" || page == c.Host) {
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

// wait is how long an address has to wait before its next attempt.
func (d *door) wait(from netip.Addr, now time.Time) time.Duration {
	d.Lock()
	defer d.Unlock()
	f := d.failed[d.account(from)]
	if f.count < freeFailures {
		return 0
	}
	return f.last.Add(waitAfter).Sub(now)
}

func (d *door) fail(from netip.Addr, now time.Time) {
	d.Lock()
	defer d.Unlock()
	if d.failed == nil {
		d.failed = make(map[netip.Addr]failures)
	}
	at := d.account(from)
	d.failed[at] = failures{d.failed[at].count + 1, now}
}

func (d *door) forget(from netip.Addr) {
	d.Lock()
	delete(d.failed, from)
	d.Unlock()
}

// account is under which address failures are counted: once very many
// addresses have failed, the others share one.
func (d *door) account(from netip.Addr) netip.Addr {
	if _, known := d.failed[from]; !known && len(d.failed) >= addresses {
		return netip.Addr{}
	}
	return from
}
