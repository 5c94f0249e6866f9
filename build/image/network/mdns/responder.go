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

// Group and Group6 are where mDNS is spoken.
var (
	Group  = netip.MustParseAddrPort("224.0.0.251:5353")
	Group6 = netip.MustParseAddrPort("[ff02::fb]:5353")
)

// Conn is a link's mDNS socket. Addresses have no zones.
type Conn interface {
	Send(b []byte, to netip.AddrPort) error
	Receive(b []byte, deadline time.Time) (n int, from netip.AddrPort, err error)
	Close() error
}

// Responder answers for a host on one link.
type Responder struct {
	Name     string                // a label
	Services func() []Service      // what the host serves, now
	Addrs    func() []netip.Prefix // the link's, now
	Own      func(netip.Addr) bool // an address of this host, on any link
	Conn     Conn
	Logf     func(format string, args ...any)

	services  []Service // that are probed for, and answered for
	buf       [9000]byte
	second    time.Time // of the answers counted
	responses int
}

const (
	probeWait    = 250 * time.Millisecond
	maxResponses = 20 // a second
	maxConflicts = 15 // one after the other, then it goes on slowly, RFC 6762, 8.1
	slowly       = 5 * time.Second
)

// verdict is what the messages of others say of a name.
type verdict int

const (
	free   verdict = iota
	taken          // another host has it
	later          // another host that probes for it comes first
	shared         // another host has it, beside this one
)

// Run answers until ctx ends, or the socket fails: the link is gone.
func (r *Responder) Run(ctx context.Context) error {
	host, conflicts := r.Name, 0
	last := time.Now() // when there was a conflict
	for n := 2; ; {
		r.services = r.Services()
		says, err := r.probe(ctx, host)
		if says == free && err == nil {
			says, err = r.hold(ctx, host)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if says == free {
			continue // what is served is not what it was
		}
		if conflicts++; time.Since(last) > 2*slowly {
			conflicts = 1
		}
		last = time.Now()
		pause := time.Duration(0)
		switch {
		case conflicts > maxConflicts:
			pause = slowly
		case says == later:
			pause = time.Second // the other has the name by then, or is gone, 8.2
		}
		if says == taken {
			host = label(r.Name, fmt.Sprintf("-%d", n))
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

// hold announces the name and what is served, and answers for it: until
// another host has the name too, which is shared and probed for again (RFC
// 6762, 9), or until something else is served.
func (r *Responder) hold(ctx context.Context, host string) (says verdict, err error) {
	r.Logf("answering for %s.local%s", host, list(r.services))
	for {
		addrs := r.Addrs()
		for range 2 {
			if err := r.send(records(host, addrs, r.services), groups(addrs)...); err != nil {
				return free, err
			}
			if says, err := r.listen(ctx, time.Now().Add(time.Second), host, holding); says != free || err != nil {
				return shared, r.goodbye(ctx, host, err)
			}
		}
		for slices.Equal(addrs, r.Addrs()) {
			if next := r.Services(); !slices.Equal(next, r.services) {
				return free, r.withdraw(host, next)
			}
			if says, err := r.listen(ctx, time.Now().Add(time.Second), host, holding); says != free || err != nil {
				return shared, r.goodbye(ctx, host, err)
			}
		}
	}
}

// list is ": _mqtt._tcp 1883, _http._tcp 8083" for the log.
func list(services []Service) (text string) {
	for i, s := range services {
		sign := ", "
		if i == 0 {
			sign = ": "
		}
		text += fmt.Sprintf("%s%s %d", sign, s.Type, s.Port)
	}
	return text
}

// goodbye takes all records back when ctx has ended (RFC 6762, 10.1).
func (r *Responder) goodbye(ctx context.Context, host string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return errors.Join(err, r.takeBack(records(host, r.Addrs(), r.services)))
}

// withdraw takes back what is not served any more.
func (r *Responder) withdraw(host string, next []Service) error {
	addrs := r.Addrs()
	stay := records(host, addrs, next)
	return r.takeBack(slices.DeleteFunc(records(host, addrs, r.services), func(o dnsmessage.Resource) bool { return known(o, stay) }))
}

func (r *Responder) takeBack(all []dnsmessage.Resource) error {
	if len(all) == 0 {
		return nil
	}
	for i := range all {
		all[i].Header.TTL = 0
	}
	return r.send(all, groups(r.Addrs())...)
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
	return r.sendTo(b, groups(r.Addrs()))
}

// unique are the records of now whose names are only ours.
func (r *Responder) unique(host string) []dnsmessage.Resource {
	return unique(records(host, r.Addrs(), r.services))
}

// groups are where a host with these addresses is heard.
func groups(addrs []netip.Prefix) (all []netip.AddrPort) {
	if slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
		all = append(all, Group)
	}
	if slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		all = append(all, Group6)
	}
	return all
}

func (r *Responder) send(all []dnsmessage.Resource, to ...netip.AddrPort) error {
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}, Answers: all}
	b, err := m.Pack()
	if err != nil {
		return err
	}
	return r.sendTo(b, to)
}

func (r *Responder) sendTo(b []byte, to []netip.AddrPort) (failed error) {
	for _, a := range to {
		failed = errors.Join(failed, r.Conn.Send(b, a))
	}
	return failed
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
	out := answers(q, records(host, addrs, r.services))
	if len(out) == 0 || !near || !r.room() {
		return nil
	}
	if from.Port() != Group.Port() {
		return r.legacy(q, out, from)
	}
	if from.Addr().Is6() {
		return r.send(out, Group6)
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
