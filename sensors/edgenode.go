package sensors

import "context"

// EdgeNode publishes what devices with the payload Sparkplug have. Its methods
// are called by the devices' owners, side by side; ctx has a deadline. An error
// was logged.
type EdgeNode interface {
	// Born says that the device is online and what it has; again when it comes
	// back, also unseen.
	Born(ctx context.Context, p *Profile) error
	// Changed brings new values of an online device; a value that is nil was
	// withdrawn.
	Changed(ctx context.Context, device string, f []Feature) error
	// Died says that the device is offline.
	Died(ctx context.Context, device string) error
}

// tellNode hands what happened to the EdgeNode, for devices that have one.
func (o *owner) tellNode(ctx context.Context, f func(context.Context, EdgeNode) error) {
	if o.dev.Payload != Sparkplug {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	if err := f(ctx, o.opt.EdgeNode); err != nil {
		o.unsent++
	}
}

func (o *owner) tellBorn(ctx context.Context) {
	o.tellNode(ctx, func(ctx context.Context, n EdgeNode) error { return n.Born(ctx, o.profile()) })
}

func (o *owner) tellDied(ctx context.Context) {
	o.tellNode(ctx, func(ctx context.Context, n EdgeNode) error { return n.Died(ctx, o.dev.Name) })
}

// tellValues tells of entities with new values, or, when one was withdrawn,
// of that.
func (o *owner) tellValues(ctx context.Context, entities ...*entity) {
	var list []Feature
	controls := o.controls()
	for _, e := range entities {
		f := o.feature(e)
		if c, ok := controls[f.Name]; ok {
			f.Control = &c
		}
		list = append(list, f)
	}
	if len(list) > 0 {
		o.tellNode(ctx, func(ctx context.Context, n EdgeNode) error { return n.Changed(ctx, o.dev.Name, list) })
	}
}
