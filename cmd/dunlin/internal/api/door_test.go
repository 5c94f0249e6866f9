package api

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/http1"
)

// A probe of HTTP/1.0 has no Host, a browser always has one.
func TestForeign(t *testing.T) {
	for _, tc := range []struct {
		method, host, origin string
		status               int
	}{
		{"GET", "", "", 0}, {"GET", "127.0.0.1:8083", "", 0}, {"GET", "barn.local", "", 0}, {"GET", "evil.example", "", 403},
		{"POST", "", "", 0}, {"POST", "", "null", 403}, {"POST", "", "http://evil.example", 403}, {"POST", "[::1]:8083", "http://[::1]:8083", 0},
	} {
		c := &call{Request: &http1.Request{Method: tc.method, Host: tc.host, Header: http1.Header{{Name: "origin", Value: tc.origin}}}}
		if p := foreign(c); (p == nil) != (tc.status == 0) || p != nil && p.Status != tc.status {
			t.Errorf("%+v: %+v", tc, p)
		}
	}
}

func TestDoor(t *testing.T) {
	lan, other, local := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("127.0.0.1")
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var d door
	waits := func(what string, from netip.Addr, name, secret string, want time.Duration) {
		t.Helper()
		if got := max(d.wait(from, name, secret, at), 0); got != want {
			t.Errorf("%s: waits %v, want %v", what, got, want)
		}
	}
	fail := func(from netip.Addr, name string, times int) {
		for i := range times {
			d.fail(from, name, fmt.Sprint("guess ", i), at)
		}
	}

	d.proved(lan, "bob", "right", at)
	fail(lan, "alice", freeFailures-1)
	waits("while attempts are free", lan, "alice", "guess", 0)
	d.proved(lan, "mallory", "own password", at) // in between: whoever has a login could guess that of others for ever
	fail(lan, "alice", 1)
	waits("who guesses", lan, "alice", "guess", waitAfter)
	waits("one more with the right password", lan, "alice", "right", waitAfter)
	waits("another name", lan, "bob", "guess", 0)
	waits("another address", other, "alice", "guess", 0)

	for i := range namesPerAddress {
		fail(lan, fmt.Sprint("name ", i), freeFailures)
	}
	waits("many names", lan, "new", "guess", waitAfter)
	waits("known there", lan, "bob", "right", 0)
	d.fail(lan, "bob", "right", at)
	waits("known there with a password of old", lan, "bob", "right", waitAfter)

	for i := range namesPerAddress {
		fail(local, fmt.Sprint("name ", i), freeFailures)
	}
	waits("behind a proxy of this machine", local, "alice", "right", localWait)

	at = at.Add(waitAfter)
	waits("after the wait", lan, "alice", "guess", 0)
	fail(lan, "alice", 1)
	waits("the next failure", lan, "alice", "guess", waitAfter)
	at = at.Add(forgiveness + 1)
	fail(lan, "alice", 1)
	waits("a failure long after", lan, "alice", "guess", 0)

	for i := range 2 * attempts {
		d.fail(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), "", "guess", at)
	}
	if len(d.failed) > attempts {
		t.Errorf("%d attempts are remembered", len(d.failed))
	}
}
