package bridge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// authority signs the certificates of this package's tests.
var authority = sync.OnceValue(newAuthority)

type ca struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority() ca {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour * 1000), NotAfter: time.Now().Add(time.Hour * 1000), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return ca{key, cert}
}

func roots(t testing.TB) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	p.AddCert(authority().cert)
	return p
}

// tlsServer listens with a certificate for 127.0.0.1 that is valid from and
// until the given times from now; with unknown, of an authority nobody trusts.
func tlsServer(t testing.TB, from, until time.Duration, unknown ...string) string {
	t.Helper()
	signer := authority()
	if len(unknown) > 0 {
		signer = newAuthority()
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, signer.cert, &signer.key.PublicKey, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: signer.key}}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake() // fails: the client refuses us
			_ = c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return "mqtts://" + l.Addr().String()
}
