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
	wanted := subscriptions(l.b.o.In)
	if err := l.unsubscribe(ctx, wanted); err != nil {
		return err
	}
	for chunk := range slices.Chunk(wanted, subscribeChunk) {
		for i := range chunk {
			chunk[i].QoS = min(chunk[i].QoS, l.lim.maximumQoS)
		}
		codes, err := l.up.subscribe(ctx, chunk)
		var fatal *failure
		if errors.As(err, &fatal) {
			return err
		}
		if err != nil {
			l.b.o.Log.Warn("upstream cannot subscribe", "bridge", l.b.o.Name, "err", err)
			continue
		}
		l.answered.Store(true)
		for i, s := range chunk {
			if i < len(codes) && codes[i].Failed() {
				l.b.o.Log.Warn("upstream refuses a subscription", "bridge", l.b.o.Name, "topic", s.Filter, "reason", codes[i].String())
			}
		}
	}
	return nil
}

// filtersEnd separates filters in the file; none holds it [MQTT-1.5.4-2].
const filtersEnd = "\x00"

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
