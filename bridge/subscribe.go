package bridge

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// subscribe asks for the in routes, after it has taken back those of an earlier
// configuration: the session upstream has them still. A filter that is refused
// is reported, the rest works without it.
func (l *link) subscribe(ctx context.Context) error {
	wanted := l.filters()
	if err := l.unsubscribe(ctx, wanted); err != nil {
		return err
	}
	var refused []string
	for len(wanted) > 0 {
		n := l.together(wanted)
		not, err := l.ask(ctx, wanted[:n:n])
		if refused = append(refused, not...); err != nil {
			return err
		}
		wanted = wanted[n:]
	}
	l.b.status.update(func(s *Stats) { s.NotSubscribed = refused })
	return nil
}

// together is how many of the filters go into one SUBSCRIBE, which gives all of
// them its Subscription Identifier.
func (l *link) together(subs []mqtt.Subscription) int {
	n := 0
	for n < min(len(subs), subscribeChunk) && !(l.lim.identifiers && subs[n].Identifier > 0) {
		n++
	}
	return max(1, n)
}

// ask subscribes to filters, and returns those that the server does not take
// with the reason. One that cannot be asked for does not cost the others.
func (l *link) ask(ctx context.Context, subs []mqtt.Subscription) (refused []string, err error) {
	for i := range subs {
		subs[i].QoS = min(subs[i].QoS, l.lim.maximumQoS)
		if !l.lim.identifiers {
			subs[i].Identifier = 0
		}
	}
	codes, err := l.up.subscribe(ctx, subs)
	var fatal *failure
	switch {
	case errors.As(err, &fatal):
		return nil, err
	case err != nil && len(subs) > 1:
		for i := range subs {
			not, err := l.ask(ctx, subs[i:i+1])
			if refused = append(refused, not...); err != nil {
				return refused, err
			}
		}
		return refused, nil
	case err != nil:
		return []string{l.notSubscribed(subs[0].Filter, err.Error())}, nil
	}
	l.answered.Store(true)
	for i, s := range subs {
		if codes[i].Failed() {
			refused = append(refused, l.notSubscribed(s.Filter, codes[i].String()))
		}
	}
	return refused, nil
}

// notSubscribed tells of a filter that nothing will come of.
func (l *link) notSubscribed(filter, reason string) string {
	l.b.o.Log.Warn("upstream refuses a subscription", "bridge", l.b.o.Name, "topic", filter, "reason", reason)
	return filter + ": " + reason
}

// filtersEnd separates filters in the file; none holds it [MQTT-1.5.4-2].
const filtersEnd = "\x00"

// asksAnew reports whether a filter is wanted that the file does not have.
func (l *link) asksAnew() bool {
	if l.b.o.Subscribed == "" {
		return false
	}
	b, _ := os.ReadFile(l.b.o.Subscribed)
	before := strings.Split(string(b), filtersEnd)
	return slices.ContainsFunc(l.filters(), func(s mqtt.Subscription) bool { return !slices.Contains(before, s.Filter) })
}

// unsubscribe takes back what the file says and nobody wants, and notes in it
// what will be asked for.
func (l *link) unsubscribe(ctx context.Context, wanted []mqtt.Subscription) error {
	file := l.b.o.Subscribed
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.b.o.Log.Warn("the subscriptions of before are not known", "bridge", l.b.o.Name, "err", err)
	}
	now, text := map[string]bool{}, ""
	for _, s := range wanted {
		now[s.Filter] = true
		text += s.Filter + filtersEnd
	}
	var gone []mqtt.Subscription
	for _, filter := range strings.Split(string(b), filtersEnd) {
		if filter != "" && !now[filter] {
			gone = append(gone, mqtt.Subscription{Filter: filter})
		}
	}
	if !l.lim.sessionPresent {
		gone = nil // it went with the session
	}
	for chunk := range slices.Chunk(gone, subscribeChunk) {
		if _, err := l.up.unsubscribe(ctx, chunk); err != nil {
			return err
		}
	}
	if string(b) == text {
		return nil
	}
	if err := replaceFile(file, []byte(text)); err != nil {
		l.b.o.Log.Warn("the subscriptions are not noted", "bridge", l.b.o.Name, "err", err)
	}
	return nil
}

// replaceFile writes beside a file and renames: a power cut leaves the old one
// or the new one.
func replaceFile(file string, content []byte) error {
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
