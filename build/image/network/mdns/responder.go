package mdns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Group is where mDNS is spoken.
var Group = netip.MustParseAddrPort("224.0.0.251:5353")

// Conn is a link's mDNS socket.
type Conn interface {
	Send(b []byte, to netip.AddrPort) error
	Receive(b []byte, deadline time.Time) (n int, from netip.AddrPort, err error)
	Close() error
}

// Responder answers for a host on one link.
type Responder struct {
	Name     string // a label
	Services []Service
	Addrs    func() []netip.Prefix // the link's, now
	Own      func(netip.Addr) bool // an address of this host, on any link
	Conn     Conn
	Logf     func(format string, args ...any)

	buf       [9000]byte
	second    time.Time // of the answers counted
	responses int
}

const (
	probeWait    = 250 * time.Millisecond
	maxResponses = 20 // a second
	maxConflicts = 15 // then it goes on slowly, RFC 6762, 8.1
)

// verdict is what the messages of others say of a name.
type verdict int

const (
	free  verdict = iota
	taken         // another host has it
	later         // another host that probes for it comes first
)

// Run answers until ctx ends, or the socket fails: the link is gone.
func (r *Responder) Run(ctx context.Context) error {
	host := r.Name
	for n, conflicts := 2, 1; ; conflicts++ {
		says, err := r.probe(ctx, host)
		if says == free && err == nil {
			err = r.hold(ctx, host) // until somebody else has it too: then it probes again, RFC 6762, 9
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		pause := time.Duration(0)
		switch {
		case conflicts > maxConflicts:
			pause = 5 * time.Second
		case says == later:
			pause = time.Second // the other has the name by then, or is gone, 8.2
		}
		if says == taken {
			host = fmt.Sprintf("%s-%d", r.Name, n)
			n++
			r.Logf("another host has the name: now %s.local", host)
		}
		if _, err := r.listen(ctx, time.Now().Add(pause), host, pausing); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// probe asks three times whether anybody has the name (RFC 6762, 8.1).
func (r *Responder) probe(ctx context.Context, host string) (verdict, error) {
	// Boards that get their power at one time do not ask at one time.
	end := time.Now().Add(rand.N(probeWait))
	for range 3 {
		if says, err := r.listen(ctx, end, host, probing); says != free || err != nil {
			return says, err
		}
		if err := r.ask(host); err != nil {
			return free, err
		}
		end = time.Now().Add(probeWait)
	}
	return r.listen(ctx, end, host, probing)
}

// hold announces the name and answers for it, until another host has it.
func (r *Responder) hold(ctx context.Context, host string) error {
	r.Logf("answering for %s.local", host)
	for {
		addrs := r.Addrs()
		for range 2 {
			if err := r.send(records(host, addrs, r.Services), Group); err != nil {
				return err
			}
			if says, err := r.listen(ctx, time.Now().Add(time.Second), host, holding); says != free || err != nil {
				return r.goodbye(ctx, host, err)
			}
		}
		for slices.Equal(addrs, r.Addrs()) {
			if says, err := r.listen(ctx, time.Now().Add(time.Second), host, holding); says != free || err != nil {
				return r.goodbye(ctx, host, err)
			}
		}
	}
}

// goodbye takes all records back when ctx has ended (RFC 6762, 10.1).
func (r *Responder) goodbye(ctx context.Context, host string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	all := records(host, r.Addrs(), r.Services)
	for i := range all {
		all[i].Header.TTL = 0
	}
	return errors.Join(err, r.send(all, Group))
}

// ask asks whether anybody has the names that are to be only ours, and says
// what is to be with them.
func (r *Responder) ask(host string) error {
	m := dnsmessage.Message{Authorities: r.unique(host)}
	for i := range m.Authorities {
		h := &m.Authorities[i].Header
		h.Class &^= flush
		q := dnsmessage.Question{Name: h.Name, Type: dnsmessage.TypeALL, Class: dnsmessage.ClassINET}
		if !slices.Contains(m.Questions, q) {
			m.Questions = append(m.Questions, q)
		}
	}
	b, err := m.Pack()
	if err != nil {
		return err
	}
	return r.Conn.Send(b, Group)
}

// unique are the records of now whose names are only ours.
func (r *Responder) unique(host string) []dnsmessage.Resource {
	return unique(records(host, r.Addrs(), r.Services))
}

func (r *Responder) send(all []dnsmessage.Resource, to netip.AddrPort) error {
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}, Answers: all}
	b, err := m.Pack()
	if err != nil {
		return err
	}
	return r.Conn.Send(b, to)
}

// What listen does meanwhile.
type doing int

const (
	pausing doing = iota
	probing       // others' probes count
	holding       // questions are answered
)

// listen takes messages until end, or until one says something of the name.
func (r *Responder) listen(ctx context.Context, end time.Time, host string, what doing) (verdict, error) {
	for time.Now().Before(end) {
		if err := ctx.Err(); err != nil {
			return free, err
		}
		n, from, err := r.Conn.Receive(r.buf[:], end)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return free, err
		}
		if r.Own(from.Addr()) {
			continue // by way of another link
		}
		var m dnsmessage.Message
		if m.Unpack(r.buf[:n]) != nil || m.OpCode != 0 {
			continue
		}
		switch {
		case m.Response && what != pausing:
			if from.Port() == Group.Port() && claimed(&m, r.unique(host)) {
				return taken, nil
			}
		case !m.Response && what == probing:
			if from.Port() == Group.Port() && loses(&m, r.unique(host)) {
				return later, nil
			}
		case !m.Response && what == holding:
			if err := r.answer(&m, from, host); err != nil {
				return free, err
			}
		}
	}
	return free, ctx.Err()
}

// answer answers one query, of a neighbor's.
func (r *Responder) answer(q *dnsmessage.Message, from netip.AddrPort, host string) error {
	addrs := r.Addrs()
	near := slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Contains(from.Addr()) })
	out := answers(q, records(host, addrs, r.Services))
	if len(out) == 0 || !near || !r.room() {
		return nil
	}
	if from.Port() != Group.Port() {
		return r.legacy(q, out, from)
	}
	return r.send(out, Group)
}

// legacy answers a resolver that asked as if it were DNS (RFC 6762, 6.7).
func (r *Responder) legacy(q *dnsmessage.Message, out []dnsmessage.Resource, to netip.AddrPort) error {
	for i := range out {
		out[i].Header.Class &^= flush
		out[i].Header.TTL = min(out[i].Header.TTL, legacyTTL)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true}, Questions: q.Questions, Answers: out}
	b, err := m.Pack()
	if err != nil {
		return nil // a question that cannot be repeated
	}
	return r.Conn.Send(b, to)
}

// room counts the answers of each second.
func (r *Responder) room() bool {
	if now := time.Now(); now.Sub(r.second) >= time.Second {
		r.second, r.responses = now, 0
	}
	r.responses++
	return r.responses <= maxResponses
}
