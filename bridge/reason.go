package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Class names the kind of failure that keeps a bridge down.
type Class string

// The classes of failure.
const (
	ClassDNS            Class = "dns"               // the name does not resolve
	ClassTCP            Class = "tcp"               // no connection, reset, closed without a reason
	ClassTLSExpired     Class = "tls-expired"       // the server's certificate has expired
	ClassTLSNotYetValid Class = "tls-not-yet-valid" // it starts later than the local clock
	ClassTLS            Class = "tls"               // any other failure of the handshake
	ClassRefused        Class = "refused"           // CONNACK or DISCONNECT with a reason not named below
	ClassAuth           Class = "auth"              // credentials or Client Identifier not accepted
	ClassTakenOver      Class = "taken-over"        // another client uses the same Client Identifier
	ClassQuota          Class = "quota"             // quota, rate or server busy
	ClassStalled        Class = "stalled"           // no acknowledgement or no write progress
	ClassTimeout        Class = "timeout"           // no answer in time
	ClassProtocol       Class = "protocol"          // the server broke the protocol
	ClassLocal          Class = "local"             // the local broker or queue failed
)

func (c Class) slow() bool {
	return c == ClassAuth || c == ClassTLS || c == ClassTLSExpired || c == ClassTLSNotYetValid
}

// failure is why a connection did not come up or ended.
type failure struct {
	class Class
	code  mqtt.ReasonCode // of CONNACK or DISCONNECT; 0 when there was none
	other string          // Server Reference of Use another server and Server moved
	err   error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func failf(c Class, format string, args ...any) *failure {
	return &failure{class: c, err: fmt.Errorf(format, args...)}
}

// reasonBytes is how much of a Reason String is repeated in states and the log.
const reasonBytes = 200

// refusal is a failure by the server's CONNACK or DISCONNECT.
func refusal(name string, v *packet.View) *failure {
	f := failf(classOf(v.Reason), "server sent %s: %s (0x%02x)", name, v.Reason, byte(v.Reason))
	if reason := string(v.Properties.ReasonString); reason != "" {
		f = failf(f.class, "%w: %q", f.err, reason[:min(len(reason), reasonBytes)])
	}
	if v.Reason == mqtt.NotAuthorized && v.Type == packet.DISCONNECT { // it let us in: AWS says so of what was sent
		f = failf(ClassRefused, "%w: it allows no such topic, QoS or RETAIN", f.err)
	}
	f.code, f.other = v.Reason, string(v.Properties.ServerReference)
	return f
}

func classOf(code mqtt.ReasonCode) Class {
	switch code {
	case mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.BadAuthenticationMethod,
		mqtt.ClientIdentifierNotValid, mqtt.Banned:
		return ClassAuth
	case mqtt.SessionTakenOver:
		return ClassTakenOver
	case mqtt.QuotaExceeded, mqtt.MessageRateTooHigh, mqtt.ConnectionRateExceeded, mqtt.ServerBusy:
		return ClassQuota
	case mqtt.KeepAliveTimeout:
		return ClassTimeout
	}
	return ClassRefused
}

// ofAll joins the failures of all servers. The class is that of the first that may be
// over soon, if there is one: a server that waits for a person does not hold up the
// others.
func ofAll(all []*failure) error {
	i := max(0, slices.IndexFunc(all, func(f *failure) bool { return !f.class.slow() }))
	errs := []error{all[i]}
	for n, f := range all {
		if n != i {
			errs = append(errs, f)
		}
	}
	return errors.Join(errs...)
}

// classify finds the class of an error of the network or of TLS.
func classify(err error, now time.Time) *failure {
	var f *failure
	if errors.As(err, &f) {
		whole := *f
		if err != error(f) {
			whole.err = err // with the name of whom it is about
		}
		return &whole
	}
	class := ClassTCP
	var (
		dns  *net.DNSError
		cert x509.CertificateInvalidError
		ver  *tls.CertificateVerificationError
		rec  tls.RecordHeaderError
		oper *net.OpError
		nerr net.Error
	)
	switch {
	case errors.As(err, &dns):
		class = ClassDNS
	case errors.As(err, &cert) && cert.Reason == x509.Expired:
		class = ClassTLSExpired
		if cert.Cert != nil && now.Before(cert.Cert.NotBefore) {
			class = ClassTLSNotYetValid
		}
	case errors.As(err, &ver), errors.As(err, &rec), errors.As(err, &cert),
		errors.As(err, &oper) && oper.Op == "remote error": // so crypto/tls names an alert of the server
		class = ClassTLS
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return &failure{class: ClassTCP, err: fmt.Errorf("the other side closed the connection: %w", err)}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &nerr) && nerr.Timeout():
		class = ClassTimeout
	}
	return &failure{class: class, err: err}
}
