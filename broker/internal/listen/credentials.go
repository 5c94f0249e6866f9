package listen

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// maxFile bounds the files of TLS, in bytes.
const maxFile = 4 << 20

// credentials are one version of the files of a TLS server. They do not
// change.
type credentials struct {
	opts     TLSOptions
	pair     tls.Certificate
	roots    *x509.CertPool // nil: no client certificates
	revoked  map[revocation]struct{}
	stapled  time.Time // until when the OCSP response is of use; zero: no end
	config   *tls.Config
	warnings []string
}

// revocation names a certificate.
type revocation struct{ issuer, serial string }

// TLSError says which file of TLSOptions cannot be used.
type TLSError struct {
	Field string // Cert, Key, CA or CRL
	Cure  string // "" when none is known
	Err   error
}

func (e *TLSError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TLSError) Unwrap() error { return e.Err }

func loadCredentials(o TLSOptions, now time.Time) (*credentials, error) {
	c := &credentials{opts: o}
	if err := c.loadPair(now); err != nil {
		return nil, err
	}
	if o.CA != "" {
		authorities, err := readCertificates(o.CA)
		if err != nil {
			return nil, &TLSError{Field: "CA", Err: err}
		}
		c.roots = x509.NewCertPool()
		for _, a := range authorities {
			c.roots.AddCert(a)
		}
		if o.CRL != "" {
			if err := c.loadCRL(authorities, now); err != nil {
				return nil, &TLSError{Field: "CRL", Err: err}
			}
		}
	}
	c.staple(now)
	c.config = c.serverConfig()
	return c, nil
}

// loadPair reads certificate and key.
func (c *credentials) loadPair(now time.Time) error {
	if err := checkKeyMode(c.opts.Key); err != nil {
		return err
	}
	cert, err := readFile(c.opts.Cert)
	if err != nil {
		return &TLSError{Field: "Cert", Err: err}
	}
	key, err := readFile(c.opts.Key)
	if err != nil {
		return &TLSError{Field: "Key", Err: err}
	}
	if bytes.Contains(key, []byte("ENCRYPTED")) { // in the type of the block, or in its header
		return &TLSError{"Key", "openssl pkey -in " + c.opts.Key + " -out plain.key", fmt.Errorf("%s is encrypted, and nobody is here to type its passphrase", c.opts.Key)}
	}
	if c.pair, err = tls.X509KeyPair(cert, key); err != nil {
		return &TLSError{Field: "Cert", Err: fmt.Errorf("certificate %s with key %s: %w", c.opts.Cert, c.opts.Key, err)}
	}
	leaf := c.pair.Leaf
	switch {
	case now.After(leaf.NotAfter):
		c.warn("the certificate has expired: clients will refuse it", "since", leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		c.warn("the certificate is not valid yet, or this machine's clock is wrong", "from", leaf.NotBefore)
	}
	return nil
}

func (c *credentials) warn(msg, word string, at time.Time) {
	c.warnings = append(c.warnings, fmt.Sprintf("%s (%s %s)", msg, word, at.UTC().Format(time.RFC3339)))
}

// checkKeyMode refuses a private key that others than its owner can read. A
// file that systemd made for this service shows the service's own right to
// read as that of a group.
func checkKeyMode(name string) error {
	fi, err := os.Stat(name)
	if err != nil {
		return &TLSError{Field: "Key", Err: err}
	}
	if runtime.GOOS == "windows" {
		return nil // rights are not in the mode there
	}
	forbidden := fs.FileMode(0o077)
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(name) == filepath.Clean(dir) {
		forbidden = 0o007
	}
	if fi.Mode()&forbidden != 0 {
		return &TLSError{"Key", "chmod 600 " + name, fmt.Errorf("%s can be read by others than its owner (mode %04o)", name, fi.Mode().Perm())}
	}
	return nil
}

func readFile(name string) ([]byte, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxFile {
		return nil, fmt.Errorf("%s is not a file of at most %d MiB", name, maxFile>>20)
	}
	return os.ReadFile(name)
}

// readCertificates reads all certificates of a PEM file.
func readCertificates(name string) ([]*x509.Certificate, error) {
	b, err := readFile(name)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no certificate in PEM form", name)
	}
	return all, nil
}

// loadCRL reads the lists of revoked certificates.
func (c *credentials) loadCRL(authorities []*x509.Certificate, now time.Time) error {
	b, err := readFile(c.opts.CRL)
	if err != nil {
		return err
	}
	lists := [][]byte{b}
	if bytes.Contains(b, []byte("-----BEGIN")) {
		lists = nil
		for {
			var block *pem.Block
			if block, b = pem.Decode(b); block == nil {
				break
			}
			if block.Type == "X509 CRL" {
				lists = append(lists, block.Bytes)
			}
		}
	}
	if len(lists) == 0 {
		return fmt.Errorf("%s has no certificate revocation list", c.opts.CRL)
	}
	c.revoked = make(map[revocation]struct{})
	for _, der := range lists {
		if err := c.addCRL(der, authorities, now); err != nil {
			return fmt.Errorf("%s: %w", c.opts.CRL, err)
		}
	}
	return nil
}

// addCRL takes one list that one of the authorities has signed.
func (c *credentials) addCRL(der []byte, authorities []*x509.Certificate, now time.Time) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil && strings.Contains(err.Error(), "unsupported crl version") {
		return errors.New("the list is of version 1, and 2 is wanted: openssl ca writes that when its configuration names a crlnumber file")
	}
	if err != nil {
		return err
	}
	err = errors.New("no authority of that name in " + c.opts.CA)
	for _, a := range authorities {
		if bytes.Equal(a.RawSubject, list.RawIssuer) {
			if err = list.CheckSignatureFrom(a); err == nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("the list of %s: %w", list.Issuer, err)
	}
	if !list.NextUpdate.IsZero() && now.After(list.NextUpdate) {
		c.warn("the list of revoked certificates is out of date", "next update", list.NextUpdate)
	}
	for _, e := range list.RevokedCertificateEntries {
		if e.ReasonCode != removeFromCRL {
			c.revoked[revocation{string(list.RawIssuer), e.SerialNumber.String()}] = struct{}{}
		}
	}
	return nil
}

// removeFromCRL is the reason of an entry that takes another back (RFC 5280,
// 5.3.1).
const removeFromCRL = 8

// unrevoked reports whether no certificate of a chain is revoked.
func (c *credentials) unrevoked(chain []*x509.Certificate) bool {
	for _, cert := range chain {
		if _, ok := c.revoked[revocation{string(cert.RawIssuer), cert.SerialNumber.String()}]; ok {
			return false
		}
	}
	return true
}

// staple takes the OCSP response beside the certificate, if there is one that
// is of use. One that is not is no reason to refuse service.
func (c *credentials) staple(now time.Time) {
	name := c.opts.Cert + ".ocsp"
	b, err := readFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var revoked bool
	if err == nil {
		c.stapled, revoked, err = checkStaple(b, c.pair.Leaf.SerialNumber, now)
	}
	if err != nil {
		c.warnings = append(c.warnings, "the OCSP response is not used: "+strings.TrimPrefix(err.Error(), name+": "))
		return
	}
	if revoked { // stapled all the same: it is for clients to know
		c.warnings = append(c.warnings, "the OCSP response says that the certificate is revoked: clients refuse it, it needs a new one")
	}
	c.pair.OCSPStaple = b
}
