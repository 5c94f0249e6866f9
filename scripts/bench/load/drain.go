package load

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"time"
)

// Drain queues Count messages of QoS 1 for the broker's bridge while the server
// upstream is away, lets it come at the address upstream, and measures how fast
// they arrive.
func Drain(cfg Config, upstream string) (Result, error) {
	cfg = cfg.withDefaults()
	r := Result{}
	if err := filled(cfg, r, false, func(i int) string { return fmt.Sprintf("drain/dev%d/temp", i%10) }); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", upstream)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	s := &sink{got: newTracker(cfg.Count), deadline: time.Now().Add(cfg.Patience)}
	for {
		_ = ln.(*net.TCPListener).SetDeadline(s.deadline) // an error shows in Accept
		c, err := ln.Accept()
		if err != nil {
			return nil, fmt.Errorf("no bridge within %v: %w", cfg.Patience, err)
		}
		before := Look(cfg.PID)
		began := time.Now()
		err = s.serve(c, uint64(cfg.Count))
		took := time.Since(began)
		_ = c.Close() // all is read
		if s.got.got < uint64(cfg.Count) && err == nil {
			continue // a bridge that tries first and comes back
		}
		after := Look(cfg.PID)
		r.deliveries(s.got.tally, int64(cfg.Count))
		r["msg_per_s"] = float64(s.got.got) / took.Seconds()
		r["cpu_us_per_msg"] = micros(after.CPU-before.CPU) / float64(cfg.Count)
		return r, err
	}
}

// sink is a server upstream that takes everything.
type sink struct {
	got      *tracker
	deadline time.Time
}

// serve answers one connection until count messages have come or it ends.
func (s *sink) serve(c net.Conn, count uint64) error {
	r := bufio.NewReaderSize(c, 64<<10)
	w := bufio.NewWriterSize(c, 64<<10)
	var buf []byte
	v5 := false
	for s.got.got < count {
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return nil // it ends, and the bridge comes back
			}
		}
		_ = c.SetDeadline(s.deadline) // an error shows in the read
		first, body, err := readPacket(r, &buf)
		if err != nil {
			return nil
		}
		var answer []byte
		switch first >> 4 {
		case tConnect:
			if len(body) < 7 {
				return errMalformed
			}
			answer = []byte{tConnack << 4, 2, 0, 0}
			if v5 = body[6]&0x7F == 5; v5 {
				answer = []byte{tConnack << 4, 3, 0, 0, 0}
			}
		case tPublish:
			topic := 2 + int(body[0])<<8 + int(body[1])
			qos, rest := first>>1&3, body[topic:]
			if qos > 0 {
				answer = appendAck(nil, tPuback, uint16(rest[0])<<8|uint16(rest[1]))
				rest = rest[2:]
			}
			if v5 {
				n, k := binaryUvarint(rest)
				rest = rest[k+n:]
			}
			if len(rest) >= payloadHeader {
				s.got.mark(sequenceOf(rest))
			}
		case tSubscribe:
			answer = []byte{tSuback << 4, 3, body[0], body[1], 1}
		case 10: // UNSUBSCRIBE
			answer = []byte{11 << 4, 2, body[0], body[1]}
		case 12: // PINGREQ
			answer = []byte{13 << 4, 0}
		case tDisconnect:
			return nil
		case tPuback:
		default:
			return errors.New("a packet that no bridge sends")
		}
		if _, err := w.Write(answer); err != nil {
			return nil
		}
	}
	return w.Flush()
}

// binaryUvarint reads a Variable Byte Integer: value and size.
func binaryUvarint(b []byte) (v, n int) {
	for n < len(b) {
		v |= int(b[n]&0x7F) << (7 * n)
		n++
		if b[n-1] < 0x80 {
			break
		}
	}
	return v, n
}
