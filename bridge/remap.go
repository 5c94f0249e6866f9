package bridge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// route is a compiled Route.
type route struct {
	filter   string   // From
	from, to []string // levels
	qos      mqtt.QoS // cap; ExactlyOnce: none
	strip    bool
	lane     Lane
	ttl      time.Duration
	keep     Keep
	// head and toHead are what stands before the '#' of From and To when that
	// is their only wildcard: the usual route needs no levels.
	head, toHead string
	number       int // among the routes of its side
	size         int // largest payload in bytes; 0: any
	batch        Batch
	toName       string // To
}

// Validate reports what is wrong with the route: a malformed filter, or a To
// whose wildcards are not those of From.
func (r Route) Validate() error {
	_, err := compile(r)
	return err
}

func compile(r Route) (route, error) {
	if r.To == "" {
		r.To = r.From
	}
	for _, f := range []struct{ key, filter string }{{"from", r.From}, {"to", r.To}} {
		if err := topic.ValidFilter(f.filter); err != nil {
			return route{}, fmt.Errorf("%s %q: %w", f.key, f.filter, err)
		}
		if _, _, shared := topic.Share(f.filter); shared {
			return route{}, fmt.Errorf("%s %q: give its topics alone, and its name as share of an in route", f.key, f.filter)
		}
	}
	c := route{
		filter: r.From, lane: r.Lane, ttl: r.TTL, keep: r.Keep, size: r.MaxSize, batch: r.Batch, toName: r.To,
		from: strings.Split(r.From, "/"), to: strings.Split(r.To, "/"),
		qos: mqtt.ExactlyOnce, strip: r.Retain == StripRetain,
	}
	joins := r.Batch.Form != BatchNone
	if joins && wildcards(c.to) != "" {
		return route{}, fmt.Errorf("to %q has wildcards: a batch has one topic", r.To)
	}
	if a, b := wildcards(c.from), wildcards(c.to); a != b && !joins {
		return route{}, fmt.Errorf("to %q has the wildcards %q, from %q has %q: each must be carried over, in order", r.To, b, r.From, a)
	}
	if wildcards(c.from) == "#" && !joins {
		c.head, c.toHead = strings.TrimSuffix(r.From, "#"), strings.TrimSuffix(r.To, "#")
	}
	if r.QoS != nil {
		if !r.QoS.Valid() {
			return route{}, fmt.Errorf("qos %d is not 0, 1 or 2", *r.QoS)
		}
		c.qos = *r.QoS
	}
	return c, nil
}

func compileAll(side string, routes []Route) ([]route, error) {
	out := make([]route, 0, len(routes))
	for i, r := range routes {
		c, err := compile(r)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", side, i, err)
		}
		c.number = len(out)
		out = append(out, c)
	}
	return out, nil
}

// wildcards lists the wildcards of a filter in order, as "++#".
func wildcards(levels []string) string {
	var b strings.Builder
	for _, l := range levels {
		if l == "+" || l == "#" {
			b.WriteString(l)
		}
	}
	return b.String()
}

// remap returns the topic on the other side for name by the first route that
// matches, and that route.
func remap(routes []route, name string) (string, *route, bool) {
	for i := range routes {
		if to, ok := routes[i].remap(name); ok {
			return to, &routes[i], true
		}
	}
	return "", nil, false
}

// Remap says what becomes of a Topic Name by the first of the routes that
// matches, and which one that is. Routes that are not valid match nothing.
func Remap(routes []Route, name string) (to string, number int, ok bool) {
	for i, r := range routes {
		if c, err := compile(r); err == nil {
			if to, ok := c.remap(name); ok {
				return to, i, true
			}
		}
	}
	return "", 0, false
}

// routeOf returns the first route that matches, without naming a topic; nil:
// none.
func routeOf(routes []route, name string) *route {
	for i := range routes {
		if topic.Match(routes[i].filter, name) {
			return &routes[i]
		}
	}
	return nil
}

func (r *route) remap(name string) (string, bool) {
	if r.head != "" && strings.HasPrefix(name, r.head) {
		if r.head == r.toHead {
			return name, true
		}
		return r.toHead + name[len(r.head):], true
	}
	levels := strings.Split(name, "/")
	if name == "" || name[0] == '$' && (r.from[0] == "+" || r.from[0] == "#") {
		return "", false // [MQTT-4.7.2-1]
	}
	var held []string // what each '+' matched
	for i, f := range r.from {
		if f == "#" {
			return r.fill(held, levels[min(i, len(levels)):]), true
		}
		if i >= len(levels) || f != "+" && f != levels[i] {
			return "", false
		}
		if f == "+" {
			held = append(held, levels[i])
		}
	}
	if len(levels) != len(r.from) {
		return "", false
	}
	return r.fill(held, nil), true
}

// fill puts what the wildcards matched into To; a '#' that matched the parent
// level itself [MQTT-4.7.1-2] stands for no level.
func (r *route) fill(held, rest []string) string {
	out := make([]string, 0, len(r.to)+len(rest))
	for _, l := range r.to {
		switch l {
		case "+":
			out = append(out, held[0])
			held = held[1:]
		case "#":
			out = append(out, rest...)
		default:
			out = append(out, l)
		}
	}
	return strings.Join(out, "/")
}

// OutFilters are the subscriptions that the Queue of a lane needs: each From
// once, without those that another one covers, so that one publish is one
// entry. A lane that no route uses needs none. The cap on QoS is applied when sending, since overlapping routes may
// differ in it.
func OutFilters(all []Route, lane Lane) []mqtt.Subscription {
	var subs []mqtt.Subscription
	routes := slices.DeleteFunc(slices.Clone(all), func(r Route) bool { return r.Lane != lane })
	for i, r := range routes {
		covered := slices.ContainsFunc(routes[:i], func(o Route) bool { return o.From == r.From }) ||
			slices.ContainsFunc(routes, func(o Route) bool { return o.From != r.From && topic.Covers(o.From, r.From) })
		if covered {
			continue
		}
		subs = append(subs, mqtt.Subscription{
			Filter: r.From, QoS: mqtt.ExactlyOnce,
			RetainAsPublished: true, RetainHandling: mqtt.SendRetainedIfNew,
		})
	}
	return subs
}
