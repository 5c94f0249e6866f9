package broker

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestConnectRateOfLoopbackIsItsOwn(t *testing.T) {
	l := listener{limits: Limits{ConnectRate: 20, LocalConnectRate: 3}}
	for address, want := range map[string]float64{"127.0.0.1": 3, "127.8.0.1": 3, "::ffff:127.0.0.1": 3, "::1": 3, "192.0.2.1": 20, "2001:db8::1": 20, "fe80::1%eth0": 20} {
		if got := l.connectRate(network(netip.MustParseAddr(address))); got != want {
			t.Errorf("%s: %v a second, want %v", address, got, want)
		}
	}
}

func TestGuardRates(t *testing.T) {
	var g guard
	now := time.Unix(1000, 0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	allowed := func(a netip.Addr, n int) (yes int) {
		for range n {
			if g.mayConnect(now, a, 2) {
				yes++
			}
		}
		return yes
	}
	if n := allowed(a, 100); n != 20 {
		t.Errorf("%d at once, want 20: what ten seconds bring", n)
	}
	if n := allowed(b, 1); n != 1 {
		t.Error("one address pays for another")
	}
	now = now.Add(time.Second)
	if n := allowed(a, 100); n != 2 {
		t.Errorf("%d after a second, want 2", n)
	}
	if g.mayConnect(now, a, 50); g.mayConnect(now, a, 2) || g.mayConnect(now, a, 50) {
		t.Error("a listener with another rate gives back what was used up")
	}
	if now = now.Add(5 * time.Second); !g.mayConnect(now, a, 50) { // half of its 500
		t.Error("what came back meanwhile is not for the other listener")
	}
	if n := allowed(a, 100); n != 9 {
		t.Errorf("%d at the first listener, want 9: half of 20, one was used", n)
	}
	if !g.mayConnect(now, netip.Addr{}, 2) || !g.mayConnect(now, a, 0) {
		t.Error("a transport without addresses, or no limit, is limited")
	}
	for i := range 3 * maxVisitors {
		g.mayConnect(now, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 2)
	}
	if len(g.addresses) > maxVisitors {
		t.Errorf("%d addresses are remembered", len(g.addresses))
	}
}

func TestGuardPenalty(t *testing.T) {
	var g guard
	now := time.Unix(1000, 0)
	who := login{address: netip.MustParseAddr("192.0.2.1"), name: "u", client: "c"}
	for range 10 {
		g.failed(now, who, 10)
		if !g.mayTry(now, who) {
			t.Fatal("a penalty within what is free")
		}
	}
	for _, want := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		g.failed(now, who, 10)
		wait := time.Duration(want) * time.Second
		if g.mayTry(now.Add(wait-1), who) || !g.mayTry(now.Add(wait), who) {
			t.Errorf("the wait is not %s", wait)
		}
		now = now.Add(wait)
	}
	now = now.Add(forgiveness + 1)
	g.failed(now, who, 10)
	if !g.mayTry(now, who) {
		t.Error("nothing is forgiven")
	}
}

func TestGuardPenaltyIsForWhoFails(t *testing.T) {
	var g guard
	now := time.Unix(1000, 0)
	a := netip.MustParseAddr("192.0.2.1")
	fail := func(times int, who login) {
		for range times {
			g.failed(now, who, 10)
		}
	}
	known, other := login{a, "u", "known"}, login{a, "v", "known"}
	g.proved(now, known)
	fail(1000, login{a, "u", "guesses"})
	for who, want := range map[login]bool{
		{a, "u", "guesses"}: false, {a, "u", "another"}: false, {a, "u", ""}: false, {}: true,
		known: true, other: true, {netip.MustParseAddr("192.0.2.2"), "u", "guesses"}: true,
	} {
		if g.mayTry(now, who) != want {
			t.Errorf("%+v may try: %v", who, !want)
		}
	}
	fail(10, known)
	if !g.mayTry(now, known) {
		t.Error("a client that is known has no free attempts")
	}
	if fail(1, known); g.mayTry(now, known) {
		t.Error("who knows a Client Identifier may guess for ever")
	}
	g.proved(now, known)
	for i := range 4 {
		fail(10, login{a, fmt.Sprint(i), ""})
	}
	if !g.mayTry(now, other) {
		t.Error("five names with what is free are too many")
	}
	if fail(1, login{a, "one more", ""}); g.mayTry(now, other) || !g.mayTry(now.Add(time.Second), other) {
		t.Error("who guesses names as well does not wait")
	}
	if !g.mayTry(now.Add(time.Second), known) {
		t.Error("a client that is known waits with its address")
	}
	for _, here := range []string{"127.0.0.1", "::1"} { // a proxy, and all of its clients
		here := network(netip.MustParseAddr(here))
		for i := range 1000 {
			g.failed(now, login{here, fmt.Sprint(i), ""}, 10)
		}
		if who := (login{here, "u", "c"}); g.mayTry(now, who) || !g.mayTry(now.Add(time.Second), who) {
			t.Error("a loopback address waits longer than a second, or not at all")
		}
	}
	before := len(g.logins)
	if g.proved(now, login{a, "nameless", ""}); len(g.logins) != before {
		t.Error("a proof without a Client Identifier is remembered")
	}
	for i := range 3 * maxVisitors {
		g.failed(now, login{a, fmt.Sprint(i), ""}, 10)
	}
	if len(g.logins) > maxVisitors {
		t.Errorf("%d logins are remembered", len(g.logins))
	}
}

func TestGuardBans(t *testing.T) {
	var g guard
	now := time.Unix(1000, 0)
	v6 := netip.MustParseAddr("2001:db8::1")
	for _, b := range []Ban{{For: time.Hour}, {ClientID: "x"}} {
		if g.ban(now, b) == nil {
			t.Errorf("%+v is a ban", b)
		}
	}
	for _, b := range []Ban{{Address: v6, For: time.Hour}, {ClientID: "c", User: "u", For: time.Minute}} {
		if err := g.ban(now, b); err != nil {
			t.Fatal(err)
		}
	}
	neighbor := addressOf("[2001:db8::ffff]:1")
	for _, c := range []struct {
		a        netip.Addr
		id, user string
		after    time.Duration
		want     bool
	}{
		{neighbor, "", "", 0, true},
		{addressOf("[2001:db8:0:1::1]:1"), "", "", 0, false},
		{addressOf("192.0.2.1:5"), "c", "u", 0, true},
		{addressOf("192.0.2.1:5"), "c", "", 0, false},
		{addressOf("192.0.2.1:5"), "d", "u", 0, false},
		{addressOf("192.0.2.1:5"), "c", "u", time.Minute, false},
		{neighbor, "", "", time.Hour - 1, true},
		{neighbor, "", "", time.Hour, false},
	} {
		if got := g.banned(now.Add(c.after), c.a, c.id, c.user); got != c.want {
			t.Errorf("%v %q %q after %s: banned = %v", c.a, c.id, c.user, c.after, got)
		}
	}
	for i := range maxBans {
		if err := g.ban(now, Ban{ClientID: fmt.Sprint(i), For: time.Minute}); err != nil {
			t.Fatal(i, err)
		}
	}
	if g.ban(now, Ban{ClientID: "one more", For: time.Minute}) == nil {
		t.Error("bans have no bound")
	}
	if err := g.ban(now, Ban{ClientID: "1", For: time.Minute}); err != nil {
		t.Error("one that is there is not renewed:", err)
	}
	if err := g.ban(now.Add(time.Minute), Ban{ClientID: "one more", For: time.Minute}); err != nil {
		t.Error("bans that are over take room:", err)
	}
}

// from is a connection of an address.
type from struct {
	net.Conn
	net.TCPAddr
}

func (f *from) RemoteAddr() net.Addr { return &f.TCPAddr }

func TestWhoMayEnter(t *testing.T) {
	l := listener{hub: new(hub), limits: Limits{ConnectRate: 0.1}} // one at once
	here, there := &from{TCPAddr: net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}, &from{TCPAddr: net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)}}
	enters := func(nc net.Conn, want mqtt.ReasonCode) {
		t.Helper()
		if got := l.mayEnter(nc); got != want {
			t.Errorf("%v: %v, want %v", nc.RemoteAddr(), got, want)
		}
	}
	enters(here, mqtt.Success)
	enters(here, mqtt.ConnectionRateExceeded)
	if err := l.guard.ban(time.Now(), Ban{Address: netip.MustParseAddr("192.0.2.2"), For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	enters(there, mqtt.Banned)
	l.proxied = true // whoever comes, the proxy will say
	enters(here, mqtt.Success)
	enters(there, mqtt.Success)
}

func TestGuardFlapping(t *testing.T) {
	var g guard
	now := time.Unix(1000, 0)
	l := &Limits{Flapping: 3, FlappingWindow: time.Minute}
	for range 3 {
		if g.flap(now, "c", l) {
			t.Fatal("banned within the limit")
		}
	}
	if g.flap(now.Add(time.Minute+1), "c", l) {
		t.Error("the window has no end")
	}
	for range 3 {
		g.flap(now.Add(time.Minute+2), "c", l)
	}
	if !g.banned(now.Add(time.Minute+3), netip.Addr{}, "c", "") || g.banned(now, netip.Addr{}, "d", "") {
		t.Error("the ban is not that of the client")
	}
}

// Strangers choose their names: what is remembered of them does not grow with
// their length.
func TestGuardRemembersLongNamesInLittle(t *testing.T) {
	var g guard
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before, now, long := heap(), time.Unix(1000, 0), strings.Repeat("n", 250)
	limits := &Limits{Flapping: 5, FlappingWindow: time.Minute}
	for i := range maxVisitors {
		name := long + fmt.Sprint(i)
		g.failed(now, login{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), name, ""}, 10)
		g.flap(now, name, limits)
	}
	if grown := heap() - before; grown > 2*maxVisitors*400 {
		t.Errorf("%d bytes for %d names", grown, maxVisitors)
	}
	runtime.KeepAlive(&g)
}
