package conn

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
)

// handshake lets a transport that needs it speak first: TLS, PROXY, WebSocket.
// Its time counts as that of CONNECT.
func (c *Conn) handshake(deadline time.Time) error {
	h, ok := c.nc.(listen.Handshaker)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	far, err := h.Handshake(ctx)
	if err != nil {
		return err
	}
	c.far = far
	c.log = c.cfg.Log.With("remote", far.Remote)
	return nil
}
