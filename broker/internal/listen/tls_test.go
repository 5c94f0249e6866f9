package listen

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// secure starts a TLS listener of an authority with a server certificate.
func secure(t *testing.T, a *authority, o TLSOptions, log *logged) (address string, arrived chan arrival, s *TLS) {
	t.Helper()
	if o.Cert == "" {
		a.server("server")
		o.Cert, o.Key = a.path("server.pem"), a.path("server.key")
	}
	s, err := NewTLS(o, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	address, arrived = serveLayers(t, Layers{TLS: s, Log: log.logger()})
	return address, arrived, s
}

// connect does a client's handshake, and reads: in TLS 1.3 only that shows
// that the server refuses.
func connect(t *testing.T, address string, arrived chan arrival, cfg *tls.Config) (client *tls.Conn, server arrival) {
	t.Helper()
	cfg.ServerName = "localhost"
	client = tls.Client(dial(t, address), cfg)
	if err := client.Handshake(); err != nil {
		client.Close()
	}
	return client, <-arrived
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	for _, tc := range []struct {
		name string
		cfg  *tls.Config
		ok   bool
	}{
		{"TLS 1.3", &tls.Config{MinVersion: tls.VersionTLS13}, true},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{"without authenticated encryption", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log logged
			address, arrived, _ := secure(t, a, TLSOptions{}, &log)
			tc.cfg.RootCAs = a.roots()
			client, server := connect(t, address, arrived, tc.cfg)
			if !tc.ok {
				if server.err == nil {
					t.Error("let in")
				}
				return
			}
			echo(t, client, server)
			if want := (Peer{Remote: client.LocalAddr().String(), Local: true}); server.peer != want {
				t.Errorf("peer %+v, want %+v", server.peer, want)
			}
		})
	}
	t.Run("MQTT without TLS is closed at its first bytes", func(t *testing.T) {
		var log logged
		address, arrived, _ := secure(t, a, TLSOptions{}, &log)
		for range 3 {
			nc := dial(t, address)
			start := time.Now()
			nc.Write([]byte("\x10\x10\x00\x04MQTT"))
			if n, _ := nc.Read(make([]byte, 10)); n > 0 || time.Since(start) > 2*time.Second {
				t.Errorf("%d bytes back after %v", n, time.Since(start))
			}
			if (<-arrived).err == nil {
				t.Error("let in")
			}
		}
		if n := strings.Count(log.String(), "does not speak TLS"); n != 1 {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
	})
}

func TestClientCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	clientAuth := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	issue := func(by *authority, change func(*x509.Certificate)) []tls.Certificate {
		template := &x509.Certificate{Subject: pkix.Name{CommonName: "me"}, ExtKeyUsage: clientAuth}
		change(template)
		return []tls.Certificate{by.issue("client", template)}
	}
	as := func(cn string) []tls.Certificate {
		return issue(a, func(c *x509.Certificate) { c.Subject.CommonName = cn })
	}
	u, err := url.Parse("urn:dev:7")
	if err != nil {
		t.Fatal(err)
	}
	print := as("printed")
	sum := sha256.Sum256(print[0].Certificate[0])
	heavy := as("me")
	for range 200 {
		heavy[0].Certificate = append(heavy[0].Certificate, a.cert.Raw)
	}
	revoked := as("gone")
	if err := os.WriteFile(a.path("crl.der"), a.crl(time.Now().Add(time.Hour), revoked...), 0o600); err != nil {
		t.Fatal(err)
	}
	a.write("crl.pem", "X509 CRL", a.crl(time.Now().Add(-time.Hour), revoked...))
	require := TLSOptions{CA: a.path("ca.pem"), RequireClientCert: true}
	with := func(change func(*TLSOptions)) TLSOptions { o := require; change(&o); return o }
	san := with(func(o *TLSOptions) { o.Identity = "san" })
	for _, tc := range []struct {
		name  string
		o     TLSOptions
		certs []tls.Certificate
		user  string // "-": refused
	}{
		{"common name", require, as("me"), "me"},
		{"SAN: DNS first", san, issue(a, func(c *x509.Certificate) {
			c.DNSNames, c.EmailAddresses = []string{"a.example", "b.example"}, []string{"m@a.example"}
		}), "a.example"},
		{"SAN: e-mail", san, issue(a, func(c *x509.Certificate) { c.EmailAddresses, c.URIs = []string{"m@a.example"}, []*url.URL{u} }), "m@a.example"},
		{"SAN: URI", san, issue(a, func(c *x509.Certificate) { c.URIs = []*url.URL{u} }), "urn:dev:7"},
		{"SAN: none", san, as("me"), "-"},
		{"fingerprint", with(func(o *TLSOptions) { o.Identity = "fingerprint" }), print, hex.EncodeToString(sum[:])},
		{"none, and it is required", require, nil, "-"},
		{"none, and it is not required", with(func(o *TLSOptions) { o.RequireClientCert = false }), nil, ""},
		{"not required, but there", with(func(o *TLSOptions) { o.RequireClientCert = false }), as("me"), "me"},
		{"not required, but of another authority", with(func(o *TLSOptions) { o.RequireClientCert = false }), issue(other, func(*x509.Certificate) {}), "-"},
		{"another authority", require, issue(other, func(*x509.Certificate) {}), "-"},
		{"expired", require, issue(a, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}), "-"},
		{"not for clients", require, issue(a, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "-"},
		{"no name", require, as(""), "-"},
		{"a wildcard as name", require, as("/#"), "-"},
		{"a control character in the name", require, as("me\n"), "-"},
		{"a chain of 100 KB", require, heavy, "-"},
		{"revoked, list in DER", with(func(o *TLSOptions) { o.CRL = a.path("crl.der") }), revoked, "-"},
		{"revoked, list in PEM and out of date", with(func(o *TLSOptions) { o.CRL = a.path("crl.pem") }), revoked, "-"},
		{"not revoked, list out of date", with(func(o *TLSOptions) { o.CRL = a.path("crl.pem") }), as("me"), "me"},
	} {
		for version, max := range map[string]uint16{"1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12} {
			t.Run(tc.name+", TLS "+version, func(t *testing.T) {
				var log logged
				address, arrived, _ := secure(t, a, tc.o, &log)
				client, server := connect(t, address, arrived, &tls.Config{RootCAs: a.roots(), Certificates: tc.certs, MaxVersion: max})
				if tc.user == "-" {
					if server.err == nil {
						t.Errorf("let in as %q", server.peer.CertificateUser)
					}
					t.Log(server.err)
					return
				}
				echo(t, client, server)
				if server.peer.CertificateUser != tc.user {
					t.Errorf("user %q, want %q", server.peer.CertificateUser, tc.user)
				}
			})
		}
	}
}

func TestValidUser(t *testing.T) {
	for user, ok := range map[string]bool{
		"alice": true, "müller": true, "spiffe://a.example/x": true, "$x": true,
		"": false, "a\xff": false, "a\x00": false, "a\u0085": false, "+": false, "a/#": false, strings.Repeat("x", 257): false,
	} {
		if err := validUser(user); (err == nil) != ok {
			t.Errorf("%q: %v", user, err)
		}
	}
}

func TestResumedSessionsAreJudgedAgain(t *testing.T) {
	a := newAuthority(t)
	me := a.client("me")
	a.write("crl.pem", "X509 CRL", a.crl(time.Now().Add(time.Hour)))
	for version, max := range map[string]uint16{"1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12} {
		t.Run("TLS "+version, func(t *testing.T) {
			var log logged
			address, arrived, s := secure(t, a, TLSOptions{CA: a.path("ca.pem"), CRL: a.path("crl.pem"), RequireClientCert: true}, &log)
			cfg := &tls.Config{
				RootCAs: a.roots(), Certificates: []tls.Certificate{me}, MaxVersion: max, ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			for _, resumed := range []bool{false, true} {
				client, server := connect(t, address, arrived, cfg)
				echo(t, client, server)
				if client.ConnectionState().DidResume != resumed {
					t.Errorf("resumed: %v", !resumed)
				}
				if server.peer.CertificateUser != "me" {
					t.Errorf("resumed %v: user %q", resumed, server.peer.CertificateUser)
				}
			}
			a.write("crl.pem", "X509 CRL", a.crl(time.Now().Add(time.Hour), me))
			defer a.write("crl.pem", "X509 CRL", a.crl(time.Now().Add(time.Hour)))
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
			if _, server := connect(t, address, arrived, cfg); server.err == nil {
				t.Error("a revoked certificate comes back with a resumed session")
			} else if !strings.Contains(server.err.Error(), "revoked") {
				t.Error(server.err)
			}
		})
	}
}

func TestResumedSessionsOfAFormerAuthority(t *testing.T) {
	a, next := newAuthority(t), newAuthority(t)
	me := a.client("me")
	for version, max := range map[string]uint16{"1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12} {
		t.Run("TLS "+version, func(t *testing.T) {
			a.write("clients.pem", "CERTIFICATE", a.cert.Raw)
			var log logged
			address, arrived, s := secure(t, a, TLSOptions{CA: a.path("clients.pem")}, &log)
			cfg := &tls.Config{
				RootCAs: a.roots(), Certificates: []tls.Certificate{me}, MaxVersion: max, ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			client, server := connect(t, address, arrived, cfg)
			echo(t, client, server)
			a.write("clients.pem", "CERTIFICATE", next.cert.Raw)
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
			if _, server := connect(t, address, arrived, cfg); server.err == nil {
				t.Errorf("let in as %q", server.peer.CertificateUser)
			}
		})
	}
}

func TestRevokedConnections(t *testing.T) {
	a, next := newAuthority(t), newAuthority(t)
	me, other := a.client("me"), a.client("other")
	reset := func() {
		a.write("crl.pem", "X509 CRL", a.crl(time.Now().Add(time.Hour)))
		a.write("clients.pem", "CERTIFICATE", a.cert.Raw)
	}
	for _, tc := range []struct {
		name      string
		change    func()
		me, other bool // revoked
	}{
		{"nothing", func() {}, false, false},
		{"one is revoked", func() { a.write("crl.pem", "X509 CRL", a.crl(time.Now().Add(2*time.Hour), me)) }, true, false},
		{"another authority", func() {
			a.write("clients.pem", "CERTIFICATE", next.cert.Raw)
			a.write("crl.pem", "X509 CRL", next.crl(time.Now().Add(time.Hour)))
		}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reset()
			var log logged
			address, arrived, s := secure(t, a, TLSOptions{CA: a.path("clients.pem"), CRL: a.path("crl.pem")}, &log)
			_, mine := connect(t, address, arrived, &tls.Config{RootCAs: a.roots(), Certificates: []tls.Certificate{me}})
			_, others := connect(t, address, arrived, &tls.Config{RootCAs: a.roots(), Certificates: []tls.Certificate{other}})
			_, nobody := connect(t, address, arrived, &tls.Config{RootCAs: a.roots()})
			told := 0
			OnRevoked(mine.Conn.(*layered).l, func() { told++ })
			tc.change()
			s.lookAgain()
			s.follow()
			for _, c := range []struct {
				who  arrival
				gone bool
			}{{mine, tc.me}, {others, tc.other}, {nobody, false}} {
				if got := c.who.Conn.(*layered).Revoked(); got != c.gone {
					t.Errorf("%q revoked: %v", c.who.peer.CertificateUser, got)
				}
			}
			if (told > 0) != (tc.name != "nothing") {
				t.Errorf("told %d times", told)
			}
		})
	}
}

func TestBegun(t *testing.T) {
	a := newAuthority(t)
	a.server("server")
	var log logged
	s, err := NewTLS(TLSOptions{Cert: a.path("server.pem"), Key: a.path("server.key")}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	ln := Layers{TLS: s, Log: log.logger()}.Over(bind(t, "127.0.0.1:0"))
	hello := helloOf(t)
	for _, tc := range []struct {
		name  string
		sent  []byte
		begun bool
	}{
		{"part of a hello", hello[:len(hello)-1], false},
		{"a whole hello", hello, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := dial(t, ln.Addr().String())
			nc, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				nc.(Handshaker).Handshake()
			}()
			for _, b := range [][]byte{tc.sent[:100], tc.sent[100:]} {
				if _, err := client.Write(b); err != nil {
					t.Fatal(err)
				}
			}
			if tc.begun {
				client.Read(make([]byte, 1)) // the answer
			} else {
				client.(interface{ CloseWrite() error }).CloseWrite()
				<-done
			}
			if got := nc.(interface{ Begun() bool }).Begun(); got != tc.begun {
				t.Errorf("begun: %v", got)
			}
			client.Close()
			<-done
		})
	}
}

// helloOf returns a ClientHello.
func helloOf(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go tls.Client(client, &tls.Config{ServerName: "localhost"}).Handshake()
	s := newSocket(server)
	if err := s.readRecord(); err != nil {
		t.Fatal(err)
	}
	return s.rest
}
