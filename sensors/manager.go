package sensors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
	"github.com/dunlin-mqtt/dunlin/serial"
)

// Manager runs devices: each has an owner, with its driver, its pipelines and
// its session in the broker.
type Manager struct {
	opt        Options
	out        *fallbackPublisher
	registry   *registry
	values     *valueTable
	dispatcher *dispatcher
	waiter     *serial.Waiter
	wires      map[string]*wire // by the id of the bus; kept, since a device may come back

	state struct {
		sync.Mutex
		owners []*owner
		ctx    context.Context // of Run while it lasts; nil before and after
		own    Session         // the manager's, likewise
		hears  bool            // own is subscribed to commands
		done   sync.WaitGroup
	}
}

// Status is one device at one moment.
type Status struct {
	Name   string
	Health Health
	// Values are the newest values of the entities that have one.
	Values []Value
	// Unsent counts publishes that the broker refused or did not take in time.
	Unsent uint64
	// Took is how long the last Read was on its way, the wait for the bus
	// included; 0 of a device that is not read at intervals.
	Took time.Duration
}

// Value is one entity's newest value.
type Value struct {
	Entity string
	Value  any // float64, int64, uint64, bool or string
	Unit   string
	At     time.Time
}

// New checks the options and makes a Manager. It touches neither hardware nor
// broker.
func New(o Options) (*Manager, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ClockSynced == nil {
		o.ClockSynced = ClockSynced
	}
	if o.Attach == nil {
		return nil, errors.New("sensors: no Attach")
	}
	if err := topic.ValidName(o.Base); err != nil {
		return nil, fmt.Errorf("sensors: base %q: %w", o.Base, err)
	}
	if !o.Payload.valid() {
		return nil, fmt.Errorf("sensors: payload %q does not exist", o.Payload)
	}
	m := &Manager{opt: o, out: &fallbackPublisher{}, registry: openRegistry(o.Registry, o.Log), wires: map[string]*wire{}, values: newValueTable(), dispatcher: newDispatcher(), waiter: serial.NewWaiter()}
	var err error
	m.state.owners, err = m.employ(o.Devices, nil)
	m.opt.Devices = nil // the owners have them
	return m, err
}

// employ makes the owners of devices, whose names may not be among others.
func (m *Manager) employ(devices []Device, others []*owner) (owners []*owner, err error) {
	seen := map[string]bool{}
	for _, o := range others {
		seen[o.dev.Name] = true
	}
	for _, d := range devices {
		d, err := d.withDefaults(&m.opt)
		if err != nil {
			return nil, fmt.Errorf("sensors: %w", err)
		}
		if seen[d.Name] {
			return nil, fmt.Errorf("sensors: device %q is listed twice", d.Name)
		}
		seen[d.Name] = true
		keep(d.Driver, m.opt.Totals, d.Name)
		w := newOwner(d, &m.opt, m.wireOf(d.Driver), m.values, m.out)
		w.registry, w.dispatcher, w.waiter = m.registry, m.dispatcher, m.waiter
		if err := w.guardOutputs(); err != nil {
			return nil, fmt.Errorf("sensors: device %q: %w", d.Name, err)
		}
		for i := range d.Entities {
			e := &d.Entities[i]
			if _, err := w.addEntity(e.Name, e); err != nil {
				return nil, fmt.Errorf("sensors: device %q: entity %q: %w", d.Name, e.Name, err)
			}
		}
		owners = append(owners, w)
	}
	return owners, nil
}

// wireOf returns the bus that the driver shares with others.
func (m *Manager) wireOf(d Driver) *wire {
	b, ok := d.(BusUser)
	if !ok || b.Bus() == "" {
		return nil
	}
	if m.wires[b.Bus()] == nil {
		m.wires[b.Bus()] = &wire{id: b.Bus(), log: m.opt.Log, slot: make(chan struct{}, 1)}
	}
	return m.wires[b.Bus()]
}

// Run reads and publishes until ctx ends; then it brings outputs to their
// on_stop state, publishes every device as offline and returns nil. It does
// not wait for a driver call that never returns.
func (m *Manager) Run(ctx context.Context) error {
	s, err := m.opt.Attach("sensors", nil, nil)
	if err != nil {
		return fmt.Errorf("attach sensors: %w", err)
	}
	m.out.set(s)
	m.state.Lock()
	owners := m.state.owners
	m.state.Unlock()
	m.sweep(ctx, nil, owners)
	m.announceGateway(ctx)
	rounds, rest := context.WithCancel(context.WithoutCancel(ctx))
	var post sync.WaitGroup
	post.Go(func() { m.dispatcher.run(rounds) })
	post.Go(func() { m.waiter.Run(rounds) })
	m.state.Lock()
	m.state.ctx, m.state.own = ctx, s
	m.state.done.Go(func() { m.answer(ctx, s) })
	for i, o := range m.state.owners {
		o.begins(ctx, startsAfter(i))
	}
	m.state.Unlock()
	<-ctx.Done()
	m.state.Lock()
	m.state.ctx, m.state.own = nil, nil // nobody starts any more
	for _, o := range m.state.owners {
		m.state.done.Go(o.ends)
	}
	m.state.Unlock()
	m.state.done.Wait()
	rest()
	post.Wait()
	m.out.set(nil)
	if err := s.DisconnectWithWill(); err != nil {
		m.opt.Log.Warn("session not ended", "client_id", "sensors", "err", err)
	}
	return nil
}

// Status returns every device in the order of Options.Devices. It may be
// called at any time from any goroutine.
func (m *Manager) Status() []Status {
	m.state.Lock()
	owners := m.state.owners // replaced, never changed
	m.state.Unlock()
	all := make([]Status, 0, len(owners))
	for _, o := range owners {
		o.shown.Lock()
		s := o.shown.Status
		s.Health, s.Values = s.Health.clone(), slices.Clone(s.Values)
		o.shown.Unlock()
		all = append(all, s)
	}
	return all
}

func (o *owner) publishStatus() {
	s := &o.shown.Status
	o.shown.Lock()
	defer o.shown.Unlock()
	s.Health, s.Unsent, s.Took, s.Values = o.health.clone(), o.unsent, o.took, s.Values[:0]
	for _, e := range o.entities {
		if e.has {
			s.Values = append(s.Values, Value{e.name, e.value().Value, e.unit, e.value().At})
		}
	}
}
