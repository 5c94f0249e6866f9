package mdns

import (
	"context"
	"errors"
	"fmt"
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
	maxRenames   = 15 // then it goes on slowly, RFC 6762, 8.1
)

// Run answers until ctx ends, or the socket fails: the link is gone.
func (r *Responder) Run(ctx context.Context) error {
	host := r.Name
	for n := 2; ; n++ {
		taken, err := r.hold(ctx, host)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !taken:
			continue
		}
		host = fmt.Sprintf("%s-%d", r.Name, n)
		r.Logf("another host has the name: now %s.local", host)
		if n > maxRenames {
			if _, err := r.listen(ctx, time.Now().Add(5*time.Second), host, false); err != nil {
				return err
			}
		}
	}
}

// hold probes for a name and answers for it, until another host has it.
func (r *Responder) hold(ctx context.Context, host string) (taken bool, err error) {
	for range 3 {
		if err := r.probe(host); err != nil {
			return false, err
		}
		if taken, err := r.listen(ctx, time.Now().Add(probeWait), host, false); taken || err != nil {
			return taken, err
		}
	}
	r.Logf("answering for %s.local", host)
	for {
		addrs := r.Addrs()
		for range 2 {
			if err := r.send(records(host, addrs, r.Services), Group); err != nil {
				return false, err
			}
			if taken, err := r.listen(ctx, time.Now().Add(time.Second), host, true); taken || err != nil {
				return taken, r.goodbye(ctx, host, err)
			}
		}
		for slices.Equal(addrs, r.Addrs()) {
			if taken, err := r.listen(ctx, time.Now().Add(time.Second), host, true); taken || err != nil {
				return taken, r.goodbye(ctx, host, err)
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

// probe asks whether anybody has the name, and says what is to be with it.
func (r *Responder) probe(host string) error {
	m := dnsmessage.Message{
		Questions:   []dnsmessage.Question{{Name: name(host), Type: dnsmessage.TypeALL, Class: dnsmessage.ClassINET}},
		Authorities: records(host, r.Addrs(), nil),
	}
	for i := range m.Authorities {
		m.Authorities[i].Header.Class &^= flush
	}
	b, err := m.Pack()
	if err != nil {
		return err
	}
	return r.Conn.Send(b, Group)
}

func (r *Responder) send(all []dnsmessage.Resource, to netip.AddrPort) error {
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}, Answers: all}
	b, err := m.Pack()
	if err != nil {
		return err
	}
	return r.Conn.Send(b, to)
}

// listen takes messages until end; taken says that another host has the name.
// It answers if the name is held already.
func (r *Responder) listen(ctx context.Context, end time.Time, host string, held bool) (taken bool, err error) {
	for time.Now().Before(end) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, from, err := r.Conn.Receive(r.buf[:], end)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return false, err
		}
		if r.Own(from.Addr()) {
			continue // by way of another link
		}
		var m dnsmessage.Message
		if m.Unpack(r.buf[:n]) != nil || m.OpCode != 0 {
			continue
		}
		if m.Response {
			if from.Port() == Group.Port() && claimed(&m, host, r.Addrs()) {
				return true, nil
			}
		} else if held {
			if err := r.answer(&m, from, host); err != nil {
				return false, err
			}
		}
	}
	return false, ctx.Err()
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
