package sensors

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// answer says what devices cannot, through the manager's own session: that a
// command came to one that is offline, and all announcements again whenever the
// listener comes online. A random moment of up to two seconds keeps many gateways
// from announcing at once. It returns when ctx ends or the session does.
func (m *Manager) answer(ctx context.Context, s Session) {
	listener := ""
	if d := m.opt.Discovery; d != nil {
		listener = d.Listener
		m.hear(ctx, s, listener)
	}
	m.hearCommands(ctx, s)
	due := time.Time{} // of the announcements; zero: never
	for {
		next, cancel := ctx, context.CancelFunc(func() {})
		if !due.IsZero() {
			next, cancel = context.WithDeadline(ctx, due)
		}
		msg, err := s.Next(next)
		cancel()
		now := time.Now()
		over := !due.IsZero() && !now.Before(due)
		switch {
		case err != nil && (ctx.Err() != nil || !over):
			return
		case err != nil:
		case msg.Topic != listener:
			m.stray(msg)
		case string(msg.Payload) == online && due.IsZero():
			due = now.Add(rand.N(2 * time.Second))
		}
		if over {
			due = time.Time{}
			m.announce(ctx)
		}
	}
}

// hearCommands subscribes to commands when the first device takes some.
func (m *Manager) hearCommands(ctx context.Context, s Session) {
	m.state.Lock()
	some := slices.ContainsFunc(m.state.owners, func(o *owner) bool { return o.commander != nil })
	begin := some && !m.state.hears
	m.state.hears = m.state.hears || some
	m.state.Unlock()
	if begin {
		m.hear(ctx, s, m.opt.Base+"/+/+/set")
	}
}

func (m *Manager) hear(ctx context.Context, s Session, filter string) {
	if err := s.Subscribe(ctx, mqtt.Subscription{Filter: filter, QoS: mqtt.AtLeastOnce, RetainHandling: mqtt.DoNotSendRetained}); err != nil {
		m.opt.Log.Error("the gateway does not hear a topic of its own", "filter", filter, "err", err)
	}
}

// announce announces the gateway and all devices again.
func (m *Manager) announce(ctx context.Context) {
	m.announceGateway(ctx)
	m.state.Lock()
	owners := m.state.owners
	m.state.Unlock()
	for _, o := range owners {
		o.again.Store(true)
		o.nudge()
	}
}

// stray takes a command to a device that has no session which could.
func (m *Manager) stray(msg mqtt.Message) {
	name, _, _ := strings.Cut(strings.TrimPrefix(msg.Topic, m.opt.Base+"/"), "/")
	m.state.Lock()
	owners := m.state.owners
	m.state.Unlock()
	i := slices.IndexFunc(owners, func(o *owner) bool { return o.dev.Name == name && o.commander != nil })
	if i < 0 || msg.Retain {
		return
	}
	if o := owners[i]; o.inbox.found(msg) {
		o.nudge()
	}
}

// away answers a command to a device that is offline. One that came while its
// session was kept may be carried out yet: it says nothing of that.
func (o *owner) away(ctx context.Context, c *command, now time.Time) {
	isBeat := slices.ContainsFunc(o.outputs, func(u *output) bool { return u.dead != nil && u.beat == o.topics.device+"/"+c.entity+"/set" })
	if isBeat || o.left.IsZero() || now.Sub(o.left) < o.dev.WillDelay+keptLonger {
		return
	}
	o.reply(ctx, c, errOffline)
}
