package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
)

// authority signs certificates for a test.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	return a
}

// issue writes name.pem and name.key; without an authority yet it signs with
// its own key.
func (a *authority) issue(t *testing.T, name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.path(name+".pem"), "CERTIFICATE", der)
	writePEM(t, a.path(name+".key"), "EC PRIVATE KEY", keyDER)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secureUpstream is a mosquitto with a second listener that speaks TLS as
// localhost and wants a certificate of the authority, as client.pem is.
func secureUpstream(t *testing.T) (s *bridgetest.Server, a *authority, port string) {
	t.Helper()
	a = newAuthority(t)
	a.issue(t, "server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	a.issue(t, "client", &x509.Certificate{
		Subject: pkix.Name{CommonName: "me"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	s = upstream(t, "listener "+port+" 127.0.0.1", "allow_anonymous true", "require_certificate true",
		"cafile "+a.path("ca.pem"), "certfile "+a.path("server.pem"), "keyfile "+a.path("server.key"))
	return s, a, port
}

func TestTLS(t *testing.T) {
	s, a, secure := secureUpstream(t)
	fill(t, s)
	ca, cert := []string{"--cafile", a.path("ca.pem")}, []string{"--cert", a.path("client.pem"), "--key", a.path("client.key")}
	for _, tc := range []struct {
		name string
		args [][]string
		ok   bool
	}{
		{"certificate", [][]string{{"-h", "localhost"}, ca, cert}, true},
		{"TLS 1.2 only", [][]string{{"-h", "localhost", "--tls-version", "tlsv1.2"}, ca, cert}, true},
		{"wrong host", [][]string{{"-h", "127.0.0.1"}, ca, cert}, false},
		{"wrong host, insecure", [][]string{{"-h", "127.0.0.1", "--insecure"}, ca, cert}, true},
		{"no certificate", [][]string{{"-h", "localhost"}, ca}, false},
		{"other authority", [][]string{{"-h", "localhost", "--insecure", "--cafile", a.path("client.pem")}, cert}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := []string{"-p", secure, "-t", "a/text", "-C", "1", "-W", "10"}
			for _, more := range tc.args {
				args = append(args, more...)
			}
			ours := dunlin(t, "", append([]string{"sub"}, args...)...)
			if tc.ok {
				same(t, mosquitto(t, "sub", "", args...), ours)
			} else if ours.code == exitDone || ours.out != "" || ours.err == "" {
				t.Errorf("got %+v", ours)
			}
		})
	}
	t.Run("a directory of authorities", func(t *testing.T) {
		dir := t.TempDir()
		pemBytes, err := os.ReadFile(a.path("ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ca.pem"), pemBytes, 0o600); err != nil {
			t.Fatal(err)
		}
		args := append([]string{"sub", "-L", "mqtts://localhost:" + secure + "/a/text", "-C", "1", "--capath", dir}, cert...)
		if r := dunlin(t, "", args...); !strings.HasPrefix(r.out, "hello") {
			t.Errorf("got %+v", r)
		}
	})
}
