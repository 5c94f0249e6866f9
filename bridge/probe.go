package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Step is one thing that a Test has tried.
type Step struct {
	Name   string // config, clock, connect, mqtt; of a failure its Class
	Detail string
	Err    error // nil: it works
}

// Test tries the way to the server without touching the session there: it
// connects as another client, client_id with "-test" behind it, and tells each
// step as it is done. It returns the last failure, nil when a server of the
// list is ready to work; if the bridge waits to try again, it does so now. It
// blocks for up to 45 s a server.
func (b *Bridge) Test(ctx context.Context, report func(Step)) error {
	o := b.o
	o.ClientID += "-test"
	o.StatusTopic, o.SessionExpiry, o.Edge = "", time.Second, nil
	report(Step{Name: "config", Detail: fmt.Sprintf("routes: %d out, %d in", len(o.Out), len(o.In))})
	clock := "synchronized"
	if !o.ClockSynced() {
		clock = "not synchronized: certificates may look expired, or not yet valid"
	}
	report(Step{Name: "clock", Detail: clock})
	d, err := newDialer(&o)
	if err != nil {
		return err
	}
	for _, s := range b.servers {
		if err = probe(ctx, d, &o, s, report); err == nil {
			knock(b.reached)
			return nil
		}
		f := classify(err, time.Now())
		if st := b.Stats(); st.State == Up && st.Server == s.address() && (f.class == ClassAuth || errors.Is(err, errNoConnack)) {
			report(Step{Name: "mqtt", Detail: fmt.Sprintf("%s is let in, %s is not: %v", b.o.ClientID, o.ClientID, f)})
			return nil
		}
		report(Step{Name: string(f.class), Detail: s.address(), Err: f})
		err = f
	}
	return err
}

func probe(ctx context.Context, d *dialer, o *Options, s server, report func(Step)) error {
	began := time.Now()
	c, err := d.connect(ctx, s)
	if err != nil {
		return err
	}
	report(Step{Name: "connect", Detail: fmt.Sprintf("%s in %v", s.address(), time.Since(began).Round(time.Millisecond))})
	in, err := o.login(s.host, time.Now())
	if err != nil {
		_ = c.Close()
		return err
	}
	var lim limits
	in.clean = true // before 5.0 a session would stay for ever
	u, err := connectUpstream(ctx, c, o, in, callbacks{
		connected:    func(l limits) { lim = l },
		acknowledged: func(ackKind, uint16, mqtt.ReasonCode, time.Time) {},
		settle:       func() error { return nil },
		settled:      func() {},
		received:     func(inbound) (mqtt.ReasonCode, error) { return mqtt.Success, nil },
		released:     func(uint16) (mqtt.ReasonCode, error) { return mqtt.Success, nil },
	})
	if err != nil {
		return err
	}
	u.close(mqtt.NormalDisconnection, true)
	size := "any size"
	if lim.packetSize > 0 {
		size = fmt.Sprintf("packets up to %d bytes", lim.packetSize)
	}
	retain := "retained messages"
	if !lim.retain {
		retain = "no retained messages"
	}
	report(Step{Name: "mqtt", Detail: fmt.Sprintf("accepted: QoS %d, %s, %s, %d in flight", lim.maximumQoS, retain, size, lim.receiveMaximum)})
	return nil
}
