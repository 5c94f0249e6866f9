package broker

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
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
	logins    map[login]*visitor
	flapping  map[string]*visitor // by Client Identifier
	bans      map[Ban]time.Time   // until when; For is zero in the key
}

// login is what an attempt says about itself. With a Client Identifier it is
// that of a client that proved itself before: others who fail do not hold it up.
type login struct {
	address netip.Addr
	name    string // User Name, or the Client Identifier where there is none
	client  string // Client Identifier; empty for all that are not known
}

// visitor is what is known about one address, login or Client Identifier.
type visitor struct {
	rate     bucket // of connections
	failures int    // in a row, or of a window
	since    time.Time
	until    time.Time // no attempt before
}

// Ban keeps clients out. Each field that is set must match.
type Ban struct {
	Address  netip.Addr // of IPv6 the whole /64; not valid: any
	ClientID string     // empty: any
	User     string     // empty: any
	For      time.Duration
}

// Ban keeps matching clients out for a time; those who are there are ended
// with 0x98. A client refused for it gets 0x8A. Without any condition, or when
// there are 4096 bans already, it fails.
func (b *Broker) Ban(ban Ban) error {
	if err := b.hub.guard.ban(time.Now(), ban); err != nil {
		return err
	}
	b.log.Warn("banned", "address", ban.Address, "client_id", ban.ClientID, "user", ban.User, "for", ban.For)
	for _, x := range b.hub.present() {
		if ban.matches(addressOf(x.remote), x.id, x.user) {
			x.endpoint.Kick(mqtt.AdministrativeAction)
		}
	}
	return nil
}

// Unban ends a ban, whatever its For.
func (b *Broker) Unban(ban Ban) {
	g := &b.hub.guard
	g.Lock()
	defer g.Unlock()
	delete(g.bans, ban.key())
}

func (b Ban) key() Ban {
	b.For, b.Address = 0, network(b.Address)
	return b
}

func (b Ban) matches(a netip.Addr, id, user string) bool {
	return (!b.Address.IsValid() || network(b.Address) == a) && (b.ClientID == "" || b.ClientID == id) && (b.User == "" || b.User == user)
}

func (g *guard) ban(now time.Time, b Ban) error {
	key := b.key()
	if key == (Ban{}) || b.For <= 0 {
		return errors.New("ban: a condition and a time are needed")
	}
	g.Lock()
	defer g.Unlock()
	if _, known := g.bans[key]; !known && len(g.bans) >= maxBans {
		for k, until := range g.bans {
			if !now.Before(until) {
				delete(g.bans, k)
			}
		}
		if len(g.bans) >= maxBans {
			return errors.New("ban: there are too many")
		}
	}
	if g.bans == nil {
		g.bans = make(map[Ban]time.Time)
	}
	g.bans[key] = now.Add(b.For)
	return nil
}

// banned reports whether a ban keeps out who is known by these: a ban of a
// name does not match before the name is known.
func (g *guard) banned(now time.Time, a netip.Addr, id, user string) bool {
	g.Lock()
	defer g.Unlock()
	for b, until := range g.bans {
		if !now.Before(until) {
			delete(g.bans, b)
		} else if b.matches(a, id, user) {
			return true
		}
	}
	return false
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
	if v := g.logins[who]; v != nil && who.client != "" {
		return !now.Before(v.until)
	}
	who.client = ""
	for _, v := range [...]*visitor{g.logins[who], g.addresses[who.address]} {
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
	if v := g.logins[who]; v != nil && who.client != "" {
		v.fail(now, free, penaltyMax)
		return
	}
	who.client = ""
	longest := penaltyMax
	if loopback(who.address) {
		longest = localPenalty
	}
	if !visit(&g.logins, who, now).fail(now, free, penaltyMax) {
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
	v := visit(&g.logins, who, now)
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
	v := visit(&g.flapping, id, now)
	if now.Sub(v.since) > l.FlappingWindow {
		v.failures, v.since = 0, now
	}
	v.failures++
	banned = v.failures > l.Flapping
	if banned {
		delete(g.flapping, id)
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

// addressOf is the network that a remote address "host:port" counts for; not
// valid for other transports.
func addressOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return network(ap.Addr())
}

func addressOfConn(nc net.Conn) netip.Addr {
	if b, ok := nc.(*listen.Bare); ok {
		return network(b.Remote().Addr())
	}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return network(a.AddrPort().Addr())
	}
	return netip.Addr{}
}

// network is the part of an address that one customer has.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64) // an IPv6 address has one
	return p.Addr()
}

// loopback reports whether a network is that of this machine.
func loopback(a netip.Addr) bool {
	return a.IsLoopback() || a == netip.IPv6Unspecified() // the /64 of ::1
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
