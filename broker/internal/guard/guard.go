package guard

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// What a Guard remembers, and how long those wait who cannot prove who they
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

// Guard keeps out who comes too often, fails too often, or was banned. The zero
// value is ready. It forgets when it is asked again.
type Guard struct {
	mu        sync.Mutex
	addresses map[netip.Addr]*visitor
	logins    map[loginKey]*visitor
	flapping  map[uint64]*visitor // by Client Identifier
	seed      maphash.Seed        // of names: strangers choose them, and they may be long
	bans      map[Ban]time.Time   // until when; For is zero in the key
}

// Login is what an attempt says about itself. With a Client Identifier it is
// that of a client that proved itself before: others who fail do not hold it up.
type Login struct {
	Address netip.Addr // a network
	Name    string     // User Name, or the Client Identifier where there is none
	Client  string     // Client Identifier; empty for all that are not known
}

// loginKey is what is kept of a Login.
type loginKey struct {
	address      netip.Addr
	name, client uint64
}

// short is what is kept of a name. The caller holds the lock.
func (g *Guard) short(name string) uint64 {
	if g.seed == (maphash.Seed{}) {
		g.seed = maphash.MakeSeed()
	}
	return maphash.String(g.seed, name)
}

func (g *Guard) key(who Login) loginKey {
	return loginKey{who.Address, g.short(who.Name), g.short(who.Client)}
}

// visitor is what is known about one address, login or Client Identifier.
type visitor struct {
	rate     bucket // of connections
	failures int    // in a row, or of a window
	since    time.Time
	until    time.Time // no attempt before
}

// MayConnect counts a connection of a network against its rate.
func (g *Guard) MayConnect(now time.Time, a netip.Addr, perSecond float64) bool {
	if perSecond <= 0 || !a.IsValid() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v := visit(&g.addresses, a, now)
	if v.rate.rate != perSecond { // it came to another listener
		v.rate.resize(now, perSecond, connectBurst)
	}
	return v.rate.try(now)
}

// MayTry reports whether a login has waited long enough since it failed.
func (g *Guard) MayTry(now time.Time, who Login) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.logins[g.key(who)]; v != nil && who.Client != "" {
		return !now.Before(v.until)
	}
	who.Client = ""
	for _, v := range [...]*visitor{g.logins[g.key(who)], g.addresses[who.Address]} {
		if v != nil && now.Before(v.until) {
			return false
		}
	}
	return true
}

// Failed counts an attempt that proved nothing: after some the login waits 1,
// 2, 4 ... 60 seconds before its next one is looked at. That is a known client
// alone, or all others of the name at the address; who tries many names there
// makes the address wait.
func (g *Guard) Failed(now time.Time, who Login, free int) {
	if free < 0 || !who.Address.IsValid() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.logins[g.key(who)]; v != nil && who.Client != "" {
		v.fail(now, free, penaltyMax)
		return
	}
	who.Client = ""
	longest := penaltyMax
	if Loopback(who.Address) {
		longest = localPenalty
	}
	if !visit(&g.logins, g.key(who), now).fail(now, free, penaltyMax) {
		visit(&g.addresses, who.Address, now).fail(now, free*namesPerAddress, longest)
	}
}

// Proved remembers a client that proved who it is.
func (g *Guard) Proved(now time.Time, who Login) {
	if !who.Address.IsValid() || who.Client == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
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

// Flap counts a connection of a Client Identifier that ended badly; more than
// most in a window are a ban for another one. It reports whether they were.
func (g *Guard) Flap(now time.Time, id string, most int, window time.Duration) (banned bool) {
	g.mu.Lock()
	k := g.short(id)
	v := visit(&g.flapping, k, now)
	if now.Sub(v.since) > window {
		v.failures, v.since = 0, now
	}
	v.failures++
	banned = v.failures > most
	if banned {
		delete(g.flapping, k)
	}
	g.mu.Unlock()
	return banned && g.Ban(now, Ban{ClientID: id, For: window}) == nil
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
