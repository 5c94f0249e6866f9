package listen

import (
	"crypto/tls"
	"encoding/asn1"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFilesThatCannotBeUsed(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	a.server("server")
	a.server("second")
	copyFile(t, a.path("server.key"), a.path("open.key"), 0o640)
	copyFile(t, a.path("server.key"), a.path("text"), 0o600)
	a.write("foreign.pem", "X509 CRL", other.crl(time.Now().Add(time.Hour)))
	a.write("broken.pem", "X509 CRL", []byte("x"))
	other.write("renamed.pem", "CERTIFICATE", a.cert.Raw)
	forged := a.crl(time.Now().Add(time.Hour))
	forged[len(forged)-1] ^= 1
	a.write("forged.pem", "X509 CRL", forged)
	if err := os.WriteFile(a.path("large"), make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	a.write("locked.key", "ENCRYPTED PRIVATE KEY", []byte("x"))
	old := "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\neA==\n-----END EC PRIVATE KEY-----\n"
	if err := os.WriteFile(a.path("old.key"), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	good := TLSOptions{Cert: a.path("server.pem"), Key: a.path("server.key"), CA: a.path("ca.pem")}
	for _, tc := range []struct {
		name   string
		change func(*TLSOptions)
		field  string // "": good
		says   string
	}{
		{"all good", func(*TLSOptions) {}, "", ""},
		{"no certificate", func(o *TLSOptions) { o.Cert = a.path("none") }, "Cert", "none: no such file"},
		{"no key", func(o *TLSOptions) { o.Key = a.path("none") }, "Key", "none: no such file"},
		{"the key of another certificate", func(o *TLSOptions) { o.Key = a.path("second.key") }, "Cert", "private key does not match public key"},
		{"a key as certificate", func(o *TLSOptions) { o.Cert = a.path("text") }, "Cert", "text"},
		{"a directory", func(o *TLSOptions) { o.Cert = a.dir }, "Cert", "not a file"},
		{"a huge file", func(o *TLSOptions) { o.CA = a.path("large") }, "CA", "large"},
		{"a key that others can read", func(o *TLSOptions) { o.Key = a.path("open.key") }, "Key", "can be read by others than its owner (mode 0640)"},
		{"a key with a passphrase", func(o *TLSOptions) { o.Key = a.path("locked.key") }, "Key", "is encrypted"},
		{"a key with a passphrase, as OpenSSL had them once", func(o *TLSOptions) { o.Key = a.path("old.key") }, "Key", "is encrypted"},
		{"a CA file without a certificate", func(o *TLSOptions) { o.CA = a.path("server.key") }, "CA", "no certificate"},
		{"a CRL of another authority of the same name", func(o *TLSOptions) { o.CRL = a.path("foreign.pem") }, "CRL", "the list of CN=test authority"},
		{"a CRL whose signature is wrong", func(o *TLSOptions) { o.CRL = a.path("forged.pem") }, "CRL", "the list of CN=test authority"},
		{"a CRL that is none", func(o *TLSOptions) { o.CRL = a.path("broken.pem") }, "CRL", "broken.pem"},
		{"a CRL of version 1", func(o *TLSOptions) { o.CRL = filepath.Join("testdata", "crl-version1.pem") }, "CRL", "crlnumber"},
		{"a certificate as CRL", func(o *TLSOptions) { o.CRL = a.path("ca.pem") }, "CRL", "no certificate revocation list"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := good
			tc.change(&o)
			_, err := NewTLS(o, new(logged).logger())
			var e *TLSError
			if errors.As(err, &e); tc.field == "" && err == nil {
				return
			}
			if e == nil || e.Field != tc.field || !strings.Contains(e.Error(), tc.says) {
				t.Errorf("%v", err)
			}
			if tc.field == "Key" && strings.Contains(tc.says, "mode") && e.Cure != "chmod 600 "+o.Key {
				t.Errorf("cure %q", e.Cure)
			}
		})
	}
	t.Run("a credential of systemd shows the group's bits", func(t *testing.T) {
		t.Setenv("CREDENTIALS_DIRECTORY", a.dir)
		if err := checkKeyMode(a.path("open.key")); err != nil {
			t.Error(err)
		}
		if err := os.Chmod(a.path("open.key"), 0o644); err != nil {
			t.Fatal(err)
		}
		if checkKeyMode(a.path("open.key")) == nil {
			t.Error("all may read it")
		}
	})
	t.Run("a list out of date is taken, with a warning", func(t *testing.T) {
		o := good
		o.CRL = a.path("old.pem")
		a.write("old.pem", "X509 CRL", a.crl(time.Now().Add(-time.Hour)))
		var log logged
		if _, err := NewTLS(o, log.logger()); err != nil || !strings.Contains(log.String(), "out of date (next update 2") {
			t.Errorf("%v\n%s", err, log.String())
		}
	})
}

func copyFile(t *testing.T, from, to string, mode fs.FileMode) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, mode)
	}
	if err == nil {
		err = os.Chmod(to, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lookAgain makes the next handshake look at the files.
func (t *TLS) lookAgain() {
	t.looking <- struct{}{}
	t.looked = time.Time{}
	<-t.looking
}

func TestChangedFiles(t *testing.T) {
	a := newAuthority(t)
	var log logged
	address, arrived, s := secure(t, a, TLSOptions{}, &log)
	serial := func() *big.Int {
		client, server := connect(t, address, arrived, &tls.Config{RootCAs: a.roots()})
		echo(t, client, server)
		return client.ConnectionState().PeerCertificates[0].SerialNumber
	}
	first := serial()
	next := a.server("next").Leaf.SerialNumber

	copyFile(t, a.path("next.pem"), a.path("server.pem"), 0o600) // the key is still the old one
	if got := serial(); got.Cmp(first) != 0 || log.String() != "" {
		t.Error("files were looked at twice within a second")
	}
	s.lookAgain()
	if got := serial(); got.Cmp(first) != 0 || !strings.Contains(log.String(), "the changed TLS files are not used") {
		t.Errorf("half of a new pair: %s", log.String())
	}
	copyFile(t, a.path("next.key"), a.path("server.key"), 0o600)
	s.lookAgain()
	if got := serial(); got.Cmp(next) != 0 {
		t.Errorf("the new pair is not served: %s", log.String())
	}
	if err := os.Remove(a.path("server.key")); err != nil {
		t.Fatal(err)
	}
	s.lookAgain()
	if got := serial(); got.Cmp(next) != 0 {
		t.Error("without a key")
	}
	s.lookAgain()
	serial() // the same failure again is not worth a line
	var e *TLSError
	if err := s.Reload(); !errors.As(err, &e) || e.Field != "Key" {
		t.Errorf("Reload: %v", err)
	}
	if n := strings.Count(log.String(), "not used"); n != 2 {
		t.Errorf("%d errors logged:\n%s", n, log.String())
	}
	// What is wrong with a file may be cured without a trace in its size and time.
	third := a.server("third").Leaf.SerialNumber
	copyFile(t, a.path("third.pem"), a.path("server.pem"), 0o600)
	copyFile(t, a.path("third.key"), a.path("server.key"), 0o644)
	s.lookAgain()
	if got := serial(); got.Cmp(next) != 0 {
		t.Error("with a key that others can read")
	}
	if err := os.Chmod(a.path("server.key"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.lookAgain()
	if got := serial(); got.Cmp(third) != 0 {
		t.Errorf("chmod is not noticed:\n%s", log.String())
	}
}

// ocspAnswer is a response about a certificate; clients of these tests do not
// check its signature.
func ocspAnswer(t *testing.T, serial *big.Int, next time.Time, status, certStatus int) []byte {
	t.Helper()
	null := asn1.RawValue{Tag: asn1.TagNull}
	var b basicOCSP
	b.Data.ResponderID = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: []byte{4, 1, 0}}
	b.Data.ProducedAt = time.Now().UTC().Add(-time.Hour)
	b.Data.Responses = append(b.Data.Responses, struct {
		CertID struct {
			Algorithm         asn1.RawValue
			NameHash, KeyHash []byte
			Serial            *big.Int
		}
		Status     asn1.RawValue
		ThisUpdate time.Time     `asn1:"generalized"`
		NextUpdate time.Time     `asn1:"generalized,explicit,tag:0,optional"`
		Extensions asn1.RawValue `asn1:"explicit,tag:1,optional"`
	}{})
	one := &b.Data.Responses[0]
	one.CertID.Algorithm, one.CertID.NameHash, one.CertID.KeyHash, one.CertID.Serial = null, []byte{1}, []byte{2}, serial
	one.Status = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: certStatus}
	one.ThisUpdate, one.NextUpdate = time.Now().UTC().Add(-time.Hour), next.UTC()
	b.Algorithm, b.Signature = null, asn1.BitString{Bytes: []byte{1}, BitLength: 8}
	inner, err := asn1.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	r := ocspResponse{Status: asn1.Enumerated(status)}
	r.Bytes.Type, r.Bytes.Response = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, inner
	der, err := asn1.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestStaple(t *testing.T) {
	a := newAuthority(t)
	serial := a.server("server").Leaf.SerialNumber
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	for _, tc := range []struct {
		name, says string
		staple     []byte
		used       bool
	}{
		{"of use", "", ocspAnswer(t, serial, later, 0, 0), true},
		{"revoked", "certificate is revoked", ocspAnswer(t, serial, later, 0, revokedStatus), true},
		{"out of date", "out of date since", ocspAnswer(t, serial, before, 0, 0), false},
		{"of another certificate", "about another certificate", ocspAnswer(t, big.NewInt(1), later, 0, 0), false},
		{"the responder had none", "status 3", ocspAnswer(t, serial, later, 3, 0), false},
		{"not OCSP", "not an OCSP response", []byte("x"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := os.WriteFile(a.path("server.pem.ocsp"), tc.staple, 0o600); err != nil {
				t.Fatal(err)
			}
			var log logged
			address, arrived, _ := secure(t, a, TLSOptions{Cert: a.path("server.pem"), Key: a.path("server.key")}, &log)
			client, server := connect(t, address, arrived, &tls.Config{RootCAs: a.roots()})
			echo(t, client, server)
			got := string(client.ConnectionState().OCSPResponse)
			if tc.used && got != string(tc.staple) || !tc.used && got != "" {
				t.Errorf("%d bytes stapled", len(got))
			}
			if !strings.Contains(log.String(), tc.says) {
				t.Error(log.String())
			}
		})
	}
	t.Run("it gets old while it is served", func(t *testing.T) {
		if err := os.WriteFile(a.path("server.pem.ocsp"), ocspAnswer(t, serial, later, 0, 0), 0o600); err != nil {
			t.Fatal(err)
		}
		var log logged
		address, arrived, s := secure(t, a, TLSOptions{Cert: a.path("server.pem"), Key: a.path("server.key")}, &log)
		s.now.Load().stapled = before
		if err := os.WriteFile(a.path("server.pem.ocsp"), ocspAnswer(t, serial, before, 0, 0), 0o600); err != nil {
			t.Fatal(err)
		}
		s.seen = stamps(s.opts) // the change of the file is not what is seen
		s.lookAgain()
		client, server := connect(t, address, arrived, &tls.Config{RootCAs: a.roots()})
		echo(t, client, server)
		if got := client.ConnectionState().OCSPResponse; got != nil {
			t.Error("a response out of date is stapled")
		}
	})
	t.Run("as openssl writes it", func(t *testing.T) {
		// Made with openssl ocsp; about serials 4096 and 4097, without an end.
		for name, want := range map[string]struct {
			serial  int64
			revoked bool
		}{"openssl.ocsp": {4096, false}, "revoked.ocsp": {4097, true}} {
			b, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			until, revoked, err := checkStaple(b, big.NewInt(want.serial), time.Now())
			if err != nil || !until.IsZero() || revoked != want.revoked {
				t.Error(name, until, revoked, err)
			}
		}
	})
}
