package auth

import (
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// grants are the rules for one user with one Client Identifier on one
// listener, in their order, templates filled in. They are constant.
type grants struct {
	state            *state
	listener, client string
	admin            bool
	// open: nothing is configured, everybody may do everything but what protects
	// the gateway itself.
	open               bool
	publish, subscribe []grant
	receive            []grant
	// own: receive is not the same as subscribe.
	own bool
	// misfit is the template of a rule that cannot be filled in; "" when all
	// can.
	misfit string
}

// grant is one filter of one rule.
type grant struct {
	filter string
	prefix string // literal beginning of the filter: most others are told by it
	deny   bool
	named  bool // an operator wrote it
	retain bool
	maxQoS mqtt.QoS
}

// compile collects what the rules say about one client.
func (s *state) compile(user, client, listener string) *grants {
	if !s.configured {
		return s.open
	}
	g := &grants{state: s, client: client, listener: listener, admin: user != "" && s.admins[user]}
	own, ruled := s.listeners[listener].rules, s.ruled(listener)
	for _, rules := range [][]Rule{own, s.rules} {
		for i := range rules {
			if rules[i].about(user, s.roles) {
				g.add(&rules[i], user)
			}
		}
	}
	if !ruled {
		everything := grant{filter: "#", retain: true, maxQoS: mqtt.ExactlyOnce}
		g.publish = append(g.publish, everything)
		g.subscribe = append(g.subscribe, everything)
		g.receive = append(g.receive, everything)
	}
	if g.admin {
		sys := grant{filter: "$SYS/#", prefix: "$SYS/", maxQoS: mqtt.ExactlyOnce}
		g.subscribe, g.receive = append(g.subscribe, sys), append(g.receive, sys)
	}
	return g
}

// ruled reports whether rules say what the clients of a listener may do.
func (s *state) ruled(listener string) bool {
	return len(s.rules) > 0 || len(s.listeners[listener].rules) > 0
}

// add appends the filters of a rule.
func (g *grants) add(r *Rule, user string) {
	fill := func(to []grant, filters []string) []grant {
		for _, f := range filters {
			bad := misfit(f, user, g.client)
			switch {
			case bad != "" && g.misfit == "":
				g.misfit = bad
				fallthrough
			case bad != "":
				if !r.Deny {
					continue
				}
				f = widen(f)
			default:
				f = expand(f, user, g.client)
			}
			prefix := f
			if i := strings.IndexAny(f, "+#"); i >= 0 {
				prefix = f[:i]
			}
			if strings.HasSuffix(f, "/#") {
				prefix = strings.TrimSuffix(prefix, "/") // "a/#" matches its parent "a"
			}
			to = append(to, grant{filter: f, prefix: prefix, deny: r.Deny, named: true, retain: r.Retain, maxQoS: r.MaxQoS})
		}
		return to
	}
	g.publish = fill(g.publish, r.Publish)
	g.subscribe = fill(g.subscribe, r.Subscribe)
	g.receive = fill(g.receive, r.receives())
	g.own = g.own || r.Receive != nil
}

// find returns the first grant that matches a Topic Name; nil without one.
func find(list []grant, name string) *grant {
	for i := range list {
		g := &list[i]
		if strings.HasPrefix(name, g.prefix) && (len(g.prefix) == len(g.filter) && len(name) == len(g.filter) || topic.Match(g.filter, name)) {
			return g
		}
	}
	return nil
}

var refused = Decision{Code: mqtt.NotAuthorized}

// decide answers one question.
func (g *grants) decide(a *Access) Decision {
	switch a.Action {
	case Publish:
		return g.mayPublish(a)
	case Subscribe:
		return g.maySubscribe(a.Topic)
	case Receive:
		if f := find(g.receive, a.Topic); g.open || f != nil && !f.deny {
			return Decision{MaxQoS: mqtt.ExactlyOnce}
		}
	}
	return refused
}

// mayPublish also keeps network clients from publishing below the gateway's
// base anything but commands, so that no reading, health or availability can
// be forged; a rule that names topics there, or any rule for an admin, allows
// it. Of topics that start with $ it can grant the state of the client's own
// connection.
func (g *grants) mayPublish(a *Access) Decision {
	base := g.state.base
	own := base != "" && strings.HasPrefix(a.Topic, base) && !strings.HasSuffix(a.Topic, "/set")
	if a.Topic == "" || a.Topic[0] == '$' && a.Topic != "$SYS/broker/connection/"+a.ClientID+"/state" {
		return refused
	}
	f := find(g.publish, a.Topic)
	switch {
	case f == nil:
		if !g.open || own {
			return refused
		}
		return Decision{MaxQoS: mqtt.ExactlyOnce}
	case f.deny || a.QoS > f.maxQoS || a.Retain && !f.retain:
		return refused
	case own && !(f.named && (g.admin || strings.HasPrefix(f.filter, base))):
		return refused
	}
	return Decision{MaxQoS: f.maxQoS}
}

// maySubscribe grants a filter when one rule covers all that it can match. A
// refusal in front of that rule that cuts into the filter makes each message
// a question of its own.
func (g *grants) maySubscribe(filter string) Decision {
	if g.open {
		return Decision{MaxQoS: mqtt.ExactlyOnce}
	}
	d := Decision{MaxQoS: mqtt.ExactlyOnce}
	granted := false
	for i := range g.subscribe {
		f := &g.subscribe[i]
		if !overlaps(f.filter, filter) {
			continue
		}
		whole := covers(f.filter, filter)
		if f.deny && whole {
			return refused
		}
		d.Each = d.Each || f.deny
		if !f.deny {
			d.MaxQoS = min(d.MaxQoS, f.maxQoS)
		}
		if granted = whole && !f.deny; granted {
			break
		}
	}
	if !granted {
		return refused
	}
	if g.own {
		some, all := g.readable(filter)
		if !some {
			return refused
		}
		d.Each = !all
	}
	return d
}

// readable says how much of what a filter can match may be delivered.
func (g *grants) readable(filter string) (some, all bool) {
	cut := false
	for i := range g.receive {
		f := &g.receive[i]
		if !overlaps(f.filter, filter) {
			continue
		}
		whole := covers(f.filter, filter)
		switch {
		case f.deny && whole:
			return some, false
		case f.deny:
			cut = true
		case whole:
			return true, !cut
		default:
			some = true
		}
	}
	return some, false
}
