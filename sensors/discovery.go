package sensors

import (
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Discovery announces devices to a system that finds them by retained
// messages.
type Discovery struct {
	// Describe returns the message that announces a device, and its parts. gone
	// are parts that the system still has and is to remove. The topic is that of
	// the device's name, whatever it has.
	Describe func(p *Profile, gone []Part) (topic string, payload []byte, parts []Part)
	// Gateway is the announcement of the gateway itself; no topic is none.
	Gateway mqtt.Message
	// Listener is the topic on which the system says "online" when it wants
	// all announcements again.
	Listener string
}

// announced is what other systems know of a device.
type announced struct {
	again        atomic.Bool   // the announcement is wanted once more
	announcement *mqtt.Message // nil: nobody announces the device
	described    bool          // the registry knows the device, and the announcement is out
}

// gatewayEntry is the registry's name of the gateway: no device may have it.
const gatewayEntry = "status"

// describe records what the device is about to publish, and announces it when
// there is something new to say. Parts that the system was told of in an
// earlier life are removed when the configuration named them and does not any
// more, chooses others, or the device is another one; an entity that merely was
// not read yet stays.
func (o *owner) describe(ctx context.Context) error {
	fresh := !o.described
	for _, e := range o.entities {
		fresh = fresh || e.has && !e.described
	}
	if !fresh {
		return nil
	}
	if err := o.reclaim(ctx, o.publish); err != nil {
		return err
	}
	p := o.profile()
	old := o.registry.get(o.dev.Name)
	now := entry{device: o.dev.Name, topic: o.topics.device, model: o.kind(), form: o.dev.Payload}
	for _, f := range p.Features {
		now.parts = append(now.parts, Part{Name: f.Name, Listed: f.Listed})
	}
	var announce mqtt.Message
	gone := o.gone(&old, now.parts)
	if d := o.opt.Discovery; d != nil && o.dev.Payload != Sparkplug {
		announce = retained("", nil)
		announce.Topic, announce.Payload, now.parts = d.Describe(p, nil)
		announce.Properties.ContentType = "application/json"
		now.config = announce.Topic
	}
	gone = append(gone, moved(old.parts, now.parts)...)
	// What is neither there nor gone may still come: it stays on the list.
	for _, part := range old.parts {
		if !has(now.parts, part.Name) && !has(gone, part.Name) {
			now.parts = append(now.parts, part)
		}
	}
	if err := o.withdraw(ctx, &old, now, gone, p); err != nil {
		return err
	}
	o.registry.put(o.dev.Name, now)
	if announce.Topic != "" {
		if err := o.publish(ctx, announce); err != nil {
			return err
		}
	}
	o.described = true
	if o.announcement = nil; announce.Topic != "" {
		o.announcement = &announce
	}
	for _, e := range o.entities {
		e.described = e.described || e.has
	}
	return nil
}

func has(parts []Part, name string) bool {
	return slices.ContainsFunc(parts, func(p Part) bool { return p.Name == name })
}

// kind is the model of the device, with a mark of what it was told to read.
func (o *owner) kind() string {
	s, ok := o.dev.Driver.(Selector)
	if !ok {
		return o.dev.Model
	}
	return o.dev.Model + "~" + strconv.Itoa(int(crc32.ChecksumIEEE(fmt.Append(nil, s.Selection()))))
}

// gone are the parts of an earlier life that will not come back. A list of before
// there were marks has none.
func (o *owner) gone(old *entry, now []Part) (gone []Part) {
	if o.described {
		return nil
	}
	for _, p := range old.parts {
		if !has(now, p.Name) && (old.model != o.kind() && old.model != o.dev.Model || o.disabled(p.Name) || p.Listed && !o.lists(p.Name)) {
			gone = append(gone, p)
		}
	}
	return gone
}

// moved are the parts that have become another kind of component: the one that
// was announced is removed before the other takes its name.
func moved(old, now []Part) (gone []Part) {
	for _, p := range old {
		if slices.ContainsFunc(now, func(n Part) bool { return n.Name == p.Name && n.Platform != p.Platform && p.Platform != "" }) {
			gone = append(gone, p)
		}
	}
	return gone
}

// lists reports whether the configuration names an entity.
func (o *owner) lists(name string) bool {
	return slices.ContainsFunc(o.dev.Entities, func(e Entity) bool { return e.Name == name })
}

// disabled reports whether nobody wants to see an entity.
func (o *owner) disabled(name string) bool {
	return slices.ContainsFunc(o.dev.Entities, func(e Entity) bool { return e.Disabled && e.Name == name })
}

// reclaim takes back what an earlier life published elsewhere: below another
// base, under another prefix, or when there were announcements. The list forgets
// that when it is gone, not before: the gateway may be killed in between.
func (o *owner) reclaim(ctx context.Context, publish func(context.Context, mqtt.Message) error) error {
	old := o.registry.get(o.dev.Name)
	var away entry
	if old.topic != o.topics.device {
		away.topic, away.parts = old.topic, old.parts
	}
	if d := o.opt.Discovery; d == nil || o.dev.Payload == Sparkplug {
		away.config = old.config
	} else if topic, _, _ := d.Describe(&Profile{Device: o.dev.Name}, nil); topic != old.config {
		away.config = old.config
	}
	if away.topic == "" && away.config == "" {
		return nil
	}
	if err := clearEntry(ctx, publish, &away); err != nil {
		return err
	}
	if old.topic = o.topics.device; away.config != "" {
		old.config = ""
	}
	o.registry.put(o.dev.Name, old)
	return nil
}

// withdraw removes what an earlier life of the device left in its place: values
// and components that are gone. These stay on the list until they are.
func (o *owner) withdraw(ctx context.Context, old *entry, now entry, gone []Part, p *Profile) error {
	if !o.described {
		if err := o.forgetLife(ctx, old); err != nil {
			return err
		}
	}
	now.parts = slices.Concat(now.parts, gone)
	o.registry.put(o.dev.Name, now)
	if len(gone) > 0 && now.config != "" && old.config == now.config {
		m := retained("", nil)
		m.Topic, m.Payload, _ = o.opt.Discovery.Describe(p, gone)
		return o.publish(ctx, m)
	}
	return nil
}

// forgetLife removes the values of an earlier life that there are none of now,
// or not in that form: nobody may take them for what the device is online with.
func (o *owner) forgetLife(ctx context.Context, old *entry) error {
	form := cmp.Or(old.form, Plain)
	var topics []string
	for _, part := range old.parts {
		anew := slices.ContainsFunc(o.entities, func(e *entity) bool { return e.has && e.name == part.Name })
		if form.scalars() && !(anew && o.dev.Payload.scalars()) {
			topics = append(topics, o.topics.value(part.Name))
		}
	}
	if form.document() && !o.dev.Payload.document() {
		topics = append(topics, o.topics.state())
	}
	for _, topic := range topics {
		if err := o.publish(ctx, retained(topic, nil)); err != nil {
			return err
		}
	}
	return nil
}

// clearEntry removes every retained message of a device.
func clearEntry(ctx context.Context, publish func(context.Context, mqtt.Message) error, e *entry) error {
	topics := []string{e.config}
	if e.topic != "" {
		t := topicsOf(e.topic)
		topics = append(topics, t.availability(), t.health(), t.state())
		for _, p := range e.parts {
			topics = append(topics, t.value(p.Name))
		}
	}
	for _, topic := range topics {
		if topic == "" {
			continue
		}
		if err := publish(ctx, retained(topic, nil)); err != nil {
			return err
		}
	}
	return nil
}

// repeat announces the device again, as it was announced before.
func (o *owner) repeat(ctx context.Context) {
	if o.announcement != nil {
		_ = o.publish(ctx, *o.announcement) // logged and counted there
	}
}

// sweep removes what devices have left that neither stay nor come, and what those
// that come have left elsewhere: they may never have anything to say. What
// cannot be removed stays on the list for the next time.
func (m *Manager) sweep(ctx context.Context, stay, come []*owner) {
	for _, o := range come {
		_ = o.reclaim(ctx, m.say) // logged there; describe does it again
	}
	owners := slices.Concat(stay, come)
	for _, name := range m.registry.devices() {
		if name == gatewayEntry || slices.ContainsFunc(owners, func(o *owner) bool { return o.dev.Name == name }) {
			continue
		}
		old := m.registry.get(name)
		if err := clearEntry(ctx, m.say, &old); err == nil {
			m.registry.put(name, entry{})
		}
	}
}

// say publishes through the manager's own session.
func (m *Manager) say(ctx context.Context, msg mqtt.Message) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	err := m.out.Publish(ctx, msg)
	if err != nil {
		m.opt.Log.Warn("not published", "topic", msg.Topic, "err", err)
	}
	return err
}

// announceGateway says what the gateway is, and takes back what it said under
// another name: its status is retained too.
func (m *Manager) announceGateway(ctx context.Context) {
	var g mqtt.Message
	if m.opt.Discovery != nil {
		g = m.opt.Discovery.Gateway
	}
	old := m.registry.get(gatewayEntry)
	if old.config != "" && old.config != g.Topic && m.say(ctx, retained(old.config, nil)) != nil {
		return
	}
	if old.topic != "" && old.topic != m.opt.Base && m.say(ctx, retained(old.topic+"/status", nil)) != nil {
		return
	}
	m.registry.put(gatewayEntry, entry{device: gatewayEntry, topic: m.opt.Base, config: g.Topic})
	if g.Topic != "" {
		g.QoS, g.Retain = mqtt.AtLeastOnce, true
		_ = m.say(ctx, g) // logged there; the next "online" says it again
	}
}
