package sensors

import "context"

// Speaker says what devices with the payload Sparkplug have to say. Its methods
// are called by the devices' owners, side by side; ctx has a deadline. An error
// was logged.
type Speaker interface {
	// Born says that the device is online and what it has; again when it comes
	// back, also unseen.
	Born(ctx context.Context, p *Profile) error
	// Changed brings new values of an online device; a value that is nil was
	// withdrawn.
	Changed(ctx context.Context, device string, f []Feature) error
	// Died says that the device is offline.
	Died(ctx context.Context, device string) error
}

// speak hands what happened to the Speaker, for devices that have one.
func (o *owner) speak(ctx context.Context, f func(context.Context, Speaker) error) {
	if o.dev.Payload != Sparkplug {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	if err := f(ctx, o.opt.Speaker); err != nil {
		o.unsent++
	}
}

func (o *owner) speakBorn(ctx context.Context) {
	o.speak(ctx, func(ctx context.Context, s Speaker) error { return s.Born(ctx, o.profile()) })
}

func (o *owner) speakDied(ctx context.Context) {
	o.speak(ctx, func(ctx context.Context, s Speaker) error { return s.Died(ctx, o.dev.Name) })
}

// speakValues tells of entities with new values, or, when one was withdrawn,
// of that.
func (o *owner) speakValues(ctx context.Context, entities ...*entity) {
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
		o.speak(ctx, func(ctx context.Context, s Speaker) error { return s.Changed(ctx, o.dev.Name, list) })
	}
}
