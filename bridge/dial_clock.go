package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

// clockLook is how often a bridge looks whether the clock was set, while that
// is what it waits for.
const clockLook = 10 * time.Second

// rest waits for d. It ends early when a Test reaches the server and, after a
// certificate that is not valid yet, when the clock is set forward.
func (b *Bridge) rest(ctx context.Context, d time.Duration, class Class) error {
	look := d
	if class == ClassTLSNotYetValid {
		look = min(clockLook, d)
	}
	select {
	case <-b.reached: // before it was down
	default:
	}
	for start := time.Now(); time.Since(start) < d; {
		select {
		case <-b.reached:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(look, d-time.Since(start))):
		}
		now := time.Now()
		if now.Round(0).Sub(start.Round(0))-now.Sub(start) > time.Minute {
			return nil
		}
	}
	return nil
}
