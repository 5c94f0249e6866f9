package broker

import (
	"errors"
	"net/netip"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

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

// Unban ends a ban, whatever its For. It reports whether there was one.
func (b *Broker) Unban(ban Ban) bool {
	g := &b.hub.guard
	g.Lock()
	defer g.Unlock()
	until, ok := g.bans[ban.key()]
	delete(g.bans, ban.key())
	return ok && time.Now().Before(until)
}

// Bans returns the bans that hold, those for flapping included; For is how
// long each still lasts.
func (b *Broker) Bans() (all []Ban) {
	now, g := time.Now(), &b.hub.guard
	g.Lock()
	defer g.Unlock()
	for ban, until := range g.bans {
		if ban.For = until.Sub(now); ban.For > 0 {
			all = append(all, ban)
		}
	}
	return all
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
