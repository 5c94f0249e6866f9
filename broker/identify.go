package broker

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/guard"
)

// authTimeout is how long an Authenticator may take for one CONNECT.
const authTimeout = 10 * time.Second

// identify asks who the client is, unless an enhanced authentication told.
func (l *listener) identify(c *conn.Conn, r *conn.Request) (*Identity, error) {
	if r.Identity != nil {
		l.guard.Proved(time.Now(), loginOf(c, r))
		return r.Identity, l.keepOutUser(c, r, r.Identity)
	}
	if err := l.keepOut(c, r); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), authTimeout)
	defer cancel()
	id, err := l.auth.Authenticate(ctx, l.ask(c, r))
	if err == nil && id.User != "" { // nobody in particular proves nothing
		l.guard.Proved(time.Now(), loginOf(c, r))
	}
	if err != nil {
		l.failed(loginOf(c, r), err)
		return nil, err
	}
	return &id, l.keepOutUser(c, r, &id)
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
	who guard.Login
}

func (x *counting) Step(ctx context.Context, data []byte) (reply []byte, done bool, id Identity, err error) {
	reply, done, id, err = x.Exchange.Step(ctx, data)
	if err != nil {
		x.l.failed(x.who, err)
	}
	return reply, done, id, err
}
