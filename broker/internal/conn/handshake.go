package conn

import (
	"cmp"
	"net"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
)

// handshake lets a transport that needs it speak first: TLS, PROXY, WebSocket.
// Its time counts as that of CONNECT: the caller has armed the reads. A Kick
// ends it.
func (c *Conn) handshake(deadline time.Time) error {
	h, ok := c.nc.(listen.Handshaker)
	if !ok {
		return nil
	}
	if err := c.nc.SetWriteDeadline(deadline); err != nil {
		return err
	}
	w := &c.w
	w.Lock()
	w.shaking = !w.closing
	w.Unlock()
	peer, err := h.Handshake()
	w.Lock()
	defer w.Unlock()
	w.shaking = false
	switch {
	case w.closing:
		return cmp.Or(w.cause, error(net.ErrClosed))
	case err != nil:
		return err
	}
	c.far = farOf(peer)
	return nil
}
