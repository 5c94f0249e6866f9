package mdns

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// wire is a link: what one sends, the others receive.
type wire struct {
	sync.Mutex
	ports  []*port
	serves []Service // each host of it
}

func newWire() *wire { return &wire{serves: []Service{{Type: "_mqtt._tcp", Port: 1883}}} }

func (w *wire) served() []Service {
	w.Lock()
	defer w.Unlock()
	return w.serves
}

func (w *wire) serve(services ...Service) {
	w.Lock()
	defer w.Unlock()
	w.serves = services
}

type packet struct {
	b    []byte
	from netip.AddrPort
}

type port struct {
	*wire
	addr netip.AddrPort
	in   chan packet
}

func (w *wire) port(addr string) *port {
	w.Lock()
	defer w.Unlock()
	p := &port{wire: w, addr: netip.MustParseAddrPort(addr), in: make(chan packet, 64)}
	w.ports = append(w.ports, p)
	return p
}

func (p *port) Send(b []byte, to netip.AddrPort) error {
	p.Lock()
	defer p.Unlock()
	for _, o := range p.ports {
		heard := to == Group && o.addr.Addr().Is4() || to == Group6 && o.addr.Addr().Is6()
		if o != p && (heard && o.addr.Port() == 5353 || to == o.addr) {
			o.in <- packet{slices.Clone(b), p.addr}
		}
	}
	return nil
}

func (p *port) Receive(b []byte, deadline time.Time) (int, netip.AddrPort, error) {
	select {
	case m := <-p.in:
		return copy(b, m.b), m.from, nil
	case <-time.After(time.Until(deadline)):
		return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
	}
}

func (p *port) Close() error { return nil }

// host runs a responder on the link until stop.
func host(t *testing.T, w *wire, addr string) (stop func()) { return hostOf(t, w, "dunlin", addr) }

func hostOf(t *testing.T, w *wire, name, addr string) (stop func()) {
	p := w.port(netip.AddrPortFrom(netip.MustParseAddr(addr), 5353).String())
	ctx, cancel := context.WithCancel(t.Context())
	r := &Responder{Name: name, Services: w.served, Conn: p, Logf: t.Logf,
		Addrs: func() []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(p.addr.Addr(), 24)} },
		Own:   func(a netip.Addr) bool { return a == p.addr.Addr() }}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// ask asks from a port, and returns what is answered within a second.
func ask(t *testing.T, p *port, to netip.AddrPort, what string, kind dnsmessage.Type, known ...dnsmessage.Resource) (out []dnsmessage.Resource) {
	t.Helper()
	for len(p.in) > 0 {
		<-p.in
	}
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Answers: known,
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(what), Type: kind, Class: dnsmessage.ClassINET}}}
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	p.Send(b, to)
	time.Sleep(time.Second)
	synctest.Wait()
	for len(p.in) > 0 {
		var m dnsmessage.Message
		if err := m.Unpack((<-p.in).b); err != nil {
			t.Error(err)
		}
		out = append(out, m.Answers...)
	}
	return out
}

func TestResponder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		asker, legacy, far := w.port("10.0.0.9:5353"), w.port("10.0.0.9:40000"), w.port("10.9.0.9:40000")
		stop := host(t, w, "10.0.0.1")
		time.Sleep(5 * time.Second)
		if got := ask(t, asker, Group, "Dunlin.local.", dnsmessage.TypeA); len(got) != 1 || got[0].Body.GoString() != (&dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}).GoString() || got[0].Header.Class&flush == 0 {
			t.Errorf("address: %v", got)
		}
		pointer := ask(t, asker, Group, "_mqtt._tcp.local.", dnsmessage.TypePTR)
		if len(pointer) != 1 || pointer[0].Body.(*dnsmessage.PTRResource).PTR.String() != "dunlin._mqtt._tcp.local." {
			t.Errorf("services: %v", pointer)
		}
		if got := ask(t, asker, Group, "_mqtt._tcp.local.", dnsmessage.TypePTR, pointer...); len(got) != 0 {
			t.Errorf("RFC6762-7.1 a known answer is sent again: %v", got)
		}
		if got := ask(t, legacy, Group, "dunlin._mqtt._tcp.local.", dnsmessage.TypeSRV); len(got) != 1 || got[0].Header.TTL > 10 || got[0].Header.Class&flush != 0 {
			t.Errorf("RFC6762-6.7 legacy: %v", got)
		}
		if got := ask(t, far, Group, "dunlin.local.", dnsmessage.TypeA); len(got) != 0 {
			t.Errorf("RFC6762-11 a stranger is answered: %v", got)
		}
		if got := ask(t, asker, Group, "other.local.", dnsmessage.TypeA); len(got) != 0 {
			t.Errorf("another's name is answered: %v", got)
		}
		stopSecond := host(t, w, "10.0.0.2")
		time.Sleep(10 * time.Second)
		if got := ask(t, asker, Group, "dunlin-2.local.", dnsmessage.TypeA); len(got) != 1 {
			t.Errorf("RFC6762-9 the second host of a name: %v", got)
		}
		if got := ask(t, asker, Group, "dunlin.local.", dnsmessage.TypeA); len(got) != 1 {
			t.Errorf("the first keeps it: %v", got)
		}
		stopSecond()
		ask(t, asker, Group, "nobody.local.", dnsmessage.TypeA)
		stop()
		var m dnsmessage.Message
		if len(asker.in) != 1 || m.Unpack((<-asker.in).b) != nil || len(m.Answers) == 0 || m.Answers[0].Header.TTL != 0 {
			t.Errorf("RFC6762-10.1 goodbye: %v", m.Answers)
		}
	})
}

// address is what a name's question for an address is answered with.
func address(t *testing.T, p *port, name string) netip.Addr {
	t.Helper()
	got := ask(t, p, Group, name, dnsmessage.TypeA)
	if len(got) != 1 {
		return netip.Addr{}
	}
	a, _ := got[0].Body.(*dnsmessage.AResource)
	return netip.AddrFrom4(a.A)
}

func TestIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		asker, other, legacy := w.port("[fe80::9]:5353"), w.port("10.0.0.9:5353"), w.port("[fe80::9]:40000")
		stop := host(t, w, "fe80::1")
		time.Sleep(5 * time.Second)
		if len(other.in) > 0 {
			t.Error("a host without IPv4 is heard there")
		}
		want := (&dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("fe80::1").As16()}).GoString()
		for _, from := range []*port{asker, legacy} {
			if got := ask(t, from, Group6, "dunlin.local.", dnsmessage.TypeAAAA); len(got) != 1 || got[0].Body.GoString() != want {
				t.Errorf("asked from %v: %v", from.addr, got)
			}
		}
		stopSecond := host(t, w, "fe80::2")
		time.Sleep(10 * time.Second)
		if got := ask(t, asker, Group6, "dunlin-2.local.", dnsmessage.TypeAAAA); len(got) != 1 {
			t.Errorf("RFC6762-9 the second host of a name: %v", got)
		}
		stopSecond()
		ask(t, asker, Group6, "nobody.local.", dnsmessage.TypeA)
		stop()
		var m dnsmessage.Message
		if len(asker.in) != 1 || m.Unpack((<-asker.in).b) != nil || len(m.Answers) == 0 || m.Answers[0].Header.TTL != 0 {
			t.Errorf("RFC6762-10.1 goodbye: %v", m.Answers)
		}
	})
}

func TestWhatANameHasNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		asker := w.port("10.0.0.9:5353")
		defer host(t, w, "10.0.0.1")()
		time.Sleep(5 * time.Second)
		for name, want := range map[string]string{
			"dunlin.local.":            "\x06dunlin\x05local\x00\x00\x01\x40",                                  // A is 1
			"dunlin._mqtt._tcp.local.": "\x06dunlin\x05_mqtt\x04_tcp\x05local\x00\x00\x05\x00\x00\x80\x00\x40", // TXT is 16, SRV 33
		} {
			got := ask(t, asker, Group, name, dnsmessage.TypeAAAA)
			if len(got) != 1 || got[0].Header.Type != typeNSEC || got[0].Header.Class&flush == 0 || string(got[0].Body.(*dnsmessage.UnknownResource).Data) != want {
				t.Errorf("RFC6762-6.1 %s has no AAAA: %#v", name, got)
			}
			if again := ask(t, asker, Group, name, dnsmessage.TypeAAAA, got...); len(again) != 0 {
				t.Errorf("RFC6762-7.1 it is said to who knows it: %v", again)
			}
		}
		if got := ask(t, asker, Group, "_mqtt._tcp.local.", dnsmessage.TypeA); len(got) != 0 {
			t.Errorf("a shared name is denied: %v", got)
		}
	})
}

func TestWhatIsServedChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.serve()
		asker := w.port("10.0.0.9:5353")
		defer host(t, w, "10.0.0.1")()
		instances := func(kind string) (names []string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			for _, r := range ask(t, asker, Group, kind, dnsmessage.TypePTR) {
				names = append(names, r.Body.(*dnsmessage.PTRResource).PTR.String())
			}
			return names
		}
		if got := instances("_mqtt._tcp.local."); len(got) != 0 {
			t.Errorf("nothing is served: %q", got)
		}
		if a := address(t, asker, "dunlin.local."); a != netip.MustParseAddr("10.0.0.1") {
			t.Errorf("the name of a host that serves nothing: %v", a)
		}

		w.serve(Service{Type: "_mqtt._tcp", Port: 1884}, Service{Type: "_mqtt._tcp", Port: 1885}, Service{Type: "_mqtt-ws._tcp", Port: 80, Text: "path=/mqtt"},
			Service{Type: "_mqtt._tcp", Port: 1886, Addr: netip.MustParseAddr("10.9.0.1")}) // of another link
		if got := instances("_mqtt._tcp.local."); !slices.Equal(got, []string{"dunlin._mqtt._tcp.local.", "dunlin 1885._mqtt._tcp.local."}) {
			t.Errorf("two of a type: %q", got)
		}
		if got := ask(t, asker, Group, "dunlin._mqtt-ws._tcp.local.", dnsmessage.TypeTXT); len(got) != 1 || got[0].Body.(*dnsmessage.TXTResource).TXT[0] != "path=/mqtt" {
			t.Errorf("text: %v", got)
		}

		for len(asker.in) > 0 {
			<-asker.in
		}
		w.serve(Service{Type: "_mqtt._tcp", Port: 1885})
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		var m dnsmessage.Message
		if len(asker.in) == 0 || m.Unpack((<-asker.in).b) != nil {
			t.Fatal("nothing is said of what is not served any more")
		}
		gone := map[string]bool{}
		for _, r := range m.Answers {
			gone[r.Header.Name.String()] = r.Header.TTL == 0
		}
		if !gone["dunlin._mqtt-ws._tcp.local."] || !gone["dunlin 1885._mqtt._tcp.local."] || gone["dunlin.local."] {
			t.Errorf("RFC6762-10.1 taken back: %v", m.Answers)
		}
		if got := instances("_mqtt._tcp.local."); !slices.Equal(got, []string{"dunlin._mqtt._tcp.local."}) {
			t.Errorf("the one that is left: %q", got)
		}
		if got := ask(t, asker, Group, "dunlin._mqtt._tcp.local.", dnsmessage.TypeSRV); len(got) != 1 || got[0].Body.(*dnsmessage.SRVResource).Port != 1885 {
			t.Errorf("its port: %v", got)
		}
	})
}

func TestALongNameIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		long := strings.Repeat("d", 63)
		asker := w.port("10.0.0.9:5353")
		for _, addr := range []string{"10.0.0.1", "10.0.0.2"} {
			defer hostOf(t, w, long, addr)()
			time.Sleep(10 * time.Second)
		}
		if a := address(t, asker, long[:61]+"-2.local."); a != netip.MustParseAddr("10.0.0.2") {
			t.Errorf("RFC6762-9 the second host of a name of 63 letters: %v", a)
		}
	})
}

func TestTwoProbeForAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		asker := w.port("10.0.0.9:5353")
		for _, addr := range []string{"10.0.0.1", "10.0.0.2"} {
			defer host(t, w, addr)()
		}
		time.Sleep(10 * time.Second)
		if a, b := address(t, asker, "dunlin.local."), address(t, asker, "dunlin-2.local."); a != netip.MustParseAddr("10.0.0.2") || b != netip.MustParseAddr("10.0.0.1") {
			t.Errorf("RFC6762-8.2 the later address has the name: %v and %v", a, b)
		}
	})
}

func TestAConflictLaterOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		other := w.port("10.0.0.9:5353")
		defer host(t, w, "10.0.0.1")()
		time.Sleep(5 * time.Second)
		for len(other.in) > 0 {
			<-other.in
		}
		theirs := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Answers: records("dunlin", []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24")}, nil)}
		b, err := theirs.Pack()
		if err != nil {
			t.Fatal(err)
		}
		other.Send(b, Group)
		time.Sleep(probeWait + 10*time.Millisecond)
		synctest.Wait()
		var m dnsmessage.Message
		if len(other.in) == 0 || m.Unpack((<-other.in).b) != nil || m.Response || len(m.Authorities) == 0 {
			t.Errorf("RFC6762-9 it does not probe again: %+v", m)
		}
		time.Sleep(5 * time.Second)
		if a := address(t, other, "dunlin.local."); a != netip.MustParseAddr("10.0.0.1") {
			t.Errorf("nobody defends the name, and it is given up: %v", a)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	all := records("dunlin", []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}, newWire().serves)
	m := dnsmessage.Message{Answers: all, Questions: []dnsmessage.Question{{Name: name("dunlin"), Type: dnsmessage.TypeALL, Class: 1}}}
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m dnsmessage.Message
		if m.Unpack(b) == nil {
			claimed(&m, all)
			loses(&m, all)
			if len(answers(&m, all)) > 2*len(all) { // and one denial of a name
				t.Error("more answers than records")
			}
		}
	})
}
