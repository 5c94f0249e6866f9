package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
)

// Target is where a server listens.
type Target struct {
	Network string      // "tcp" or "unix"
	Address string      // host:port, or a path
	Bind    string      // local host or address to connect from; tcp only
	TLS     *tls.Config // nil: plain
}

// UnreachableError is a failure before the first packet: name, TCP, TLS.
type UnreachableError struct {
	Address string
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach %s: %v", e.Address, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

func (t Target) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if t.Bind != "" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(t.Bind, "0"))
		if err != nil {
			return nil, &UnreachableError{t.Address, fmt.Errorf("bind address: %w", err)}
		}
		d.LocalAddr = local
	}
	raw, err := d.DialContext(ctx, t.Network, t.Address)
	if err != nil {
		return nil, &UnreachableError{t.Address, cause(err)}
	}
	if t.TLS == nil {
		return raw, nil
	}
	secure := tls.Client(raw, t.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, &UnreachableError{t.Address, fmt.Errorf("TLS: %w", err)}
	}
	return secure, nil
}

// cause leaves out what net wraps around the reason: the address is named
// already.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}
