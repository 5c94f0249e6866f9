package dhcp

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/arp"
)

var (
	own    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	other  = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	server = netip.MustParseAddr("10.0.0.1")
)

// lan is a link with one server and other hosts.
type lan struct {
	sync.Mutex
	off     bool       // the server is silent
	give    netip.Addr // what it offers
	says    Kind       // in place of ACK
	expire  uint32     // seconds
	taken   map[netip.Addr]bool
	proxy   bool         // somebody answers for every address
	told    []arp.Packet // announcements
	heard   []*Message
	to      []netip.Addr
	answers chan *Message
	sockets []*hosts // of ARP, that are open
	used    []Lease
	start   time.Time
	at      []time.Duration // of each use
}

func newLAN() *lan {
	return &lan{give: netip.MustParseAddr("10.0.0.50"), says: Ack, expire: 3600, taken: map[netip.Addr]bool{},
		answers: make(chan *Message, 16), start: time.Now()}
}

func (l *lan) Send(m *Message, to netip.Addr) error {
	l.Lock()
	defer l.Unlock()
	m, err := Parse(m.Append(nil)) // what goes over the wire
	if err != nil {
		return err
	}
	l.heard, l.to = append(l.heard, m), append(l.to, to)
	reply := &Message{Reply: true, XID: m.XID, Hardware: m.Hardware, Your: l.give, Options: map[byte][]byte{
		optServer: server.AsSlice(), optMask: {255, 255, 255, 0}, optRouter: server.AsSlice(),
		optLeaseTime: {byte(l.expire >> 24), byte(l.expire >> 16), byte(l.expire >> 8), byte(l.expire)},
	}}
	switch kind := m.Kind(); {
	case l.off || kind != Discover && kind != Request:
		return nil
	case kind == Discover:
		reply.Options[optKind] = []byte{byte(Offer)}
	case kind == Request:
		reply.Options[optKind] = []byte{byte(l.says)}
	}
	l.answers <- reply
	return nil
}

func (l *lan) Receive(deadline time.Time) (*Message, error) {
	select {
	case m := <-l.answers:
		return Parse(m.Append(nil))
	case <-time.After(time.Until(deadline)):
		return nil, os.ErrDeadlineExceeded
	}
}

func (l *lan) Close() error { return nil }

// hosts is an ARP socket: what it sends, the lan's other machines answer for
// their addresses; all sockets hear that.
type hosts struct {
	*lan
	in chan arp.Packet
}

func (l *lan) dialARP() (arp.Conn, error) {
	l.Lock()
	defer l.Unlock()
	h := &hosts{l, make(chan arp.Packet, 16)}
	l.sockets = append(l.sockets, h)
	return h, nil
}

// another lets another machine send a packet. The lock is held.
func (l *lan) another(p arp.Packet) {
	for _, h := range l.sockets {
		h.in <- p
	}
}

func (h *hosts) Send(p arp.Packet) error {
	h.Lock()
	defer h.Unlock()
	if p.Sender == p.Target {
		h.told = append(h.told, p)
		return nil
	}
	if h.taken[p.Target] || h.proxy {
		h.another(arp.Packet{Reply: true, SenderHardware: other, Sender: p.Target, TargetHardware: own, Target: netip.IPv4Unspecified()})
	}
	return nil
}

func (h *hosts) Receive(deadline time.Time) (arp.Packet, error) {
	select {
	case p := <-h.in:
		return p, nil
	case <-time.After(time.Until(deadline)):
		return arp.Packet{}, os.ErrDeadlineExceeded
	}
}

func (h *hosts) Only(netip.Addr) error { return nil }

func (h *hosts) Close() error {
	h.Lock()
	defer h.Unlock()
	h.sockets = slices.DeleteFunc(h.sockets, func(s *hosts) bool { return s == h })
	return nil
}

// change changes the lan while the client waits.
func (l *lan) change(f func()) {
	synctest.Wait()
	l.Lock()
	defer l.Unlock()
	f()
}

// kinds are the messages heard since the last call.
func (l *lan) kinds() (kinds []Kind) {
	synctest.Wait()
	l.Lock()
	defer l.Unlock()
	for _, m := range l.heard {
		kinds = append(kinds, m.Kind())
	}
	l.heard, l.to = nil, nil
	return kinds
}

// address is what the link has now, and since when.
func (l *lan) address() (netip.Addr, time.Duration) {
	synctest.Wait()
	l.Lock()
	defer l.Unlock()
	if len(l.used) == 0 {
		return netip.Addr{}, 0
	}
	return l.used[len(l.used)-1].Address.Addr(), l.at[len(l.at)-1]
}

// run runs a client on the lan until stop.
func (l *lan) run(t *testing.T, m *Machine) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &Client{Machine: m, Conn: l, ARP: l.dialARP, Logf: t.Logf, Use: func(lease Lease) {
		l.Lock()
		defer l.Unlock()
		l.used, l.at = append(l.used, lease), append(l.at, time.Since(l.start))
	}}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func machine() *Machine {
	n := uint32(0)
	return &Machine{Hardware: own, Hostname: "dunlin-77aa", Random: func() uint32 { n += 250; return n }}
}

func TestClient(t *testing.T) {
	run := func(name string, f func(t *testing.T, l *lan)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, newLAN()) }) })
	}
	want := func(t *testing.T, what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	kinds := func(t *testing.T, l *lan, expected ...Kind) {
		t.Helper()
		if got := l.kinds(); !slices.Equal(got, expected) {
			t.Errorf("heard %v, want %v", got, expected)
		}
	}

	run("RFC2131-3.1 an address within a second, and the host's name told", func(t *testing.T, l *lan) {
		defer l.run(t, machine())()
		time.Sleep(time.Second)
		a, since := l.address()
		want(t, "address", a, l.give)
		want(t, "after", since, probes*probePause)
		if got := string(l.heard[0].Options[optHostname]); got != "dunlin-77aa" {
			t.Errorf("host name %q", got)
		}
		kinds(t, l, Discover, Request)
	})
	run("RFC5227-2.3 the address is announced, once it is used", func(t *testing.T, l *lan) {
		defer l.run(t, machine())()
		time.Sleep(time.Hour)
		l.change(func() {
			if len(l.told) != 2 || l.told[0].Sender != l.give || len(l.used) < 2 {
				t.Errorf("announced %v after %d uses", l.told, len(l.used))
			}
		})
	})
	run("RFC5227-2.4 the address is defended once, and given up for another at the second conflict", func(t *testing.T, l *lan) {
		defer l.run(t, machine())()
		time.Sleep(time.Minute)
		first := l.give
		l.change(func() { l.told = nil })
		probe := arp.Packet{SenderHardware: other, Sender: netip.IPv4Unspecified(), Target: first}
		conflict := arp.Packet{SenderHardware: other, Sender: first, Target: first}
		for _, p := range []arp.Packet{probe, probe, probe, conflict} {
			l.change(func() { l.another(p) })
		}
		l.change(func() {
			if len(l.told) != 1 || l.told[0].Sender != first {
				t.Errorf("defended by %v", l.told)
			}
		})
		if a, _ := l.address(); a != first {
			t.Errorf("gave up for %v at the first conflict", a)
		}
		time.Sleep(time.Minute) // far enough to be another first one
		l.change(func() { l.another(conflict) })
		kinds(t, l, Discover, Request)
		l.change(func() { l.give, l.told = netip.MustParseAddr("10.0.0.51"), nil; l.another(conflict) })
		if a, _ := l.address(); a.IsValid() {
			t.Errorf("still uses %v", a)
		}
		kinds(t, l, Decline)
		time.Sleep(declineWait + time.Second)
		a, _ := l.address()
		want(t, "another address", a, l.give)
		l.change(func() { l.another(conflict); l.another(conflict) }) // of what is not ours any more
		kinds(t, l, Discover, Request)
		if a, _ := l.address(); a != l.give {
			t.Errorf("%v given up, for a conflict of another", l.give)
		}
	})
	run("RFC3927-2 offers that come to nothing: a link-local address", func(t *testing.T, l *lan) {
		l.says = Nak
		defer l.run(t, machine())()
		time.Sleep(2 * time.Minute)
		a, _ := l.address()
		want(t, "link-local", arp.LinkLocal.Contains(a), true)
		l.change(func() { l.says = Ack })
		time.Sleep(2 * time.Minute)
		a, _ = l.address()
		want(t, "address of the server that is well again", a, l.give)
	})
	run("RFC3927-2 all addresses are declined: a link-local one as soon as there is one", func(t *testing.T, l *lan) {
		l.proxy = true
		defer l.run(t, machine())()
		time.Sleep(2 * time.Minute)
		if a, _ := l.address(); a.IsValid() {
			t.Errorf("used %v", a)
		}
		l.change(func() { l.proxy, l.taken[l.give] = false, true })
		time.Sleep(2 * time.Minute)
		a, _ := l.address()
		want(t, "link-local", arp.LinkLocal.Contains(a), true)
	})
	run("RFC2131-4.4.5 renewed at T1 by the server, at T2 by any, given up at the end", func(t *testing.T, l *lan) {
		defer l.run(t, machine())()
		time.Sleep(time.Second)
		kinds(t, l, Discover, Request)
		time.Sleep(30 * time.Minute)
		l.change(func() {
			if len(l.to) != 1 || l.to[0] != server || l.heard[0].Client != l.give {
				t.Errorf("asked %v", l.to)
			}
		})
		kinds(t, l, Request)
		l.change(func() { l.off = true })
		time.Sleep(45 * time.Minute) // T2 of the renewed lease is at 52:30 of it
		if a, _ := l.address(); a != l.give {
			t.Errorf("given up early: %v", a)
		}
		kinds(t, l, Request, Request) // at T1, and half way to T2
		time.Sleep(10 * time.Minute)
		l.change(func() {
			if last := l.to[len(l.to)-1]; last.IsValid() {
				t.Errorf("after T2 asked %v, want everybody", last)
			}
		})
		time.Sleep(6 * time.Minute)
		l.change(func() {
			if !slices.ContainsFunc(l.used, func(u Lease) bool { return !u.Address.IsValid() }) {
				t.Error("kept after its end")
			}
			l.off = false
		})
		time.Sleep(70 * time.Second)
		a, _ := l.address()
		want(t, "address of the server that is back", a, l.give)
	})
	run("RFC2131-3.2 the link comes back: the same address is asked for, a no is taken", func(t *testing.T, l *lan) {
		m := machine()
		stop := l.run(t, m)
		time.Sleep(time.Second)
		stop()
		kinds(t, l, Discover, Request)
		stop = l.run(t, m)
		time.Sleep(time.Second)
		stop()
		kinds(t, l, Request)
		l.says = Nak
		l.give = netip.MustParseAddr("10.0.0.99")
		stop = l.run(t, m)
		time.Sleep(time.Millisecond)
		l.change(func() { l.says = Ack })
		time.Sleep(90 * time.Second)
		stop()
		a, _ := l.address()
		want(t, "address", a, l.give)
	})
	run("RFC2131-3.1-5 an address that somebody has is declined", func(t *testing.T, l *lan) {
		taken := l.give
		l.taken[taken] = true
		defer l.run(t, machine())()
		time.Sleep(5 * time.Second)
		if a, _ := l.address(); a.IsValid() {
			t.Errorf("used %v", a)
		}
		kinds(t, l, Discover, Request, Decline)
		l.change(func() { l.give = netip.MustParseAddr("10.0.0.51") })
		time.Sleep(declineWait)
		a, _ := l.address()
		want(t, "address", a, l.give)
	})
	run("RFC3927-2 nobody answers: a link-local address, until somebody does", func(t *testing.T, l *lan) {
		l.off = true
		defer l.run(t, machine())()
		time.Sleep(30 * time.Second)
		a, since := l.address()
		if !arp.LinkLocal.Contains(a) || since > 15*time.Second {
			t.Errorf("%v after %v", a, since)
		}
		l.change(func() { l.another(arp.Packet{SenderHardware: other, Sender: a, Target: a}) }) // defended
		time.Sleep(time.Second)
		if b, _ := l.address(); b != a {
			t.Errorf("gave %v up for %v at the first conflict", a, b)
		}
		l.change(func() { l.another(arp.Packet{SenderHardware: other, Sender: a, Target: a}) })
		time.Sleep(10 * time.Second)
		if b, _ := l.address(); b == a || !arp.LinkLocal.Contains(b) {
			t.Errorf("after two conflicts %v", b)
		}
		n := len(l.kinds())
		time.Sleep(time.Hour)
		if n = len(l.kinds()); n < 50 || n > 65 {
			t.Errorf("%d DISCOVERs an hour", n)
		}
		l.change(func() { l.off = false })
		time.Sleep(70 * time.Second)
		a, _ = l.address()
		want(t, "address", a, l.give)
	})
}

// A server whose offers are of no use is told of once a question, however many
// it sends: the console is slow.
func TestRefusedOffersAreToldOnce(t *testing.T) {
	m := machine()
	asked := m.Start(time.Now()).Send
	bad := &Message{Reply: true, XID: asked.XID, Hardware: own, Your: netip.MustParseAddr("10.0.0.50"), Options: map[byte][]byte{optKind: {byte(Offer)}}}
	told := 0
	for range 1000 {
		if m.Received(time.Now(), bad).Note != "" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// TestOddServers says things to a machine that a hostile or a wrong server on
// the link could.
func TestOddServers(t *testing.T) {
	now := time.Now()
	says := func(m *Machine, kind Kind, change func(*Message)) *Message {
		msg := ack(nil)
		msg.XID = m.xid
		msg.Options[optKind] = []byte{byte(kind)}
		if change != nil {
			change(msg)
		}
		return msg
	}
	bound := func(t *testing.T) *Machine {
		m := machine()
		m.Start(now)
		m.Received(now, says(m, Offer, nil))
		if s := m.Received(now, says(m, Ack, nil)); !s.Probe.IsValid() {
			t.Fatalf("%+v", s)
		}
		if s := m.Probed(now, false); s.Lease == nil {
			t.Fatalf("%+v", s)
		}
		return m
	}
	t.Run("what is not for this host, or not for now, changes nothing", func(t *testing.T) {
		for name, change := range map[string]func(*Message){
			"another transaction":  func(m *Message) { m.XID++ },
			"another host":         func(m *Message) { m.Hardware = other },
			"another host's wish":  func(m *Message) { m.Reply = false },
			"nobody's NAK":         func(m *Message) { m.Options[optKind], m.Options[optServer] = []byte{byte(Nak)}, nil },
			"another server's NAK": func(m *Message) { m.Options[optKind], m.Options[optServer] = []byte{byte(Nak)}, []byte{10, 6, 6, 6} },
		} {
			m := machine()
			m.Start(now)
			m.Received(now, says(m, Offer, nil)) // REQUEST is sent
			if s := m.Received(now, says(m, Ack, change)); s != (Step{}) || m.state != requesting {
				t.Errorf("%s: %+v", name, s)
			}
		}
	})
	t.Run("RFC2131-4.4.5 a renewal with another network is a new address", func(t *testing.T) {
		m := bound(t)
		now := m.Due()
		m.Tick(now)
		s := m.Received(now, says(m, Ack, func(m *Message) { m.Options[optMask] = []byte{255, 255, 0, 0} }))
		if !s.Lost || s.Probe != m.lease.Address.Addr() || m.lease.Address.Bits() != 16 {
			t.Errorf("%+v, %v", s, m.lease.Address)
		}
	})
	t.Run("RFC2131-3.2 a no after a short loss of the link takes the address away", func(t *testing.T) {
		m := bound(t)
		m.Start(now)
		if s := m.Received(now, says(m, Nak, nil)); !s.Lost || s.Send.Kind() != Discover {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a server that takes all its offers back is asked each ten seconds", func(t *testing.T) {
		m, now, asked := machine(), now, 1
		m.Start(now)
		for end := now.Add(time.Minute); now.Before(end); now = m.Due() {
			if s := m.Tick(now); s.Send != nil {
				asked++
			}
			m.Received(now, says(m, Offer, nil))
			m.Received(now, says(m, Nak, nil))
		}
		if asked > 7 {
			t.Errorf("%d questions a minute", asked)
		}
	})
}

// FuzzMachine lets servers and the clock do anything, one byte an event: the
// machine always waits for something, and uses what can be used.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 8, 3, 1, 3, 3, 3, 2})
	f.Add([]byte{0, 1, 7, 0, 2, 3, 0, 3, 3, 3, 3, 3})
	f.Fuzz(func(t *testing.T, events []byte) {
		m := machine()
		now := time.Unix(0, 0)
		held := false
		took := func(s Step) {
			if s.Lost {
				held = false
			}
			if s.Lease != nil {
				if held = true; !usable(s.Lease.Address.Addr()) || s.Lease.Expire != 0 && s.Lease.Renew >= s.Lease.Expire {
					t.Fatalf("used %+v", s.Lease)
				}
			}
			if s.Probe.IsValid() != (m.state == probing) {
				t.Fatalf("a probe of %v in state %d", s.Probe, m.state)
			}
			if forever := m.state == probing || m.state == bound && m.lease.Expire == 0; m.Due().IsZero() != forever {
				t.Fatalf("in state %d it waits until %v", m.state, m.Due())
			}
			if m.state == bound && !held {
				t.Fatal("bound to nothing")
			}
		}
		took(m.Start(now))
		for _, e := range events {
			if m.state == probing {
				took(m.Probed(now, e&8 == 0))
				continue
			}
			msg := &Message{Reply: true, XID: m.xid, Hardware: own, Your: netip.AddrFrom4([4]byte{10, 0, 0, e >> 4}), Options: map[byte][]byte{
				optServer: {10, 0, 0, e >> 6}, optLeaseTime: {e, e, e, e}, optT1: {0, 0, e, e}, optT2: {0, e, 0, e},
			}}
			switch e & 7 {
			case 0, 1, 2:
				msg.Options[optKind] = []byte{[]byte{byte(Offer), byte(Ack), byte(Nak)}[e&7]}
				took(m.Received(now, msg))
			case 3:
				if now = m.Due(); !now.IsZero() {
					took(m.Tick(now))
				}
			case 4:
				now = now.Add(time.Duration(e) * time.Minute)
				took(m.Tick(now))
			case 5:
				took(m.Start(now)) // the link was gone
			case 6:
				took(m.Conflict(now, netip.AddrFrom4([4]byte{10, 0, 0, e >> 4})))
			}
		}
	})
}
