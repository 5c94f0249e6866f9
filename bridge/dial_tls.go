package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// secure does the handshake of TLS. It owns c.
func (d *dialer) secure(ctx context.Context, c net.Conn, s server) (net.Conn, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.tls != nil {
		loaded, err := d.tls()
		if err != nil {
			_ = c.Close()
			return nil, failf(ClassTLS, "%w", err)
		}
		cfg = loaded.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = s.host
	}
	d.adapt(cfg, s.port)
	if time.Now().Before(d.built) {
		withoutClock(cfg, d.built)
	}
	asked := false
	if len(cfg.Certificates) == 0 && cfg.GetClientCertificate == nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &tls.Certificate{}, nil // none
		}
	}
	t := tls.Client(c, cfg)
	err := within(ctx, c, tlsTimeout, "end of the handshake", func() error { return t.HandshakeContext(ctx) })
	if now := time.Now(); err != nil && !mqtt.ClockSet(now) && classify(err, now).class == ClassTLSNotYetValid {
		err = fmt.Errorf("%w; this machine's clock was never set; tls: {unset_clock: build-date} does without", err)
	}
	ours := ownFault(cfg.Certificates, asked, time.Now())
	if err != nil {
		return nil, explain(err, ours)
	}
	return explained{t, ours}, nil
}

// ownFault is what a server may have against our certificate.
func ownFault(certs []tls.Certificate, asked bool, now time.Time) string {
	if len(certs) == 0 {
		if asked {
			return "it asks for a client certificate, and credentials: {cert, key} has none"
		}
		return ""
	}
	own, err := x509.ParseCertificate(certs[0].Certificate[0])
	switch {
	case err != nil:
	case now.After(own.NotAfter):
		return "our certificate, cert of credentials, ended " + own.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(own.NotBefore):
		return "our certificate, cert of credentials, begins " + own.NotBefore.UTC().Format(time.RFC3339)
	}
	return ""
}

// explain adds to a failure of TLS what crypto/tls leaves out: whose fault an alert
// of the server is, and what to compare the files with.
func explain(err error, ours string) error {
	var (
		alert   *net.OpError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
	)
	switch {
	case errors.As(err, &alert) && alert.Op == "remote error":
		err = fmt.Errorf("the server refuses us: %w", err)
		if ours != "" {
			err = fmt.Errorf("%w; %s", err, ours)
		}
	case errors.As(err, &unknown) && unknown.Cert != nil:
		err = fmt.Errorf("%w; it is issued by %.200q: if that one is to be trusted, put it into tls.ca", err, unknown.Cert.Issuer)
	case errors.As(err, &name):
		names := namesOf(name.Certificate)
		if names == "" {
			return fmt.Errorf("%w; the server needs one with a Subject Alternative Name", err)
		}
		err = fmt.Errorf("%w; it is for %.200q: correct servers, or put the name into tls.server_name", err, names)
	}
	return err
}

// namesOf are the names that a certificate is for.
func namesOf(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return strings.Join(names, ", ")
}

// explained is a connection of TLS whose end may be the server's answer to our
// certificate: in TLS 1.3 that comes after the handshake.
type explained struct {
	net.Conn
	ours string
}

func (c explained) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = explain(err, c.ours)
	}
	return n, err
}
