package broker

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/guard"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestConnectRateOfLoopbackIsItsOwn(t *testing.T) {
	l := listener{limits: Limits{ConnectRate: 20, LocalConnectRate: 3}}
	for address, want := range map[string]float64{"127.0.0.1": 3, "127.8.0.1": 3, "::ffff:127.0.0.1": 3, "::1": 3, "192.0.2.1": 20, "2001:db8::1": 20, "fe80::1%eth0": 20} {
		if got := l.connectRate(guard.Network(netip.MustParseAddr(address))); got != want {
			t.Errorf("%s: %v a second, want %v", address, got, want)
		}
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
	if err := l.guard.Ban(time.Now(), Ban{Address: netip.MustParseAddr("192.0.2.2"), For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	enters(there, mqtt.Banned)
	l.proxied = true // whoever comes, the proxy will say
	enters(here, mqtt.Success)
	enters(there, mqtt.Success)
}
