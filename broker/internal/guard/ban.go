package guard

import (
	"errors"
	"net/netip"
	"time"
)

// Ban keeps clients out. Each field that is set must match.
type Ban struct {
	Address  netip.Addr // of IPv6 the whole /64; not valid: any
	ClientID string     // empty: any
	User     string     // empty: any
	For      time.Duration
}

// Ban keeps matching clients out for a time. Without any condition, or when
// there are maxBans already, it fails.
func (g *Guard) Ban(now time.Time, b Ban) error {
	key := b.key()
	if key == (Ban{}) || b.For <= 0 {
		return errors.New("ban: a condition and a time are needed")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
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

// Unban ends a ban, whatever its For. It reports whether there was one.
func (g *Guard) Unban(now time.Time, b Ban) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.bans[b.key()]
	delete(g.bans, b.key())
	return ok && now.Before(until)
}

// Bans returns the bans that hold, those for flapping included; For is how
// long each still lasts.
func (g *Guard) Bans(now time.Time) (all []Ban) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for ban, until := range g.bans {
		if ban.For = until.Sub(now); ban.For > 0 {
			all = append(all, ban)
		}
	}
	return all
}

// Banned reports whether a ban keeps out who is known by these: a ban of a
// name does not match before the name is known.
func (g *Guard) Banned(now time.Time, a netip.Addr, id, user string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for b, until := range g.bans {
		if !now.Before(until) {
			delete(g.bans, b)
		} else if b.Matches(a, id, user) {
			return true
		}
	}
	return false
}

func (b Ban) key() Ban {
	b.For, b.Address = 0, Network(b.Address)
	return b
}

// Matches reports whether the ban is for who is known by these; a is a network.
func (b Ban) Matches(a netip.Addr, id, user string) bool {
	return (!b.Address.IsValid() || Network(b.Address) == a) && (b.ClientID == "" || b.ClientID == id) && (b.User == "" || b.User == user)
}
