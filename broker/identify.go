package broker

import (
	"context"
	"errors"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// authTimeout is how long an Authenticator may take for one CONNECT.
const authTimeout = 10 * time.Second

// identify asks who the client is, unless an enhanced authentication told.
func (l *listener) identify(c *conn.Conn, r *conn.Request) (*Identity, error) {
	if r.Identity != nil {
		l.guard.proved(time.Now(), loginOf(c, r))
		return r.Identity, l.keepOutUser(c, r, r.Identity)
	}
	if err := l.keepOut(c, r); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), authTimeout)
	defer cancel()
	id, err := l.auth.Authenticate(ctx, l.ask(c, r))
	if err == nil && id.User != "" { // nobody in particular proves nothing
		l.guard.proved(time.Now(), loginOf(c, r))
	}
	if err != nil {
		l.failed(loginOf(c, r), err)
		return nil, err
	}
	return &id, l.keepOutUser(c, r, &id)
}

// loginOf is how the guard knows an attempt. Who sends nothing that could be a
// guess, or was proved by the transport, has none.
func loginOf(c *conn.Conn, r *conn.Request) login {
	t := c.Transport()
	if t.CertificateUser != "" || !r.HasUsername && !r.HasPassword && r.AuthMethod == "" {
		return login{}
	}
	who := login{address: addressOf(t.Remote), name: r.Username, client: r.ClientID}
	if who.name == "" { // a token or SCRAM
		who.name = r.ClientID
	}
	return who
}

// failed counts an attempt that proved nothing. That the server is too busy to
// tell is no fault of the client, and a Client Identifier that fits into no
// rule is no guess.
func (l *listener) failed(who login, err error) {
	var e *mqtt.Error
	if errors.As(err, &e) && (e.Code == mqtt.ServerBusy || e.Code == mqtt.ServerUnavailable || e.Code == mqtt.ClientIdentifierNotValid) {
		return
	}
	l.guard.failed(time.Now(), who, l.limits.FailedConnects)
}

// keepOut refuses a client before its proof is looked at.
func (l *listener) keepOut(c *conn.Conn, r *conn.Request) error {
	now, a := time.Now(), addressOf(c.Transport().Remote)
	switch {
	case l.redirect != nil:
		return l.redirect
	case l.guard.banned(now, a, r.ClientID, ""):
		return errBanned
	case l.proxied && !l.guard.mayConnect(now, a, l.connectRate(a)):
		return errTooOften
	case !l.guard.mayTry(now, loginOf(c, r)):
		return errPenalty
	}
	return nil
}

// keepOutUser refuses a user who is banned.
func (l *listener) keepOutUser(c *conn.Conn, r *conn.Request, id *Identity) error {
	if id.User != "" && l.guard.banned(time.Now(), addressOf(c.Transport().Remote), r.ClientID, id.User) {
		return errBanned
	}
	return nil
}

// Exchange implements conn.Server.
func (l *listener) Exchange(c *conn.Conn, r *conn.Request) Exchange {
	if err := l.keepOut(c, r); err != nil {
		return refusing{err}
	}
	x := l.auth.Exchange(r.AuthMethod, l.ask(c, r))
	if x == nil {
		return nil
	}
	return &counting{x, l, loginOf(c, r)}
}

// refusing is the exchange of a client that is kept out.
type refusing struct{ err error }

func (r refusing) Step(context.Context, []byte) (reply []byte, done bool, id Identity, err error) {
	return nil, false, id, r.err
}

// counting tells the guard when an exchange fails.
type counting struct {
	Exchange
	l   *listener
	who login
}

func (x *counting) Step(ctx context.Context, data []byte) (reply []byte, done bool, id Identity, err error) {
	reply, done, id, err = x.Exchange.Step(ctx, data)
	if err != nil {
		x.l.failed(x.who, err)
	}
	return reply, done, id, err
}
