package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
)

// identities are certificates for the tests of TLS; making them in a bubble
// would date them in 2000.
type identities struct {
	authority      *cloudtest.Authority
	server, client tls.Certificate
}

func newIdentities() identities {
	a := cloudtest.NewAuthority()
	return identities{a, a.Issue("cloud.example", -time.Hour, time.Hour), a.Issue("gw", -time.Hour, time.Hour)}
}

func (i identities) serverConfig() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{i.server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: i.authority.Roots(),
		NextProtos: []string{"x-amzn-mqtt-ca"},
	}
}

func (i identities) clientConfig() (*tls.Config, error) {
	return &tls.Config{RootCAs: i.authority.Roots(), Certificates: []tls.Certificate{i.client}, NextProtos: []string{"x-amzn-mqtt-ca"}}, nil
}

func TestTransports(t *testing.T) {
	for _, tc := range []struct {
		server, path, proxy, user string
		target                    string
	}{
		{server: "mqtt://cloud.example"},
		{server: "mqtts://cloud.example"},
		{server: "ws://cloud.example/mqtt", path: "/mqtt"},
		{server: "wss://cloud.example:8443/a/b?c=d", path: "/a/b?c=d"},
		{server: "mqtt://cloud.example", proxy: "http", target: "cloud.example:1883"},
		{server: "mqtts://cloud.example", proxy: "http", user: "me:secret", target: "cloud.example:8883"},
		{server: "wss://cloud.example/mqtt", path: "/mqtt", proxy: "http", target: "cloud.example:443"},
		{server: "mqtt://cloud.example", proxy: "socks5", target: "cloud.example:1883"},
		{server: "mqtts://cloud.example", proxy: "socks5", user: "me:secret", target: "cloud.example:8883"},
		{server: "mqtt://192.0.2.1", proxy: "socks5", target: "192.0.2.1:1883"},
		{server: "mqtt://[2001:db8::1]", proxy: "socks5", target: "[2001:db8::1]:1883"},
		{server: "wss://cloud.example/mqtt", path: "/mqtt", proxy: "socks5", user: "me:secret", target: "cloud.example:443"},
	} {
		t.Run(strings.TrimSpace(tc.server+" "+tc.proxy+" "+tc.user), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				id := newIdentities()
				c, err := cloudtest.New(cloudtest.Options{})
				if err != nil {
					t.Fatal(err)
				}
				tr := &cloudtest.Transport{Cloud: c, Path: tc.path, Proxy: tc.proxy, User: tc.user}
				if strings.HasPrefix(tc.server, "mqtts") || strings.HasPrefix(tc.server, "wss") {
					tr.TLS = id.serverConfig
				}
				r := against(t, c, func(o *Options) {
					o.Servers, o.TLS, o.Dial = []string{tc.server}, id.clientConfig, tr.Dial
					if tc.proxy != "" {
						o.Proxy = tc.proxy + "://" + strings.TrimPrefix(tc.user+"@", "@") + "proxy.example:3128"
					}
				})
				r.put("out/a", "one", 1)
				r.put("out/a", strings.Repeat("x", 100_000), 2)
				after(time.Second)
				want(t, "delivered", len(c.Messages()), 2)
				want(t, "violations", c.Violations(), []string(nil))
				targets, names, alpn, clients := tr.Seen()
				want(t, "target", strings.Join(targets, " "), tc.target)
				if tr.TLS != nil {
					want(t, "SNI, ALPN, client certificate", fmt.Sprint(names, alpn, clients), "[cloud.example] [x-amzn-mqtt-ca] [gw]")
				}
				r.stop()
			})
		})
	}
}

func TestTransportsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, server, proxy string
		tr                  *cloudtest.Transport
		class               Class
		text                string
	}{
		{"the proxy wants a password", "mqtt://a", "http://proxy:1", &cloudtest.Transport{Proxy: "http", User: "a:b"}, ClassAuth, "407"},
		{"the proxy cannot connect", "mqtt://a", "http://proxy:1", &cloudtest.Transport{Proxy: "http", Refuse: true}, ClassRefused, "502"},
		{"SOCKS wants a password", "mqtt://a", "socks5://proxy:1", &cloudtest.Transport{Proxy: "socks5", User: "a:b"}, ClassAuth, "sign in"},
		{"SOCKS refuses the password", "mqtt://a", "socks5://a:c@proxy:1", &cloudtest.Transport{Proxy: "socks5", User: "a:b"}, ClassAuth, "password"},
		{"SOCKS cannot connect", "mqtt://a", "socks5://proxy:1", &cloudtest.Transport{Proxy: "socks5", Refuse: true}, ClassTCP, "connection refused"},
		{"no WebSocket at this path", "ws://a/other", "", &cloudtest.Transport{Path: "/mqtt"}, ClassRefused, "404"},
		{"MQTT where WebSocket was asked for", "ws://a/mqtt", "", &cloudtest.Transport{}, ClassTCP, "WebSocket"},
	} {
		bubble(t, tc.name, func(t *testing.T) {
			c, err := cloudtest.New(cloudtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			tc.tr.Cloud = c
			r := against(t, c, func(o *Options) { o.Servers, o.Dial, o.Proxy = []string{tc.server}, tc.tr.Dial, tc.proxy })
			after(time.Second)
			st := r.Stats()
			want(t, "class", st.Class, tc.class)
			if !strings.Contains(st.Reason, tc.text) {
				t.Errorf("reason %q, want %q in it", st.Reason, tc.text)
			}
		})
	}
	for _, layer := range []string{"http", "socks5", "ws", "mqtts"} {
		bubble(t, "B2 a black hole under "+layer+" is left in time", func(t *testing.T) {
			c, err := cloudtest.New(cloudtest.Options{Faults: cloudtest.Faults{BlackHole: true}})
			if err != nil {
				t.Fatal(err)
			}
			r := against(t, c, func(o *Options) {
				o.Servers, o.TLS = []string{"mqtt://a"}, nil
				switch layer {
				case "http", "socks5":
					o.Proxy = layer + "://proxy:1"
				default:
					o.Servers = []string{layer + "://a"}
				}
				o.Dial = swallow
			})
			after(attemptTimeout)
			want(t, "class", r.Stats().Class, ClassTimeout)
		})
	}
}

// swallow connects to somebody who reads and never answers.
func swallow(context.Context, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		b := make([]byte, 1000)
		for {
			if _, err := far.Read(b); err != nil {
				return
			}
		}
	}()
	return near, nil
}

func TestServersAndProxiesAreParsed(t *testing.T) {
	for _, text := range []string{"mqtt://", "http://a", "mqtt://u:secret@a", "mqtt://a/path", "mqtts://a?q", "wss://a/#f", "a:1883", "mqtt://a:b:c"} {
		if s, err := parseServer(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
	for text, expected := range map[string]server{
		"tcp://a": {"a", "1883", false, ""}, "ssl://a:1/": {"a", "1", true, ""}, "ws://a": {"a", "80", false, "/"},
		"wss://[::1]/x?y": {"::1", "443", true, "/x?y"},
	} {
		if s, err := parseServer(text); err != nil || s != expected {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
	for _, text := range []string{"http://a", "https://a:1", "socks4://a:1", "http://u:secret@a", "http://a:1/x", "socks5://" + strings.Repeat("u", 256) + "@a:1", "://"} {
		if p, err := parseProxy(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
}

// A certificate that is pinned is trusted alone: that of the authority, or the
// server's own.
func TestPinnedCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id, other := newIdentities(), newIdentities()
		for _, tc := range []struct {
			name string
			pool *x509.CertPool
			up   bool
		}{
			{"the authority", id.authority.Roots(), true},
			{"the server's own certificate", leafPool(id.server), true},
			{"another authority of the same name", other.authority.Roots(), false},
			{"another certificate of the same name", leafPool(other.server), false},
		} {
			c, err := cloudtest.New(cloudtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			tr := &cloudtest.Transport{Cloud: c, TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{id.server}} }}
			r := against(t, c, func(o *Options) {
				o.Servers, o.Dial = []string{"mqtts://cloud.example"}, tr.Dial
				o.TLS = func() (*tls.Config, error) { return &tls.Config{RootCAs: tc.pool}, nil }
			})
			after(time.Second)
			if st := r.Stats(); (st.State == Up) != tc.up || !tc.up && st.Class != ClassTLS {
				t.Errorf("%s: %s, %s", tc.name, st.State, st.Reason)
			}
			r.stop()
		}
	})
}

func leafPool(c tls.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.Leaf)
	return p
}

// The addresses of a name: a good one is remembered, and tried where the name
// server fails or lies.
func TestResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		var answer []netip.Addr
		r := resolver{known: map[string]known{}, lookup: func(context.Context, string) ([]netip.Addr, error) {
			if answer == nil {
				return nil, &net.DNSError{Err: "server misbehaving"}
			}
			return answer, nil
		}}
		resolve := func() string {
			addrs, err := r.resolve(t.Context(), "cloud.example")
			var f *failure
			if err != nil && (!errors.As(err, &f) || f.class != ClassDNS) {
				t.Errorf("%v", err)
			}
			return fmt.Sprint(addrs)
		}
		want(t, "nothing known", resolve(), "[]")
		answer = []netip.Addr{good}
		want(t, "an answer", resolve(), "[192.0.2.1]")
		answer = nil
		want(t, "an answer alone is not a good address", resolve(), "[]")
		r.known["cloud.example"] = known{good, time.Now()}
		want(t, "B1 the name server is dead", resolve(), "[192.0.2.1]")
		answer = []netip.Addr{bad}
		want(t, "B1 the name server knows a dead address", resolve(), "[192.0.2.2 192.0.2.1]")
		answer = nil
		after(addressMaxAge)
		want(t, "a day later", resolve(), "[]")
	})
}
