package broker

import (
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What the guard remembers, and how long those wait who cannot prove who they
// are.
const (
	maxVisitors = 4096 // addresses, logins and Client Identifiers, each
	maxBans     = 4096
	penaltyMax  = time.Minute
	// localPenalty is how long a loopback address as a whole waits at most: no
	// proxy or program of this machine is to lock out all others.
	localPenalty = time.Second
	// forgiveness is how long after the last failure the next one counts as
	// the first.
	forgiveness = 10 * time.Minute
	// namesPerAddress is how many User Names may use up their free attempts
	// before the whole address waits: behind it may be a proxy or a router
	// with many clients, one of which has a wrong password.
	namesPerAddress = 5
)

var (
	errBanned   = mqtt.Errorf(mqtt.Banned, "", "banned for a time")
	errTooOften = mqtt.Errorf(mqtt.ConnectionRateExceeded, "", "too many connections from this address")
	errPenalty  = mqtt.Errorf(mqtt.ConnectionRateExceeded, "", "too many failed attempts, wait a minute")
)

// guard keeps out who comes too often, fails too often, or was banned. It
// forgets when it is asked again, without a timer.
type guard struct {
	sync.Mutex
	addresses map[netip.Addr]*visitor
	logins    map[loginKey]*visitor
	flapping  map[uint64]*visitor // by Client Identifier
	seed      maphash.Seed        // of names: strangers choose them, and they may be long
	bans      map[Ban]time.Time   // until when; For is zero in the key
}

// login is what an attempt says about itself. With a Client Identifier it is
// that of a client that proved itself before: others who fail do not hold it up.
type login struct {
	address netip.Addr
	name    string // User Name, or the Client Identifier where there is none
	client  string // Client Identifier; empty for all that are not known
}

// loginKey is what is kept of a login.
type loginKey struct {
	address      netip.Addr
	name, client uint64
}

// short is what is kept of a name. The caller holds the lock.
func (g *guard) short(name string) uint64 {
	if g.seed == (maphash.Seed{}) {
		g.seed = maphash.MakeSeed()
	}
	return maphash.String(g.seed, name)
}

func (g *guard) key(who login) loginKey {
	return loginKey{who.address, g.short(who.name), g.short(who.client)}
}

// visitor is what is known about one address, login or Client Identifier.
type visitor struct {
	rate     bucket // of connections
	failures int    // in a row, or of a window
	since    time.Time
	until    time.Time // no attempt before
}

// mayConnect counts a connection of an address against its rate.
func (g *guard) mayConnect(now time.Time, a netip.Addr, perSecond float64) bool {
	if perSecond <= 0 || !a.IsValid() {
		return true
	}
	g.Lock()
	defer g.Unlock()
	v := visit(&g.addresses, a, now)
	if v.rate.rate != perSecond { // it came to another listener
		v.rate.resize(now, perSecond, connectBurst)
	}
	return v.rate.try(now)
}

// mayTry reports whether a login has waited long enough since it failed.
func (g *guard) mayTry(now time.Time, who login) bool {
	g.Lock()
	defer g.Unlock()
	if v := g.logins[g.key(who)]; v != nil && who.client != "" {
		return !now.Before(v.until)
	}
	who.client = ""
	for _, v := range [...]*visitor{g.logins[g.key(who)], g.addresses[who.address]} {
		if v != nil && now.Before(v.until) {
			return false
		}
	}
	return true
}

// failed counts an attempt that proved nothing: after some the login waits 1,
// 2, 4 ... 60 seconds before its next one is looked at. That is a known client
// alone, or all others of the name at the address; who tries many names there
// makes the address wait.
func (g *guard) failed(now time.Time, who login, free int) {
	if free < 0 || !who.address.IsValid() {
		return
	}
	g.Lock()
	defer g.Unlock()
	if v := g.logins[g.key(who)]; v != nil && who.client != "" {
		v.fail(now, free, penaltyMax)
		return
	}
	who.client = ""
	longest := penaltyMax
	if loopback(who.address) {
		longest = localPenalty
	}
	if !visit(&g.logins, g.key(who), now).fail(now, free, penaltyMax) {
		visit(&g.addresses, who.address, now).fail(now, free*namesPerAddress, longest)
	}
}

// proved remembers a client that proved who it is.
func (g *guard) proved(now time.Time, who login) {
	if !who.address.IsValid() || who.client == "" {
		return
	}
	g.Lock()
	defer g.Unlock()
	v := visit(&g.logins, g.key(who), now)
	v.failures, v.since = 0, now
}

// fail counts a failure. It reports true beyond those that are free, which are
// followed by longer and longer waits.
func (v *visitor) fail(now time.Time, free int, longest time.Duration) bool {
	if now.Sub(v.since) > forgiveness {
		v.failures = 0
	}
	v.since = now
	v.failures++
	if v.failures <= free {
		return false
	}
	v.until = now.Add(min(time.Second<<min(v.failures-free-1, 6), longest))
	return true
}

// flap counts a connection of a Client Identifier that ended badly; more than
// so many in a window are a ban for another one.
func (g *guard) flap(now time.Time, id string, l *Limits) (banned bool) {
	if l.Flapping == 0 {
		return false
	}
	g.Lock()
	k := g.short(id)
	v := visit(&g.flapping, k, now)
	if now.Sub(v.since) > l.FlappingWindow {
		v.failures, v.since = 0, now
	}
	v.failures++
	banned = v.failures > l.Flapping
	if banned {
		delete(g.flapping, k)
	}
	g.Unlock()
	return banned && g.ban(now, Ban{ClientID: id, For: l.FlappingWindow}) == nil
}

// visit finds or makes the visitor k. When there are too many, some are
// forgotten: those who are not waiting for anything first.
func visit[K comparable](all *map[K]*visitor, k K, now time.Time) *visitor {
	if v := (*all)[k]; v != nil {
		return v
	}
	if *all == nil {
		*all = make(map[K]*visitor)
	}
	if len(*all) >= maxVisitors {
		forget(*all, now)
	}
	v := &visitor{since: now}
	(*all)[k] = v
	return v
}

func forget[K comparable](all map[K]*visitor, now time.Time) {
	for k, v := range all {
		if !now.Before(v.until) && now.Sub(v.since) > forgiveness {
			delete(all, k)
		}
	}
	for k := range all { // many at once, so that this is rare
		if len(all) < maxVisitors*3/4 {
			return
		}
		delete(all, k)
	}
}

// connectRate is what an address may connect a second; a is a network.
func (l *listener) connectRate(a netip.Addr) float64 {
	if loopback(a) {
		return l.limits.LocalConnectRate
	}
	return l.limits.ConnectRate
}

// mayEnter decides about a connection before a byte of it is read; a client
// behind a proxy is judged when its name is known.
func (l *listener) mayEnter(nc net.Conn) mqtt.ReasonCode {
	if l.proxied {
		return mqtt.Success
	}
	now, a := time.Now(), addressOfConn(nc)
	switch {
	case l.guard.banned(now, a, "", ""):
		return mqtt.Banned
	case !l.guard.mayConnect(now, a, l.connectRate(a)):
		return mqtt.ConnectionRateExceeded
	}
	return mqtt.Success
}
