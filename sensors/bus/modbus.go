package bus

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// dialLimit bounds the connection to a Modbus server, as the caller's context
// does.
const dialLimit = 5 * time.Second

// Modbus implements sensors.Buses. It opens nothing: the line is opened by the
// first request, and again by the first after it was lost.
func (b *Buses) Modbus(id string) (*modbus.Master, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, &sensors.Fault{Reason: sensors.Shutdown, Err: fmt.Errorf("%s: %w", id, ErrClosed)}
	}
	if m, ok := b.lines[id]; ok {
		return m, nil
	}
	s := b.specs[id]
	o := s.Modbus
	switch s.Type {
	case "modbus_rtu":
		o.Open = func(context.Context) (modbus.Conn, error) {
			p, err := b.Port(s.Port)
			if err != nil {
				return nil, err // not p: a nil port is no nil Conn
			}
			return p, nil
		}
	case "modbus_tcp":
		o.TCP = true
		o.Open = func(ctx context.Context) (modbus.Conn, error) {
			if b.tape != nil {
				return b.tape.port(s.Host, 2), nil // the transaction identifier
			}
			d := net.Dialer{Timeout: dialLimit}
			c, err := d.DialContext(ctx, "tcp", s.Host)
			if err == nil && b.trace != nil {
				return tracedConn{c, tracedBytes{s.Host, b.trace}}, nil
			}
			return c, err
		}
	default:
		return nil, notFound("%q is no bus of type modbus_rtu or modbus_tcp", id)
	}
	m := modbus.New(o)
	b.lines[id] = m
	return m, nil
}
