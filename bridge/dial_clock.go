package bridge

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"
)

// withoutClock makes cfg check a server's certificate on a machine whose clock
// was never set, as of a board without a battery that has to reach a server
// before it is told the time. All that is checked with a clock is checked, at
// the earliest time that it can be now: what ended before the program was built
// has ended for certain, what began later may have begun.
func withoutClock(cfg *tls.Config, built time.Time) {
	cfg.InsecureSkipVerify = true // for VerifyConnection
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		o := x509.VerifyOptions{Roots: cfg.RootCAs, DNSName: cfg.ServerName, CurrentTime: built, Intermediates: x509.NewCertPool()}
		for i, c := range s.PeerCertificates {
			if c.NotBefore.After(o.CurrentTime) {
				o.CurrentTime = c.NotBefore
			}
			if i > 0 {
				o.Intermediates.AddCert(c)
			}
		}
		_, err := s.PeerCertificates[0].Verify(o)
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
		return nil
	}
}

// cureLook is how often a bridge that waits for a person looks whether something
// was done: the clock set, a certificate replaced.
const cureLook = 10 * time.Second

// rest waits for d. It ends early when a Test reaches the server, at a Reconnect
// and, after a failure of a certificate or of credentials, which may be signed for
// a time, when the clock is set or other certificates are there.
func (b *Bridge) rest(ctx context.Context, d time.Duration, class Class) error {
	look, files := d, identity{}
	if class.slow() {
		look, files = min(cureLook, d), b.dialer.identity()
	}
	select {
	case <-b.reached: // before it was down
	default:
	}
	start := time.Now()
	for ahead := b.o.Clock.ahead(start); time.Since(start) < d; {
		select {
		case <-b.reached:
			clear(b.aside)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(look, d-time.Since(start))):
		}
		set := b.o.Clock.ahead(time.Now()) - ahead
		if set.Abs() > time.Minute || class.slow() && !b.dialer.identity().same(files) {
			clear(b.aside)
			return nil
		}
	}
	return nil
}

// identity is what TLS knows the two sides by.
type identity struct {
	roots *x509.CertPool
	own   []tls.Certificate
	fault string
}

// identity reads the files again.
func (d *dialer) identity() (i identity) {
	if d.tls == nil {
		return i
	}
	cfg, err := d.tls()
	if err != nil {
		i.fault = err.Error()
		return i
	}
	i.roots, i.own = cfg.RootCAs, cfg.Certificates
	return i
}

func (i identity) same(o identity) bool {
	return i.fault == o.fault && i.roots.Equal(o.roots) && slices.EqualFunc(i.own, o.own, func(a, b tls.Certificate) bool {
		return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
	})
}
