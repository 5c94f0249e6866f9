package load

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// client is one MQTT connection. One goroutine may write to conn while another
// reads; nothing else is safe for concurrent use.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	buf     []byte
	version byte
	ack     connack
	id      uint16 // the last Packet Identifier
}

const (
	dialTimeout = 20 * time.Second
	answerTime  = 60 * time.Second // 1,000 filters in one SUBSCRIBE, 10,000 connections at once
)

func (cfg Config) dial() (net.Conn, error) {
	c, err := net.DialTimeout("tcp", cfg.Addr, dialTimeout)
	if err != nil || !cfg.TLS {
		return c, err
	}
	// The certificate is self-made for this run, on loopback: nothing to verify.
	// One key exchange for all, that every board and every server has: left
	// alone, servers in Go would do a post-quantum one on top, and others not.
	t := tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", CurvePreferences: []tls.CurveID{tls.X25519}})
	_ = c.SetDeadline(time.Now().Add(answerTime))
	if err := t.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// connect dials and waits for CONNACK; readBuffer is in bytes.
func (cfg Config) connect(o connectOpts, readBuffer int) (*client, error) {
	conn, err := cfg.dial()
	if err != nil {
		return nil, err
	}
	o.version = cfg.Version
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, readBuffer), version: cfg.Version}
	if err := c.open(o); err != nil {
		conn.Close()
		return nil, err
	}
	return c, conn.SetDeadline(time.Time{})
}

func (c *client) open(o connectOpts) error {
	_ = c.conn.SetDeadline(time.Now().Add(answerTime)) // an error shows in the write
	if _, err := c.conn.Write(appendConnect(nil, o)); err != nil {
		return err
	}
	body, err := c.await(tConnack)
	if err != nil {
		return err
	}
	if c.ack, err = parseConnack(c.version, body); err == nil && c.ack.code != 0 {
		err = fmt.Errorf("CONNACK with code %d", c.ack.code)
	}
	return err
}

// await reads the one packet that may come now.
func (c *client) await(kind byte) ([]byte, error) {
	first, body, err := readPacket(c.r, &c.buf)
	if err == nil && first>>4 != kind {
		err = fmt.Errorf("packet of type %d instead of %d", first>>4, kind)
	}
	return body, err
}

// subscribe sends one SUBSCRIBE and waits for SUBACK. Nothing may be published
// to the filters yet.
func (c *client) subscribe(filters []string, qos byte) error {
	c.id++
	if _, err := c.conn.Write(appendSubscribe(nil, c.version, c.id, filters, qos)); err != nil {
		return err
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(answerTime)) // an error shows in the read
	defer c.conn.SetReadDeadline(time.Time{})
	body, err := c.await(tSuback)
	if err == nil && len(body) < 2 {
		err = errMalformed
	}
	if err != nil {
		return fmt.Errorf("no SUBACK: %w", err)
	}
	codes := body[2:]
	if c.version == 5 {
		n, used, err := readVarint(codes)
		if err != nil || len(codes) < n+used {
			return errMalformed
		}
		codes = codes[n+used:]
	}
	for _, code := range codes {
		if code >= 0x80 {
			return fmt.Errorf("SUBACK with code 0x%x", code)
		}
	}
	return nil
}

func (c *client) disconnect() {
	_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.conn.Write([]byte{tDisconnect << 4, 0}) // the server may be gone: the connection ends either way
	c.conn.Close()
}

// receive reads until an error, hands every PUBLISH to message and acknowledges
// QoS 1 and 2. Acknowledgements are written when no more input is buffered, as
// a good client does. idle runs before each read that may block.
func (c *client) receive(message func(publish), idle func()) error {
	const enough = 4096 // bytes of acknowledgements that wait no longer
	var out []byte
	for {
		if c.r.Buffered() == 0 || len(out) > enough {
			if len(out) > 0 {
				if _, err := c.conn.Write(out); err != nil {
					return err
				}
				out = out[:0]
			}
			idle()
		}
		first, body, err := readPacket(c.r, &c.buf)
		if err != nil {
			return err
		}
		if out, err = c.handle(first, body, out, message); err != nil {
			return err
		}
	}
}

// handle works off one packet and appends the answer to out.
func (c *client) handle(first byte, body, out []byte, message func(publish)) ([]byte, error) {
	switch first >> 4 {
	case tPublish:
		p, err := parsePublish(c.version, first, body)
		if err != nil {
			return out, err
		}
		switch p.qos {
		case 1:
			out = appendAck(out, tPuback, p.pid)
		case 2:
			out = appendAck(out, tPubrec, p.pid)
		}
		message(p)
	case tPubrel:
		out = appendAck(out, tPubcomp, uint16(body[0])<<8|uint16(body[1]))
	case tDisconnect:
		return out, fmt.Errorf("the server sent DISCONNECT % x", body)
	}
	return out, nil
}
