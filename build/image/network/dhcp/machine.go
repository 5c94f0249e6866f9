package dhcp

import (
	"bytes"
	"net"
	"net/netip"
	"time"
)

type state byte

const (
	stopped    state = iota
	rebooting        // asking for the address it had (INIT-REBOOT)
	selecting        // DISCOVER sent
	requesting       // REQUEST for an offer sent
	probing          // asking the link whether the address is free
	bound
	renewing  // asking the server that gave the lease
	rebinding // asking any server
)

// How often a question is sent again before the next thing is tried.
const (
	rebootTries  = 2
	requestTries = 4
	silentTries  = 3 // DISCOVERs without an answer, or offers that came to nothing, until Silent
)

// The first wait for an answer, which doubles up to the last (RFC 2131, 4.1),
// and the rest after a declined address (3.1.5) or offer.
const (
	firstWait   = 2 * time.Second
	lastWait    = 64 * time.Second
	declineWait = 10 * time.Second
	minRenew    = time.Minute // between two attempts to renew
)

// Step is what a Machine wants done; any of its fields may be empty.
type Step struct {
	Send  *Message
	To    netip.Addr // not valid: the broadcast address
	Probe netip.Addr // ask the link whether somebody has it, and call Probed
	Lease *Lease     // configure it; again after each renewal
	Lost  bool       // stop using the lease
	Note  string     // for the log
}

// Machine is a link's DHCP client. The zero value with Hardware, Hostname and
// Random set is stopped; Start starts it, and again after the link came back.
// It is not safe for concurrent use.
type Machine struct {
	Hardware net.HardwareAddr
	Hostname string        // option 12; empty: not sent
	Random   func() uint32 // transaction identifiers, jitter

	state state
	xid   uint32
	began time.Time // of the current attempt
	asked time.Time // the last question
	tries int
	vain  int  // offers that came to nothing since there was a lease
	told  bool // of an answer to the last question that was refused
	due   time.Time
	lease Lease // offered, being probed, or held
	since time.Time
	had   netip.Addr // the last address held
}

// Start begins: with the address it had, if it had one.
func (m *Machine) Start(now time.Time) Step {
	m.began, m.tries, m.xid = now, 0, m.Random()
	if m.had.IsValid() {
		m.state = rebooting
	} else {
		m.state = selecting
	}
	return m.ask(now)
}

// Due is when Tick is to be called; the zero time: not.
func (m *Machine) Due() time.Time { return m.due }

// Silent says that no server has answered for a while, or none to any use.
func (m *Machine) Silent() bool {
	return m.state == selecting && (m.tries >= silentTries || m.vain >= silentTries)
}

// Tick goes on after an answer that did not come, or a time that has.
func (m *Machine) Tick(now time.Time) Step {
	if m.due.IsZero() || now.Before(m.due) {
		return Step{}
	}
	switch m.state {
	case rebooting:
		if m.tries >= rebootTries {
			return m.discover(now, "")
		}
	case requesting:
		if m.tries >= requestTries {
			m.vain++
			return m.discover(now, "the server does not answer the request for its own offer")
		}
	case bound:
		m.state, m.xid, m.began = renewing, m.Random(), now
	case renewing, rebinding:
		if m.lease.Expire > 0 && now.Sub(m.since) >= m.lease.Expire {
			m.had = netip.Addr{}
			s := m.discover(now, "the lease has run out")
			s.Lost = true
			return s
		}
		if now.Sub(m.since) >= m.lease.Rebind {
			m.state = rebinding
		}
	}
	return m.ask(now)
}

// discover starts from the beginning.
func (m *Machine) discover(now time.Time, note string) Step {
	m.state, m.tries, m.began, m.xid = selecting, 0, now, m.Random()
	s := m.ask(now)
	s.Note = note
	return s
}

// ask sends the state's question and sets the time of the next one.
func (m *Machine) ask(now time.Time) Step {
	msg := &Message{
		XID: m.xid, Hardware: m.Hardware,
		Secs: uint16(min(now.Sub(m.began)/time.Second, 0xffff)),
		Options: map[byte][]byte{
			optClientID: append([]byte{1}, m.Hardware...),
			optWanted:   {optMask, optRoutes, optRouter, optDNS, optDomain, optMTU, optNTP, optSearch, optLeaseTime, optServer, optT1, optT2},
			optMaxSize:  {maxSize >> 8, maxSize & 0xff},
		},
	}
	if m.Hostname != "" {
		msg.Options[optHostname] = []byte(m.Hostname)
	}
	step := Step{Send: msg}
	kind := Request
	switch m.state {
	case selecting:
		kind = Discover
	case rebooting:
		msg.Options[optRequested] = m.had.AsSlice()
	case requesting:
		msg.Options[optRequested] = m.lease.Address.Addr().AsSlice()
		msg.Options[optServer] = m.lease.Server.AsSlice()
	case renewing:
		msg.Client, step.To = m.lease.Address.Addr(), m.lease.Server
	case rebinding:
		msg.Client = m.lease.Address.Addr()
	}
	msg.Options[optKind] = []byte{byte(kind)}
	m.tries++
	m.told = false
	m.asked, m.due = now, now.Add(m.wait(now))
	return step
}

// wait is how long an answer may take: doubling with a jitter of a second, or
// half of what is left of the lease's phase.
func (m *Machine) wait(now time.Time) time.Duration {
	if m.state == renewing || m.state == rebinding {
		end := m.lease.Rebind
		if m.state == rebinding {
			end = m.lease.Expire
		}
		left := end - now.Sub(m.since)
		return min(max(left/2, minRenew), max(left, time.Second))
	}
	wait := min(firstWait<<min(m.tries-1, 5), lastWait)
	return wait - time.Second/2 + time.Duration(m.Random()%1000)*time.Millisecond
}

// Received takes a server's message. One that is not for this client, or not
// for now, changes nothing.
func (m *Machine) Received(now time.Time, msg *Message) Step {
	if !msg.Reply || msg.XID != m.xid || !bytes.Equal(msg.Hardware, m.Hardware) {
		return Step{}
	}
	waiting := m.state == rebooting || m.state == requesting || m.state == renewing || m.state == rebinding
	switch kind := msg.Kind(); {
	case kind == Offer && m.state == selecting:
		lease, err := newLease(msg)
		if err != nil {
			return m.refuse("offer", err)
		}
		m.lease, m.state, m.tries = lease, requesting, 0
		return m.ask(now)
	case kind == Ack && waiting:
		return m.acknowledged(now, msg)
	case kind == Nak && waiting && m.fromServer(msg):
		m.had = netip.Addr{}
		if m.state == requesting { // to its own offer: it would go round and round
			m.state, m.tries, m.xid, m.due = selecting, 0, m.Random(), now.Add(declineWait)
			m.vain++
			return Step{Note: "the server says no to its own offer"}
		}
		s := m.discover(now, "the server says no to the address")
		s.Lost = true // it may still be there after a short loss of the link
		return s
	}
	return Step{}
}

// fromServer says whether a NAK comes from the server that was asked.
func (m *Machine) fromServer(msg *Message) bool {
	if m.state != requesting && m.state != renewing {
		return true
	}
	server := msg.addrs(optServer, 1)
	return len(server) == 1 && server[0] == m.lease.Server
}

// refuse says why an answer is of no use: once a question, however many of
// them somebody sends.
func (m *Machine) refuse(what string, why error) (s Step) {
	if !m.told {
		m.told, s.Note = true, what+" refused: "+why.Error()
	}
	return s
}

func (m *Machine) acknowledged(now time.Time, msg *Message) Step {
	lease, err := newLease(msg)
	if err != nil {
		return m.refuse("acknowledgement", err)
	}
	held := m.state == renewing || m.state == rebinding
	same := held && lease.Address == m.lease.Address
	m.lease, m.since = lease, m.asked
	if same {
		return m.bind()
	}
	m.state, m.due = probing, time.Time{}
	return Step{Probe: lease.Address.Addr(), Lost: held}
}

// bind takes the lease. It counts from when it was asked for (RFC 2131, 4.4.1).
func (m *Machine) bind() Step {
	m.state, m.tries, m.vain, m.had = bound, 0, 0, m.lease.Address.Addr()
	m.due = time.Time{}
	if m.lease.Expire > 0 {
		m.due = m.since.Add(m.lease.Renew)
	}
	lease := m.lease
	return Step{Lease: &lease}
}

// Probed tells whether somebody else has the address that Step asked about.
func (m *Machine) Probed(now time.Time, taken bool) Step {
	if m.state != probing {
		return Step{}
	}
	if !taken {
		return m.bind()
	}
	return m.decline(now)
}

// Conflict tells that another host insists on an address that it has, too. An
// address that is not, or no longer, the lease's changes nothing.
func (m *Machine) Conflict(now time.Time, addr netip.Addr) Step {
	held := m.state == bound || m.state == renewing || m.state == rebinding
	if !held || addr != m.lease.Address.Addr() {
		return Step{}
	}
	s := m.decline(now)
	s.Lost = true
	return s
}

// decline gives the lease back to its server as somebody else's address
// (RFC 2131, 4.4.4), and asks for another one after a while.
func (m *Machine) decline(now time.Time) Step {
	address := m.lease.Address.Addr()
	decline := &Message{XID: m.xid, Hardware: m.Hardware, Options: map[byte][]byte{
		optKind:      {byte(Decline)},
		optClientID:  append([]byte{1}, m.Hardware...),
		optRequested: address.AsSlice(),
		optServer:    m.lease.Server.AsSlice(),
	}}
	m.state, m.tries, m.xid = selecting, 0, m.Random()
	m.vain++
	m.had, m.due = netip.Addr{}, now.Add(declineWait)
	return Step{Send: decline, Note: "somebody else has " + address.String() + ": declined"}
}
