package conn

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
)

// handshake lets a transport that needs it speak first: TLS, PROXY, WebSocket.
// Its time counts as that of CONNECT: the caller has armed the reads.
func (c *Conn) handshake(deadline time.Time) error {
	h, ok := c.nc.(listen.Handshaker)
	if !ok {
		return nil
	}
	if err := c.nc.SetWriteDeadline(deadline); err != nil {
		return err
	}
	far, err := h.Handshake()
	if err != nil {
		return err
	}
	c.far = far
	c.log = c.cfg.Log.With("remote", far.Remote)
	return nil
}
