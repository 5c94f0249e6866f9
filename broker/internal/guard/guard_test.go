package guard

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	var g Guard
	now := time.Unix(1000, 0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	allowed := func(a netip.Addr, n int) (yes int) {
		for range n {
			if g.MayConnect(now, a, 2) {
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
	if g.MayConnect(now, a, 50); g.MayConnect(now, a, 2) || g.MayConnect(now, a, 50) {
		t.Error("a listener with another rate gives back what was used up")
	}
	if now = now.Add(5 * time.Second); !g.MayConnect(now, a, 50) { // half of its 500
		t.Error("what came back meanwhile is not for the other listener")
	}
	if n := allowed(a, 100); n != 9 {
		t.Errorf("%d at the first listener, want 9: half of 20, one was used", n)
	}
	if !g.MayConnect(now, netip.Addr{}, 2) || !g.MayConnect(now, a, 0) {
		t.Error("a transport without addresses, or no limit, is limited")
	}
	for i := range 3 * maxVisitors {
		g.MayConnect(now, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 2)
	}
	if len(g.addresses) > maxVisitors {
		t.Errorf("%d addresses are remembered", len(g.addresses))
	}
}

func TestPenalty(t *testing.T) {
	var g Guard
	now := time.Unix(1000, 0)
	who := Login{Address: netip.MustParseAddr("192.0.2.1"), Name: "u", Client: "c"}
	for range 10 {
		g.Failed(now, who, 10)
		if !g.MayTry(now, who) {
			t.Fatal("a penalty within what is free")
		}
	}
	for _, want := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		g.Failed(now, who, 10)
		wait := time.Duration(want) * time.Second
		if g.MayTry(now.Add(wait-1), who) || !g.MayTry(now.Add(wait), who) {
			t.Errorf("the wait is not %s", wait)
		}
		now = now.Add(wait)
	}
	now = now.Add(forgiveness + 1)
	g.Failed(now, who, 10)
	if !g.MayTry(now, who) {
		t.Error("nothing is forgiven")
	}
}

func TestPenaltyIsForWhoFails(t *testing.T) {
	var g Guard
	now := time.Unix(1000, 0)
	a := netip.MustParseAddr("192.0.2.1")
	fail := func(times int, who Login) {
		for range times {
			g.Failed(now, who, 10)
		}
	}
	known, other := Login{a, "u", "known"}, Login{a, "v", "known"}
	g.Proved(now, known)
	fail(1000, Login{a, "u", "guesses"})
	for who, want := range map[Login]bool{
		{a, "u", "guesses"}: false, {a, "u", "another"}: false, {a, "u", ""}: false, {}: true,
		known: true, other: true, {netip.MustParseAddr("192.0.2.2"), "u", "guesses"}: true,
	} {
		if g.MayTry(now, who) != want {
			t.Errorf("%+v may try: %v", who, !want)
		}
	}
	fail(10, known)
	if !g.MayTry(now, known) {
		t.Error("a client that is known has no free attempts")
	}
	if fail(1, known); g.MayTry(now, known) {
		t.Error("who knows a Client Identifier may guess for ever")
	}
	g.Proved(now, known)
	for i := range 4 {
		fail(10, Login{a, fmt.Sprint(i), ""})
	}
	if !g.MayTry(now, other) {
		t.Error("five names with what is free are too many")
	}
	if fail(1, Login{a, "one more", ""}); g.MayTry(now, other) || !g.MayTry(now.Add(time.Second), other) {
		t.Error("who guesses names as well does not wait")
	}
	if !g.MayTry(now.Add(time.Second), known) {
		t.Error("a client that is known waits with its address")
	}
	for _, here := range []string{"127.0.0.1", "::1"} { // a proxy, and all of its clients
		here := Network(netip.MustParseAddr(here))
		for i := range 1000 {
			g.Failed(now, Login{here, fmt.Sprint(i), ""}, 10)
		}
		if who := (Login{here, "u", "c"}); g.MayTry(now, who) || !g.MayTry(now.Add(time.Second), who) {
			t.Error("a loopback address waits longer than a second, or not at all")
		}
	}
	before := len(g.logins)
	if g.Proved(now, Login{a, "nameless", ""}); len(g.logins) != before {
		t.Error("a proof without a Client Identifier is remembered")
	}
	for i := range 3 * maxVisitors {
		g.Failed(now, Login{a, fmt.Sprint(i), ""}, 10)
	}
	if len(g.logins) > maxVisitors {
		t.Errorf("%d logins are remembered", len(g.logins))
	}
}

func TestBans(t *testing.T) {
	var g Guard
	now := time.Unix(1000, 0)
	v6 := netip.MustParseAddr("2001:db8::1")
	for _, b := range []Ban{{For: time.Hour}, {ClientID: "x"}} {
		if g.Ban(now, b) == nil {
			t.Errorf("%+v is a ban", b)
		}
	}
	for _, b := range []Ban{{Address: v6, For: time.Hour}, {ClientID: "c", User: "u", For: time.Minute}} {
		if err := g.Ban(now, b); err != nil {
			t.Fatal(err)
		}
	}
	neighbor := Network(netip.MustParseAddr("2001:db8::ffff"))
	for _, c := range []struct {
		a        netip.Addr
		id, user string
		after    time.Duration
		want     bool
	}{
		{neighbor, "", "", 0, true},
		{Network(netip.MustParseAddr("2001:db8:0:1::1")), "", "", 0, false},
		{Network(netip.MustParseAddr("192.0.2.1")), "c", "u", 0, true},
		{Network(netip.MustParseAddr("192.0.2.1")), "c", "", 0, false},
		{Network(netip.MustParseAddr("192.0.2.1")), "d", "u", 0, false},
		{Network(netip.MustParseAddr("192.0.2.1")), "c", "u", time.Minute, false},
		{neighbor, "", "", time.Hour - 1, true},
		{neighbor, "", "", time.Hour, false},
	} {
		if got := g.Banned(now.Add(c.after), c.a, c.id, c.user); got != c.want {
			t.Errorf("%v %q %q after %s: banned = %v", c.a, c.id, c.user, c.after, got)
		}
	}
	for i := range maxBans {
		if err := g.Ban(now, Ban{ClientID: fmt.Sprint(i), For: time.Minute}); err != nil {
			t.Fatal(i, err)
		}
	}
	if g.Ban(now, Ban{ClientID: "one more", For: time.Minute}) == nil {
		t.Error("bans have no bound")
	}
	if err := g.Ban(now, Ban{ClientID: "1", For: time.Minute}); err != nil {
		t.Error("one that is there is not renewed:", err)
	}
	if err := g.Ban(now.Add(time.Minute), Ban{ClientID: "one more", For: time.Minute}); err != nil {
		t.Error("bans that are over take room:", err)
	}
}

func TestFlapping(t *testing.T) {
	var g Guard
	now := time.Unix(1000, 0)
	for range 3 {
		if g.Flap(now, "c", 3, time.Minute) {
			t.Fatal("banned within the limit")
		}
	}
	if g.Flap(now.Add(time.Minute+1), "c", 3, time.Minute) {
		t.Error("the window has no end")
	}
	for range 3 {
		g.Flap(now.Add(time.Minute+2), "c", 3, time.Minute)
	}
	if !g.Banned(now.Add(time.Minute+3), netip.Addr{}, "c", "") || g.Banned(now, netip.Addr{}, "d", "") {
		t.Error("the ban is not that of the client")
	}
}

// Strangers choose their names: what is remembered of them does not grow with
// their length.
func TestRemembersLongNamesInLittle(t *testing.T) {
	var g Guard
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before, now, long := heap(), time.Unix(1000, 0), strings.Repeat("n", 250)
	for i := range maxVisitors {
		name := long + fmt.Sprint(i)
		g.Failed(now, Login{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), name, ""}, 10)
		g.Flap(now, name, 5, time.Minute)
	}
	if grown := heap() - before; grown > 2*maxVisitors*400 {
		t.Errorf("%d bytes for %d names", grown, maxVisitors)
	}
	runtime.KeepAlive(&g)
}
