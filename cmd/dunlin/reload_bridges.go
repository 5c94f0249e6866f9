package main

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
)

// countFor is how long a plan counts what waits; a spool may be larger than what a
// card reads in that time.
const countFor = 5 * time.Second

// What a plan says becomes of messages that wait.
const (
	givenUp    = "given up"
	outOfOrder = "may change places with what comes"
)

// spools says of each bridge whose routes change what that means for the messages
// that wait for it: how many none of the routes of next takes, which go with the
// reload, and how many wait in another lane than those of their topic will. A
// bridge that goes, or has no routes any more, leaves its spool as it is.
func (g *gateway) spools(now, next *config.Config) (changes []api.Change) {
	until := time.Now().Add(countFor)
	for _, b := range g.bridgeList() {
		named := func(c config.Bridge) bool { return c.Name == b.Name() }
		i, j := slices.IndexFunc(now.Bridges, named), slices.IndexFunc(next.Bridges, named)
		if i < 0 || j < 0 || len(next.Bridges[j].Out) == 0 {
			continue
		}
		out := next.Bridges[j].Out
		same := func(a, b config.OutRoute) bool { return a.From == b.From && a.Lane == b.Lane }
		if slices.EqualFunc(now.Bridges[i].Out, out, same) {
			continue
		}
		unwanted, moved, atLeast := 0, 0, ""
		b.Spool(0, func(l bridge.Letter) bool {
			r := slices.IndexFunc(out, func(r config.OutRoute) bool { return topic.Match(string(r.From), l.Message.Topic) })
			if r < 0 {
				unwanted++
			} else if out[r].Lane != l.Lane.String() {
				moved++
			}
			if time.Now().After(until) {
				atLeast = "at least "
			}
			return atLeast == ""
		})
		tell := func(n int, what, becomes string) {
			if n > 0 {
				changes = append(changes, api.Change{Path: "bridges." + b.Name() + ".spool", Effect: live, Old: atLeast + messages(n) + what, New: becomes})
			}
		}
		tell(unwanted, " waiting that no route takes any more", givenUp)
		tell(moved, " waiting in another lane than their topic's", outOfOrder)
	}
	return changes
}

// changeBridges stops and starts the bridges that are different; their spools
// stay.
func (g *gateway) changeBridges(now, next *config.Config, changed map[string]bool) error {
	paused := map[string]bool{}
	for _, b := range now.Bridges {
		if changed["bridges."+b.Name] {
			paused[b.Name] = g.removeBridge(b.Name)
			same := func(o config.Bridge) bool { return o.Name == b.Name && o.ClientID == b.ClientID }
			if slices.ContainsFunc(next.Bridges, same) {
				continue
			}
			if err := forgetBridgeSys(g.broker, b.Name, b.ClientID, next.Bridges); err != nil {
				return fmt.Errorf("bridges.%s: %w", b.Name, err)
			}
		}
	}
	for _, b := range next.Bridges {
		if !changed["bridges."+b.Name] {
			continue
		}
		if err := g.wireBridge(next, b, paused[b.Name], &g.deps); err != nil {
			return fmt.Errorf("bridges.%s: %w", b.Name, err)
		}
	}
	for _, q := range g.queues {
		if q.user == "" { // of a bridge or a lane that is gone: it takes nothing more, and keeps what it has
			if err := q.Refit(nil, nil); err != nil {
				return err
			}
		}
	}
	g.links.Lock()
	defer g.links.Unlock()
	sort.Slice(g.bridges, func(i, j int) bool { return g.bridges[i].Name() < g.bridges[j].Name() })
	return nil
}

// addBridge makes a bridge one of the gateway's.
func (g *gateway) addBridge(b *bridge.Bridge, p part) {
	g.links.Lock()
	g.bridges = append(g.bridges, b)
	g.links.Unlock()
	g.links.add(p)
}

// removeBridge ends a bridge, and reports whether it was paused; its queues take
// messages meanwhile.
func (g *gateway) removeBridge(name string) (paused bool) {
	g.links.remove("bridge " + name)
	g.links.Lock()
	g.bridges = slices.DeleteFunc(slices.Clone(g.bridges), func(b *bridge.Bridge) bool {
		paused = paused || b.Name() == name && b.Paused()
		return b.Name() == name
	})
	g.links.Unlock()
	for _, q := range g.queues {
		if q.user == name {
			q.user = ""
		}
	}
	return paused
}

// bridgeList returns the bridges of now.
func (g *gateway) bridgeList() []*bridge.Bridge {
	g.links.Lock()
	defer g.links.Unlock()
	return slices.Clone(g.bridges)
}

// spool is a queue with the name of the bridge that empties it, "" for none.
type spool struct {
	*broker.Queue
	user string
}

// attachQueue returns the queue of that name for a new bridge: the one that
// an earlier bridge left, with what is in it, or a new one.
func (g *gateway) attachQueue(user string, o broker.QueueOptions) (*broker.Queue, error) {
	if q := g.queues[o.Name]; q != nil {
		q.user = user
		q.Bound(o.MaxBytes, o.MaxAge, o.Overflow)
		return q.Queue, q.Refit(o.Filters, o.Intake)
	}
	q, err := g.broker.AttachQueue(o)
	if err == nil {
		g.queues[o.Name] = &spool{q, user}
	}
	return q, err
}
