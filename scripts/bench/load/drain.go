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
			if len(body) < 7 || body[6] != 4 {
				return errors.New("the bridge does not speak MQTT 3.1.1")
			}
			answer = []byte{tConnack << 4, 2, 0, 0}
		case tPublish:
			p, err := parsePublish(4, first, body)
			if err != nil {
				return err
			}
			if p.qos > 0 {
				answer = appendAck(nil, tPuback, p.pid)
			}
			if len(p.payload) >= payloadHeader {
				s.got.mark(sequenceOf(p.payload))
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
