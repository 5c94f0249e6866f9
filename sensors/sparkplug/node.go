package sparkplug

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

const (
	namespace    = "spBv1.0/"
	rebirth      = "Node Control/Rebirth" // never has an alias [operational-behavior-data-commands-rebirth-name-aliases]
	bdSeqAlias   = 1
	publishLimit = 5 * time.Second // of one message
	reattach     = time.Second     // after the session was lost
)

// Options are what a Node needs.
type Options struct {
	Group, Node string // elements of its topics
	// Attach opens the node's session, as sensors.Options.Attach. Required.
	Attach func(id string, will *mqtt.Will) (sensors.Session, error)
	// AtOnce publishes the NBIRTH before any device was born: there are devices
	// that speak Sparkplug.
	AtOnce bool
	// File keeps the bdSeq number over restarts; "" starts at 0.
	File string
	// Log receives life-cycle events. Required.
	Log *slog.Logger
}

// Node is an Edge Node. It implements sensors.EdgeNode.
type Node struct {
	opt Options
	// own is a lock of one slot, because messages are published under it: it
	// guards everything below.
	own     chan struct{}
	session sensors.Session // nil: none
	bdSeq   int             // of the session; -1 before the first
	seq     uint8           // of the next message
	aliases uint64          // given so far
	devices map[string]*device
	names   []string // of devices, in order of appearance

	wanted chan struct{} // holds one when the node has something to say
}

var _ sensors.EdgeNode = (*Node)(nil)

// New makes a Node; it does nothing before Run.
func New(o Options) *Node {
	n := &Node{opt: o, own: make(chan struct{}, 1), bdSeq: -1, aliases: bdSeqAlias, devices: map[string]*device{}, wanted: make(chan struct{}, 1)}
	if o.AtOnce {
		n.wanted <- struct{}{}
	}
	if text, err := os.ReadFile(o.File); err == nil {
		if last, err := strconv.ParseUint(string(text), 10, 8); err == nil {
			n.bdSeq = int(last)
		}
	}
	return n
}

func (n *Node) lock()   { n.own <- struct{}{} }
func (n *Node) unlock() { <-n.own }

// Run keeps the node's session until ctx ends, which is its NDEATH; it returns
// nil. It begins with the first device that is born, or AtOnce.
func (n *Node) Run(ctx context.Context) error {
	select {
	case <-n.wanted:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		s, err := n.attach(ctx)
		if err == nil {
			err = n.obey(ctx, s)
		}
		n.lock()
		n.session = nil
		n.unlock()
		switch {
		case ctx.Err() != nil && s != nil:
			err = s.DisconnectWithWill() // [operational-behavior-edge-node-intentional-disconnect-ndeath]
		case s != nil:
			err = errors.Join(err, s.Abort())
		}
		if err != nil {
			n.opt.Log.Warn("Sparkplug session ended", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reattach):
		}
	}
	return nil
}

// attach opens a session with the next bdSeq number, subscribes to commands
// and publishes the births.
func (n *Node) attach(ctx context.Context) (sensors.Session, error) {
	n.lock()
	defer n.unlock()
	n.countBirth()
	s, err := n.opt.Attach("sparkplug", &mqtt.Will{Message: n.death()})
	if err != nil {
		return nil, fmt.Errorf("attach sparkplug: %w", err)
	}
	sctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	for _, filter := range n.commands() {
		sub := mqtt.Subscription{Filter: filter, QoS: mqtt.AtLeastOnce, RetainHandling: mqtt.DoNotSendRetained}
		if err := s.Subscribe(sctx, sub); err != nil {
			return s, fmt.Errorf("subscribe %s: %w", filter, err)
		}
	}
	n.session = s
	return s, n.births(sctx)
}

// death is the will of a session; the lock is held.
func (n *Node) death() mqtt.Message {
	return mqtt.Message{Topic: n.topic("NDEATH", ""), QoS: mqtt.AtLeastOnce, Payload: encode(time.Now(), noSeq, []metric{n.bdSeqMetric(time.Time{})})}
}

func (n *Node) commands() []string { return []string{n.topic("NCMD", ""), n.topic("DCMD", "+")} }

func (n *Node) topic(kind, device string) string {
	t := namespace + n.opt.Group + "/" + kind + "/" + n.opt.Node
	if device != "" {
		t += "/" + device
	}
	return t
}

// countBirth counts connections from 0 to 255, over restarts too. A number
// that cannot be kept is used nevertheless: it is wrong only after a restart.
func (n *Node) countBirth() {
	n.bdSeq = (n.bdSeq + 1) % 256
	if n.opt.File == "" {
		return
	}
	next := n.opt.File + ".new"
	err := os.WriteFile(next, strconv.AppendInt(nil, int64(n.bdSeq), 10), 0o600)
	if err == nil {
		err = os.Rename(next, n.opt.File)
	}
	if err != nil {
		n.opt.Log.Warn("bdSeq not kept", "err", err)
	}
}

func (n *Node) bdSeqMetric(at time.Time) metric {
	return metric{name: "bdSeq", at: at, kind: typeInt64, value: int64(n.bdSeq), quality: -1}
}

// births publishes the NBIRTH and a DBIRTH for each living device.
func (n *Node) births(ctx context.Context) error {
	now := time.Now()
	b := n.bdSeqMetric(now)
	b.alias = bdSeqAlias
	n.seq = 0
	if err := n.publish(ctx, n.topic("NBIRTH", ""), []metric{b,
		{name: rebirth, at: now, kind: typeBoolean, value: false, quality: -1}}); err != nil {
		return err
	}
	for _, name := range n.names {
		if d := n.devices[name]; d.alive {
			if err := n.publish(ctx, n.topic("DBIRTH", name), d.birth()); err != nil {
				return err
			}
		}
	}
	return nil
}

// publish sends one message with the next sequence number [6.4.4]. The lock is
// held; ctx has a deadline. Without a session it says nothing: the births will.
func (n *Node) publish(ctx context.Context, topic string, metrics []metric) error {
	if n.session == nil {
		return nil
	}
	payload := encode(time.Now(), int(n.seq), metrics)
	n.seq++
	err := n.session.Publish(ctx, mqtt.Message{Topic: topic, Payload: payload})
	if err != nil {
		n.opt.Log.Warn("not published", "topic", topic, "err", err)
	}
	return err
}

// Born implements sensors.EdgeNode.
func (n *Node) Born(ctx context.Context, p *sensors.Profile) error {
	n.lock()
	defer n.unlock()
	d := n.devices[p.Device]
	if d == nil {
		d = &device{}
		n.devices[p.Device] = d
		n.names = append(n.names, p.Device)
	}
	if d.model != p.Model { // another one of this name
		d.model, d.metrics = p.Model, nil
	}
	d.topic, d.alive = p.Topic, true
	select {
	case n.wanted <- struct{}{}:
	default:
	}
	now := time.Now()
	// What it had in an earlier life and has no value of now is null.
	for _, m := range d.metrics {
		m.value, m.quality, m.at = nil, qualityBad, now
	}
	for i := range p.Features {
		d.take(&p.Features[i], n.alias, now)
	}
	return n.publish(ctx, n.topic("DBIRTH", p.Device), d.birth())
}

func (n *Node) alias() uint64 {
	n.aliases++
	return n.aliases
}

// Changed implements sensors.EdgeNode.
func (n *Node) Changed(ctx context.Context, name string, features []sensors.Feature) error {
	return n.changed(ctx, name, features, false)
}

func (n *Node) changed(ctx context.Context, name string, features []sensors.Feature, past bool) error {
	n.lock()
	defer n.unlock()
	d := n.devices[name]
	if d == nil || !d.alive {
		return nil
	}
	now := time.Now()
	var data []metric
	anew := false
	for i := range features {
		was := -1
		for _, m := range d.metrics {
			if m.name == features[i].Name {
				was = m.quality
			}
		}
		m, birth := d.take(&features[i], n.alias, now)
		anew = anew || birth
		data = append(data, m.data(was, past))
	}
	if anew {
		return n.publish(ctx, n.topic("DBIRTH", name), d.birth())
	}
	return n.publish(ctx, n.topic("DDATA", name), data)
}

// Died implements sensors.EdgeNode.
func (n *Node) Died(ctx context.Context, name string) error {
	n.lock()
	defer n.unlock()
	d := n.devices[name]
	if d == nil || !d.alive {
		return nil
	}
	d.alive = false
	return n.publish(ctx, n.topic("DDEATH", name), nil)
}
