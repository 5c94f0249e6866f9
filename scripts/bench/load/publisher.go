package load

import (
	"net"
	"sync"
	"sync/atomic"
)

// publisher sends count messages, each expected by fan subscribers.
type publisher struct {
	id       uint32
	topic    func(sequence uint64) string
	count    int
	fan      int
	window   int64 // messages ahead of the subscribers
	inFlight int64 // messages ahead of the acknowledgements; 0 with QoS 0

	conn     *client
	sent     atomic.Int64 // handed to the socket
	acked    atomic.Int64 // PUBACK or PUBCOMP
	received atomic.Int64 // deliveries at all subscribers, forgiven losses included
	waits    atomic.Bool
	wake     chan struct{}
	fail     error
}

// full reports whether the message must wait.
func (p *publisher) full(sequence int64) bool {
	fan := int64(p.fan)
	return sequence*fan-p.received.Load() >= p.window*fan ||
		(p.inFlight > 0 && sequence-p.acked.Load() >= p.inFlight)
}

// poke wakes a publisher that waits once half of its window is free: it must
// not wake for every message.
func (p *publisher) poke() {
	if !p.waits.Load() {
		return
	}
	sent, fan := p.sent.Load(), int64(p.fan)
	if sent*fan-p.received.Load() > (p.window/2+1)*fan || p.inFlight > 0 && sent-p.acked.Load() > p.inFlight/2 {
		return
	}
	p.nudge()
}

func (p *publisher) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// forgive gives back the credit of what was lost and returns how many
// deliveries that are.
func (p *publisher) forgive() int64 {
	lost := max(0, p.sent.Load()*int64(p.fan)-p.received.Load())
	p.received.Add(lost)
	if p.inFlight > 0 {
		p.acked.Store(p.sent.Load())
	}
	p.nudge()
	return lost
}

// run sends everything; stop ends it early.
func (p *publisher) run(cfg Config, w *lockedWriter, stop *atomic.Bool) {
	payload := make([]byte, cfg.Size)
	buf := make([]byte, 0, 64<<10)
	held := 0
	send := func() {
		if held == 0 || p.fail != nil {
			return
		}
		p.fail = w.write(buf)
		buf, held = buf[:0], 0
	}
	for seq := 0; seq < p.count && p.fail == nil && !stop.Load(); seq++ {
		if p.full(int64(seq)) {
			send()
			p.waits.Store(true)
			for p.full(int64(seq)) && !stop.Load() {
				<-p.wake
			}
			p.waits.Store(false)
		}
		putHeader(payload, p.id, uint64(seq), 0)
		buf = appendPublish(buf, cfg.Version, p.topic(uint64(seq)), uint16(seq%65535)+1, cfg.QoS, false, payload)
		p.sent.Store(int64(seq) + 1)
		if held++; held >= cfg.Batch {
			send()
		}
	}
	send()
}

// readAcks counts acknowledgements and answers PUBREC until the connection
// ends.
func (p *publisher) readAcks(w *lockedWriter) {
	var out []byte
	for {
		if p.conn.r.Buffered() == 0 && len(out) > 0 {
			if w.write(out) != nil {
				return
			}
			out = out[:0]
		}
		first, body, err := readPacket(p.conn.r, &p.conn.buf)
		if err != nil {
			return
		}
		switch first >> 4 {
		case tPuback, tPubcomp:
			p.acked.Add(1)
			p.poke()
		case tPubrec:
			out = appendAck(out, tPubrel, uint16(body[0])<<8|uint16(body[1]))
		}
	}
}

// lockedWriter lets a publisher and the reader of its acknowledgements share
// the socket.
type lockedWriter struct {
	mu sync.Mutex
	c  net.Conn
}

func (w *lockedWriter) write(b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.c.Write(b)
	return err
}
