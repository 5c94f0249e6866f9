package broker

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// sysTree publishes the broker's state below $SYS: mosquitto's names and
// formats in $SYS/broker, what is dunlin's own in $SYS/dunlin. All values are
// retained and have QoS 0, so that they never fill the queue of a client that
// is away. A value is published when it differs from the one before.
type sysTree struct {
	b       *Broker
	started time.Time
	last    map[string]string // by topic: what was published
	text    []byte            // reused
	loads   []load
	counted time.Time // when loads were updated
	clients int       // the most at a time
	heap    uint64    // the most so far, bytes
}

// runSys publishes at once and then every SysInterval of the wall clock, until
// ctx ends.
func (b *Broker) runSys(ctx context.Context) {
	now := time.Now()
	t := &sysTree{b: b, started: now, counted: now, last: make(map[string]string), loads: newLoads()}
	t.set("$SYS/broker/version", "dunlin version "+b.opts.Version)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		t.publish(now)
		if b.durable != nil {
			b.durable.Look() // at the clock, if nothing else happens
		}
		timer.Reset(untilNext(now, b.opts.SysInterval))
	}
}

// untilNext is the time to the next multiple of interval on the wall clock.
func untilNext(now time.Time, interval time.Duration) time.Duration {
	return now.Truncate(interval).Add(interval).Sub(now.Round(0))
}

func (t *sysTree) publish(now time.Time) {
	s := t.b.Stats()
	t.set("$SYS/broker/uptime", strconv.FormatInt(int64(now.Sub(t.started)/time.Second), 10)+" seconds")
	t.publishClients(&s)
	t.publishMessages(&s)
	t.publishLoads(now, &s)
	t.publishOwn(&s)
	t.publishListeners()
	t.publishStore()
	t.publishMemory(&s.Memory)
	if e := t.b.hub.events; e != nil && e.publishes {
		t.count("$SYS/dunlin/clients/events_dropped", e.lost())
	}
}

// publishClients counts clients of the network; those in the process are none
// to their users.
func (t *sysTree) publishClients(s *Stats) {
	const base = "$SYS/broker/clients/"
	t.clients = max(t.clients, s.Clients)
	away := s.Clients - s.ClientsConnected
	t.number(base+"total", s.Clients)
	t.number(base+"maximum", t.clients)
	t.number(base+"connected", s.ClientsConnected)
	t.number(base+"active", s.ClientsConnected)
	t.number(base+"disconnected", away)
	t.number(base+"inactive", away)
	t.count(base+"expired", s.ClientsExpired)
	t.number("$SYS/broker/connections/socket/count", s.Connections)
}

func (t *sysTree) publishMessages(s *Stats) {
	const base = "$SYS/broker/"
	t.count(base+"messages/received", s.Received.Packets)
	t.count(base+"messages/sent", s.Sent.Packets)
	t.count(base+"bytes/received", s.Received.Bytes)
	t.count(base+"bytes/sent", s.Sent.Bytes)
	t.count(base+"publish/messages/received", s.Received.Publishes)
	t.count(base+"publish/messages/sent", s.Sent.Publishes)
	t.count(base+"publish/messages/dropped", s.Dropped)
	t.count(base+"publish/bytes/received", s.Received.Payload)
	t.count(base+"publish/bytes/sent", s.Sent.Payload)
	t.number(base+"subscriptions/count", s.Subscriptions-s.SharedSubscriptions)
	t.number(base+"shared_subscriptions/count", s.SharedSubscriptions)
	t.number(base+"retained messages/count", s.Retained+s.RetainedSys)
	stored := s.Retained + s.RetainedSys + s.Waiting
	t.number(base+"messages/stored", stored)
	t.number(base+"store/messages/count", stored)
	t.count(base+"store/messages/bytes", uint64(s.RetainedBytes)+uint64(s.WaitingBytes))
	t.number(base+"packet/out/count", s.Waiting)
	t.number(base+"packet/out/bytes", s.WaitingBytes)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.heap = max(t.heap, m.HeapAlloc)
	t.count(base+"heap/current", m.HeapAlloc)
	t.count(base+"heap/maximum", t.heap)
}

func (t *sysTree) publishOwn(s *Stats) {
	const base = "$SYS/dunlin/"
	t.number(base+"goroutines", runtime.NumGoroutine())
	t.number(base+"sessions", s.Sessions)
	t.count(base+"connections/refused", s.ConnectionsRefused)
	t.count(base+"connections/sessions_refused", s.SessionsRefused)
	t.count(base+"connections/protocol_errors", s.ProtocolErrors)
	t.count(base+"connections/slow_consumers", s.SlowConsumers)
	t.count(base+"connections/keep_alive_expired", s.KeepAliveExpired)
	t.count(base+"connections/panics", s.Panics)
	t.count(base+"messages/published", s.Published)
	t.count(base+"messages/unmatched", s.Unmatched)
	t.count(base+"messages/refused", s.PublishRefused)
	t.count(base+"messages/dropped/full", s.Drops.Full)
	t.count(base+"messages/dropped/expired", s.Drops.Expired)
	t.count(base+"messages/dropped/too_large", s.Drops.TooLarge)
	t.count(base+"messages/dropped/left", s.Drops.Left)
	t.count(base+"messages/dropped/memory", s.Drops.Memory)
	t.count(base+"messages/dropped/refused", s.Drops.Refused+s.ReceiveRefused)
	t.count(base+"messages/wills_refused", s.WillsRefused)
	t.number(base+"messages/waiting", s.Waiting)
	t.count(base+"retained/bytes", uint64(s.RetainedBytes))
	t.count(base+"retained/refused", s.RetainedRefused)
}

func (t *sysTree) publishListeners() {
	var unauthorized uint64
	const all = "$SYS/dunlin/listener/"
	there := map[string]bool{}
	for _, l := range t.b.Listeners() {
		name := TopicLevel(l.Name)
		there[name] = true
		base := all + name + "/"
		var refused uint64
		for code, n := range l.Refused {
			refused += n
			if slices.Contains([]mqtt.ReasonCode{mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.BadAuthenticationMethod, mqtt.Banned}, code) {
				unauthorized += n
			}
		}
		t.number(base+"connections", l.Connections)
		t.count(base+"accepted", l.Accepted)
		t.count(base+"refused", refused)
		t.count(base+"bytes/received", l.Received.Bytes)
		t.count(base+"bytes/sent", l.Sent.Bytes)
	}
	t.count("$SYS/dunlin/connections/unauthorized", unauthorized)
	for topic := range t.last {
		rest, ok := strings.CutPrefix(topic, all)
		if name, _, _ := strings.Cut(rest, "/"); ok && !there[name] {
			t.set(topic, "") // nothing is told of a listener that is gone
			delete(t.last, topic)
		}
	}
}

func (t *sysTree) number(topic string, n int) { t.count(topic, uint64(max(n, 0))) }

func (t *sysTree) count(topic string, n uint64) {
	t.text = strconv.AppendUint(t.text[:0], n, 10)
	t.changed(topic)
}

func (t *sysTree) set(topic, value string) {
	t.text = append(t.text[:0], value...)
	t.changed(topic)
}

// changed publishes t.text unless the topic has that value.
func (t *sysTree) changed(topic string) {
	if last, ok := t.last[topic]; ok && last == string(t.text) {
		return
	}
	value := string(t.text)
	t.last[topic] = value
	m := &mqtt.Message{Topic: topic, Payload: []byte(value), Retain: true}
	t.b.hub.router.Publish(time.Now(), new(packet.Publication).Own(m))
}

const hexDigits = "0123456789ABCDEF"

// TopicLevel makes one topic level of any text: what a level must not have, and %,
// becomes %XX.
func TopicLevel(s string) string {
	safe := func(c byte) bool { return c > ' ' && c != '/' && c != '+' && c != '#' && c != '%' && c != 0x7f }
	var escaped []byte
	for i := range len(s) {
		c := s[i]
		if safe(c) {
			if escaped != nil {
				escaped = append(escaped, c)
			}
			continue
		}
		if escaped == nil {
			escaped = append(make([]byte, 0, len(s)+8), s[:i]...)
		}
		escaped = append(escaped, '%', hexDigits[c>>4], hexDigits[c&15])
	}
	if escaped == nil {
		return s
	}
	return string(escaped)
}
