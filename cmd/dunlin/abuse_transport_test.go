//go:build linux

package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// G. Transport.
func attacksOnTransport() []attack {
	return []attack{
		{number: 68, name: "old TLS, weak suites, heartbeats", run: weakTLS},
		{number: 69, name: "handshakes that are started and left", run: leftHandshakes},
		{number: 70, name: "WebSocket frames against the packets' borders", run: webSocketBorders},
		{number: 71, name: "WebSocket frames that cannot be", run: webSocketViolations},
		{number: 72, name: "requests that are no upgrade", run: wrongUpgrades},
		{number: 73, name: "a PROXY header of anybody", run: foreignProxies},
		{number: 74, name: "client certificates that are not right", run: wrongCertificates},
		{number: 75, name: "one protocol on the port of another", run: wrongPort},
	}
}

// secured is a victim with a TLS listener and the authority of its
// certificate.
func secured(t *testing.T) (*victim, *authority) {
	t.Helper()
	a := newAuthority(t)
	a.issue(t, "server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	s := attackOn(t, victimOptions{config: strings.Replace(open, "}],", fmt.Sprintf("}, {bind: \"127.0.0.1:0\", anonymous: true, tls: {cert: %q, key: %q}}],",
		a.path("server.pem"), a.path("server.key")), 1), budget: 48 << 20})
	return s, a
}

// openAt opens a TCP connection to the listener with this index.
func (s *victim) openAt(i int) net.Conn {
	s.t.Helper()
	nc, err := net.DialTimeout("tcp", s.addresses[i], 5*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return nc
}

// closes fails unless the other side ends the connection in time; what it
// says before does not matter.
func closes(t *testing.T, nc net.Conn, limit time.Duration) {
	t.Helper()
	limit *= time.Duration(scale(10, 1)) // beside other tests
	nc.SetReadDeadline(time.Now().Add(limit))
	if _, err := io.Copy(io.Discard, nc); err != nil && os.IsTimeout(err) {
		t.Errorf("open after %s", limit)
	}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func weakTLS(t *testing.T) {
	s, a := secured(t)
	for name, cfg := range map[string]*tls.Config{
		"TLS 1.0":      {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
		"TLS 1.1":      {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"RC4":          {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}},
		"CBC":          {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256}},
		"RSA exchange": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}},
	} {
		cfg.RootCAs, cfg.ServerName = a.pool(), "localhost"
		if err := tls.Client(s.openAt(1), cfg).Handshake(); err == nil {
			t.Errorf("%s: the handshake succeeds", name)
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		raw := s.openAt(1)
		good := tls.Client(raw, &tls.Config{RootCAs: a.pool(), ServerName: "localhost", MinVersion: version, MaxVersion: version})
		c := newAttacker(t, good, mqtt.V5)
		c.connect(fmt.Sprintf("cid=tls-%x", version))
		raw.Write([]byte{24, 3, 3, 0, 3, 1, 0x40, 0}) // a heartbeat that claims 16 KiB
		closes(t, raw, 3*time.Second)
	}
	early := s.openAt(1)
	early.Write([]byte{24, 3, 1, 0, 3, 1, 0x40, 0})
	closes(t, early, 3*time.Second)
}

func leftHandshakes(t *testing.T) {
	s, a := secured(t)
	begin := time.Now()
	hello := []byte{22, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3}
	for i := range scale(200, 500) {
		nc := s.openAt(1)
		if i%2 == 0 {
			nc.Write(hello) // promises 512 bytes
		}
	}
	slow := s.openAt(1)
	go func() {
		for _, b := range make([]byte, 40) {
			if _, err := slow.Write([]byte{22 &^ b}); err != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	}()
	eventually(t, 3*time.Second, "limit of 64 handshakes", func() bool { return s.fds() <= s.baseFDs+64+1 })
	cfg := &tls.Config{RootCAs: a.pool(), ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	for i := range 2 {
		good := tls.Client(s.openAt(1), cfg)
		c := newAttacker(t, good, mqtt.V5)
		c.connect("cid=resumed")
		if resumed := good.ConnectionState().DidResume; resumed != (i == 1) {
			t.Errorf("connection %d: session resumed: %v", i+1, resumed)
		}
		good.Close()
	}
	time.Sleep(time.Until(begin.Add(9500 * time.Millisecond)))
	eventually(t, 4*time.Second, "end of all handshakes after 10 s", func() bool { return s.fds() <= s.baseFDs })
}

// foreignProxies sends PROXY headers to a listener that does not know any, to
// one that trusts others, and broken ones to one that trusts this host.
func foreignProxies(t *testing.T) {
	s := attackOn(t, victimOptions{config: strings.Replace(open, "}],", `}, {bind: "127.0.0.1:0", anonymous: true, proxy_protocol: [10.0.0.0/8]},
  {bind: "127.0.0.1:0", anonymous: true, proxy_protocol: [127.0.0.0/8]}],`, 1)})
	header := "PROXY TCP4 192.0.2.7 192.0.2.1 1000 1883\r\n"
	connect := string(rawConnect(2, props(), field("proxied")))
	for i, what := range []string{"plain listener", "listener that trusts others"} {
		nc := s.openAt(i)
		io.WriteString(nc, header+connect)
		a := newAttacker(t, nc, mqtt.V5)
		if last := a.last(); hasCode(last, 0) || last == "silence" {
			t.Errorf("%s: %s", what, last)
		}
	}
	trusted := newAttacker(t, s.openAt(2), mqtt.V5)
	trusted.write([]byte(header + connect))
	trusted.expect("CONNACK rc=0x00 ...")
	s.says("192.0.2.7:1000")
	signature := "\r\n\r\n\x00\r\nQUIT\n"
	for _, broken := range []string{
		connect, "PROXY TCP4 192.0.2.7\r\n", "PROXY " + strings.Repeat("x", 200), "PROXY TCP4 ::1 ::1 1 1\r\n" + connect,
		signature + "\x21\x11\xff\xff" + strings.Repeat("x", 4000), signature + "\x31\x11\x00\x0c" + strings.Repeat("x", 12) + connect,
		signature + "\x21\x11\x00\x04\x7f\x00\x00\x01" + connect,
	} {
		nc := s.openAt(2)
		io.WriteString(nc, broken)
		closes(t, nc, 3*time.Second)
	}
}

// certificate makes a client certificate that only the test gets to see.
func (a *authority) certificate(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "device"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func wrongCertificates(t *testing.T) {
	a := newAuthority(t)
	revoked := big.NewInt(4711)
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: revoked, RevocationTime: time.Now()}},
	}, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.issue(t, "server", &x509.Certificate{DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err := os.WriteFile(a.path("crl.pem"), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := attackOn(t, victimOptions{config: strings.Replace(open, "}],", fmt.Sprintf(
		`}, {bind: "127.0.0.1:0", tls: {cert: "%[1]s/server.pem", key: "%[1]s/server.key", ca: "%[1]s/ca.pem", crl: "%[1]s/crl.pem", require_client_cert: true}}],`, a.dir), 1)})
	stranger := newAuthority(t)
	good := a.certificate(t, func(*x509.Certificate) {})
	long := good
	for range 250 {
		long.Certificate = append(long.Certificate[:len(long.Certificate):len(long.Certificate)], good.Certificate[0])
	}
	try := func(cert *tls.Certificate) string {
		cfg := &tls.Config{RootCAs: a.pool(), ServerName: "localhost"}
		if cert != nil {
			cfg.Certificates = []tls.Certificate{*cert}
		}
		c := newAttacker(t, tls.Client(s.openAt(1), cfg), mqtt.V5)
		c.send("CONNECT cid=certified")
		return c.receive()
	}
	if got := try(&good); !hasCode(got, 0) {
		t.Fatalf("the good certificate: %s\n%s", got, s.tail())
	}
	named := func(cn string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: cn} }
	}
	for name, cert := range map[string]tls.Certificate{
		"expired":        a.certificate(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }),
		"of tomorrow":    a.certificate(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour / 2) }),
		"for servers":    a.certificate(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"of a stranger":  stranger.certificate(t, func(*x509.Certificate) {}),
		"named #":        a.certificate(t, named("a/#")),
		"named +":        a.certificate(t, named("+")),
		"named U+0000":   a.certificate(t, named("a\x00b")),
		"named newline":  a.certificate(t, named("a\nb")),
		"named nothing":  a.certificate(t, named("")),
		"not UTF-8":      a.certificate(t, func(c *x509.Certificate) { c.RawSubject = latinName() }),
		"revoked":        a.certificate(t, func(c *x509.Certificate) { c.SerialNumber = revoked }),
		"chain of 100KB": long,
	} {
		if got := try(&cert); got != "closed" {
			t.Errorf("certificate %s: %s", name, got)
		}
	}
	if got := try(nil); got != "closed" {
		t.Errorf("no certificate: %s", got)
	}
}

// latinName is a subject whose common name claims UTF-8 and is none.
func latinName() []byte {
	return []byte{0x30, 14, 0x31, 12, 0x30, 10, 0x06, 3, 0x55, 0x04, 0x03, 0x0C, 3, 'a', 0xFF, 'b'}
}

func wrongPort(t *testing.T) {
	s, a := secured(t)
	plain := s.openAt(1)
	plain.Write(rawConnect(2, props(), field("plain")))
	closes(t, plain, 2*time.Second)
	five := s.openAt(1)
	five.Write([]byte("GET /")) // five bytes are enough to know
	closes(t, five, 2*time.Second)
	if err := tls.Client(s.openAt(0), &tls.Config{RootCAs: a.pool(), ServerName: "localhost"}).Handshake(); err == nil {
		t.Error("TLS on the port of plain MQTT")
	}
	garbage := make([]byte, 10<<20)
	rand.Read(garbage)
	garbage[0] = 0xF7
	for i := range 2 {
		nc := s.openAt(i)
		nc.SetWriteDeadline(time.Now().Add(3 * time.Second))
		if n, err := nc.Write(garbage); err == nil {
			t.Errorf("listener %d took %d bytes of garbage", i, n)
		}
	}
	for range 300 { // a scan makes no log
		nc := s.openAt(1)
		nc.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		bufio.NewReader(nc).ReadByte()
		nc.Close()
	}
	loud := 0
	for line := range strings.Lines(s.logged()) {
		if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"INFO"`) || strings.Contains(line, `"level":"ERROR"`) {
			loud++
		}
	}
	if loud > 120 {
		t.Errorf("%d lines of log for 300 scans", loud)
	}
}

// client is a TLS connection over nc that trusts the authority.
func (a *authority) client(t *testing.T, nc net.Conn) *tls.Conn {
	t.Helper()
	c := tls.Client(nc, &tls.Config{RootCAs: a.pool(), ServerName: "localhost"})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}
