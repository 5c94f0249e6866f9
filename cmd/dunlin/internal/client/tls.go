package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// TLSOptions are the TLS flags of the tools.
type TLSOptions struct {
	CAFile   string // PEM file of trusted authorities
	CAPath   string // directory of such files
	CertFile string // client certificate, with KeyFile
	KeyFile  string
	Version  string // "tlsv1.1", "tlsv1.2" or "tlsv1.3": exactly that one
	ALPN     string
	// Insecure leaves out the check that the certificate names the host. The
	// chain is still verified, as in mosquitto's clients.
	Insecure bool
}

// Config builds the configuration for a connection to host. Without CAFile
// and CAPath the system's authorities are trusted.
func (o TLSOptions) Config(host string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if err := o.setVersion(cfg); err != nil {
		return nil, err
	}
	if o.ALPN != "" {
		cfg.NextProtos = []string{o.ALPN}
	}
	if o.CAFile != "" || o.CAPath != "" {
		pool, err := o.authorities()
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("--cert and --key belong together")
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if o.Insecure {
		cfg.InsecureSkipVerify = true // the chain is verified below
		cfg.VerifyConnection = verifyChain(cfg.RootCAs)
	}
	return cfg, nil
}

func (o TLSOptions) setVersion(cfg *tls.Config) error {
	var v uint16
	switch o.Version {
	case "":
		return nil
	case "tlsv1.1":
		v = tls.VersionTLS11
	case "tlsv1.2":
		v = tls.VersionTLS12
	case "tlsv1.3":
		v = tls.VersionTLS13
	default:
		return fmt.Errorf("TLS version %q: use tlsv1.3, tlsv1.2 or tlsv1.1", o.Version)
	}
	cfg.MinVersion, cfg.MaxVersion = v, v
	return nil
}

func (o TLSOptions) authorities() (*x509.CertPool, error) {
	var files []string
	if o.CAFile != "" {
		files = append(files, o.CAFile)
	}
	if o.CAPath != "" {
		entries, err := os.ReadDir(o.CAPath)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() {
				files = append(files, filepath.Join(o.CAPath, e.Name()))
			}
		}
	}
	pool, found := x509.NewCertPool(), false
	for _, name := range files {
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		found = pool.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return nil, fmt.Errorf("authorities: no certificate in %s", o.CAFile+o.CAPath)
	}
	return pool, nil
}

// verifyChain verifies everything but the host name; nil roots are the
// system's.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		_, err := cs.PeerCertificates[0].Verify(opts)
		return err
	}
}
