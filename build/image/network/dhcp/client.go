package dhcp

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/arp"
)

// How the link is asked for an address that a server gave. RFC 5227 would
// take up to nine seconds; a user waits for the board.
const (
	probes     = 2
	probePause = 200 * time.Millisecond
)

// Client runs a Machine on a link.
type Client struct {
	Machine *Machine // kept by the caller: it remembers the last address
	Conn    Conn
	ARP     func() (arp.Conn, error) // opens the link's ARP socket
	Use     func(Lease)              // called for each lease, and with the zero Lease when there is none
	Logf    func(format string, args ...any)
}

// Run keeps the link's address until ctx ends, or a socket fails: the link is
// gone. It does not take the address away at its end.
func (c *Client) Run(ctx context.Context) error {
	within, cancel := context.WithCancel(ctx)
	received := make(chan *Message)
	failed := make(chan error, 1)
	var receiver sync.WaitGroup
	receiver.Go(func() { failed <- c.receive(within, received) })
	r := &run{Client: c, undefend: func() {}, lost: make(chan netip.Addr)}
	err := r.loop(within, received, failed)
	cancel()
	r.releaseLocal()
	receiver.Wait() // it looks at its context each second
	r.defenders.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// receive hands on what comes, until ctx ends.
func (c *Client) receive(ctx context.Context, to chan<- *Message) error {
	for ctx.Err() == nil {
		m, err := c.Conn.Receive(time.Now().Add(time.Second))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return err
		}
		select {
		case to <- m:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// run is a running Client, and the holder of its link-local address.
type run struct {
	*Client
	stopLocal context.CancelFunc // nil: there is none
	local     sync.WaitGroup
	undefend  context.CancelFunc // the lease's address is given up
	defenders sync.WaitGroup
	lost      chan netip.Addr // that another host insists on
}

func (r *run) loop(ctx context.Context, received <-chan *Message, failed <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for step := r.Machine.Start(time.Now()); ; {
		if err := r.do(ctx, step); err != nil {
			return err
		}
		if r.Machine.Silent() && r.stopLocal == nil {
			r.holdLocal(ctx)
		}
		var tick <-chan time.Time
		if due := r.Machine.Due(); !due.IsZero() {
			timer.Reset(time.Until(due))
			tick = timer.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case a := <-r.lost:
			step = r.Machine.Conflict(time.Now(), a)
		case m := <-received:
			step = r.Machine.Received(time.Now(), m)
		case <-tick:
			step = r.Machine.Tick(time.Now())
		}
	}
}

// do carries out a step, and the one that a probe leads to.
func (r *run) do(ctx context.Context, s Step) error {
	if s.Note != "" {
		r.Logf("%s", s.Note)
	}
	if s.Lost {
		r.undefend()
		r.Use(Lease{})
	}
	if s.Send != nil {
		if err := r.Conn.Send(s.Send, s.To); err != nil {
			r.Logf("send: %v", err) // asked again later, by broadcast in the end
		}
	}
	if s.Probe.IsValid() {
		return r.probe(ctx, s.Probe)
	}
	if s.Lease != nil {
		r.releaseLocal()
		r.Use(*s.Lease)
	}
	return nil
}

// probe asks the link for an address, and goes on with the answer.
func (r *run) probe(ctx context.Context, addr netip.Addr) error {
	socket, err := r.ARP()
	if err != nil {
		return err
	}
	taken, err := arp.Taken(ctx, socket, r.Machine.Hardware, addr, probes, probePause)
	if err == nil {
		err = r.do(ctx, r.Machine.Probed(time.Now(), taken))
	}
	if err != nil || taken {
		return errors.Join(err, socket.Close())
	}
	r.defend(ctx, socket, addr)
	return nil
}

// defend defends the lease's address until it is given up, or another host
// insists on it. A socket that fails is the link's end, which ends Run.
func (r *run) defend(ctx context.Context, socket arp.Conn, addr netip.Addr) {
	ctx, r.undefend = context.WithCancel(ctx)
	r.defenders.Go(func() {
		defer socket.Close()
		if arp.Defend(ctx, socket, r.Machine.Hardware, addr) != nil {
			return
		}
		select {
		case r.lost <- addr:
		case <-ctx.Done():
		}
	})
}

// holdLocal lets the link have an address of 169.254/16 from now on.
func (r *run) holdLocal(ctx context.Context) {
	ctx, r.stopLocal = context.WithCancel(ctx)
	r.Logf("no DHCP server answers, or none to any use: taking a link-local address, and asking on")
	r.local.Go(func() {
		socket, err := r.ARP()
		if err != nil {
			r.Logf("link-local address: %v", err)
			return
		}
		defer socket.Close()
		err = arp.Hold(ctx, socket, r.Machine.Hardware, func(a netip.Addr) {
			if !a.IsValid() {
				r.Use(Lease{})
				return
			}
			r.Use(Lease{Address: netip.PrefixFrom(a, arp.LinkLocal.Bits())})
		})
		if ctx.Err() == nil {
			r.Logf("link-local address: %v", err)
		}
	})
}

// releaseLocal gives the link-local address up, if there is one.
func (r *run) releaseLocal() {
	if r.stopLocal != nil {
		r.stopLocal()
		r.local.Wait()
		r.stopLocal = nil
	}
}
