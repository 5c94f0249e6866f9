package listen

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// TLSOptions name the files of a TLS server, all PEM unless said otherwise.
//
// Beside the certificate, a file of its name with ".ocsp" added (DER, as
// `openssl ocsp -respout` writes it) is stapled while it is valid.
type TLSOptions struct {
	Cert, Key string
	// CA are the authorities of client certificates; "" asks for none.
	CA string
	// CRL lists revoked client certificates, PEM or DER, signed by authorities
	// in CA. A list past its next update still revokes what it names: a gateway
	// must not lock its devices out on a date. It is warned about.
	CRL               string
	RequireClientCert bool
	Identity          string // cn, san or fingerprint
}

// suites of TLS 1.2: those of 1.3 cannot be chosen. All have forward secrecy
// and authenticated encryption.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// lookEvery bounds how often handshakes look whether files have changed.
const lookEvery = time.Second

// TLS is a TLS server's side that follows its files: at most once a second a
// handshake looks at them, and loads them when they have changed. What cannot
// be loaded changes nothing.
type TLS struct {
	opts TLSOptions
	log  *slog.Logger
	base *tls.Config // keeps the keys of session tickets over reloads
	now  atomic.Pointer[credentials]

	followed atomic.Pointer[func()] // called when files were loaded without Reload

	// turns are taken for the part of a handshake that costs most, from the
	// ClientHello to our answer, one for each processor: after a power cut
	// devices are served one after the other, instead of all at once too late,
	// and MQTT goes on meanwhile.
	turns chan struct{}

	looking chan struct{} // held while files are looked at
	looked  time.Time     // the holder's: when that was done last
	seen    []stamp       // the holder's: what was loaded or refused last
	failed  string        // the holder's: why it was refused; "" when it was loaded
}

// NewTLS loads the files. The error names the file, and the cure if there is
// one.
func NewTLS(o TLSOptions, log *slog.Logger) (*TLS, error) {
	t := &TLS{opts: o, log: log, looking: make(chan struct{}, 1), turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	t.seen, t.looked = stamps(o), time.Now()
	c, err := loadCredentials(o, t.looked)
	if err != nil {
		return nil, err
	}
	t.take(c)
	t.base = c.config.Clone()
	t.base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		t.follow()
		return t.now.Load().config, nil
	}
	return t, nil
}

// Reload reads the files again. On an error the old ones stay in force.
func (t *TLS) Reload() error {
	t.looking <- struct{}{}
	defer func() { <-t.looking }()
	t.seen = stamps(t.opts)
	return t.load()
}

// load is for who holds looking.
func (t *TLS) load() error {
	c, err := loadCredentials(t.opts, time.Now())
	if err != nil {
		t.failed = err.Error()
		return err
	}
	t.failed = ""
	t.take(c)
	return nil
}

func (t *TLS) take(c *credentials) {
	for _, w := range c.warnings {
		t.log.Warn(w, "file", t.opts.Cert)
	}
	t.now.Store(c)
}

// follow loads the files if they have changed, and again while they cannot be
// used: a chmod that cures it leaves no other trace. Only one handshake looks;
// others go on with what is there.
func (t *TLS) follow() {
	select {
	case t.looking <- struct{}{}:
		defer func() { <-t.looking }()
	default:
		return
	}
	now := time.Now()
	if now.Sub(t.looked) < lookEvery {
		return
	}
	t.looked = now
	found, until := stamps(t.opts), t.now.Load().stapled
	expired := !until.IsZero() && now.After(until)
	before := t.failed
	if slices.Equal(found, t.seen) && !expired && before == "" {
		return
	}
	t.seen = found
	if err := t.load(); err != nil {
		if t.failed != before {
			t.log.Error("the changed TLS files are not used", "err", err)
		}
		return
	}
	t.log.Info("TLS files loaded again", "file", t.opts.Cert)
	if f := t.followed.Load(); f != nil {
		(*f)()
	}
}

// stamp tells one version of a file from another.
type stamp struct {
	size     int64
	modified time.Time
}

func stamps(o TLSOptions) []stamp {
	var all []stamp
	for _, name := range []string{o.Cert, o.Key, o.CA, o.CRL, o.Cert + ".ocsp"} {
		fi, err := os.Stat(name)
		if err != nil {
			all = append(all, stamp{})
			continue
		}
		all = append(all, stamp{fi.Size(), fi.ModTime()})
	}
	return all
}

// config makes the configuration of one version of the files.
func (c *credentials) serverConfig() *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: suites,
		Certificates: []tls.Certificate{c.pair},
		ClientCAs:    c.roots,
	}
	if c.roots != nil {
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
		if c.opts.RequireClientCert {
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
		}
		cfg.VerifyConnection = c.verify
	}
	return cfg
}

// verify judges the client of every handshake. Of a resumed session crypto/tls
// has checked again that the chain is valid now and ends in the authorities of
// now; the list of revoked certificates is ours to ask, each time.
func (c *credentials) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return nil // ClientAuth has decided whether that is enough
	}
	leaf := s.PeerCertificates[0]
	if !slices.ContainsFunc(s.VerifiedChains, c.unrevoked) {
		return fmt.Errorf("the client's certificate %s, serial %x, is revoked", leaf.Subject, leaf.SerialNumber)
	}
	_, err := certificateUser(leaf, c.opts.Identity)
	return err
}

// user returns the user name of a connection that verify let in.
func (c *credentials) user(s tls.ConnectionState) string {
	if c.roots == nil || len(s.PeerCertificates) == 0 {
		return ""
	}
	user, err := certificateUser(s.PeerCertificates[0], c.opts.Identity)
	if err != nil {
		return "" // not reached: verify asked the same
	}
	return user
}
