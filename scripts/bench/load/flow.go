package load

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// subscriber owns one connection and the trackers of the publishers it hears.
type subscriber struct {
	conn    *client
	filters []string
	track   map[uint32]*tracker
	stray   uint64 // messages of no known publisher
}

// flow is one closed loop of publishers and subscribers.
type flow struct {
	cfg         Config
	publishers  []*publisher
	subscribers []*subscriber

	delivered  atomic.Int64
	forgiven   int64 // deliveries given up after a stall
	stopping   atomic.Bool
	subscribed atomic.Pointer[error] // why a subscriber ended early
	stalls     int
}

// maxStalls ends a flow that gets no further.
const maxStalls = 20

func (f *flow) connect() error {
	for i, s := range f.subscribers {
		c, err := f.cfg.connect(connectOpts{clientID: fmt.Sprintf("bench-s%d", i), clean: true}, 32<<10)
		if err != nil {
			return fmt.Errorf("subscriber %d: %w", i, err)
		}
		s.conn = c
		for rest := s.filters; len(rest) > 0; {
			n := min(len(rest), 100)
			if err := c.subscribe(rest[:n], f.cfg.QoS); err != nil {
				return fmt.Errorf("subscriber %d: %w", i, err)
			}
			rest = rest[n:]
		}
	}
	for i, p := range f.publishers {
		c, err := f.cfg.connect(connectOpts{clientID: fmt.Sprintf("bench-p%d", i), clean: true}, 4<<10)
		if err != nil {
			return fmt.Errorf("publisher %d: %w", i, err)
		}
		p.conn, p.wake = c, make(chan struct{}, 1)
		if f.cfg.QoS > 0 {
			p.inFlight = int64(min(f.cfg.InFlight, c.ack.receiveMax))
		}
	}
	return nil
}

func (f *flow) close() {
	for _, p := range f.publishers {
		if p.conn != nil {
			p.conn.disconnect()
		}
	}
	for _, s := range f.subscribers {
		if s.conn != nil {
			s.conn.disconnect()
		}
	}
}

// listen runs one subscriber until its connection ends. Credit goes back to
// the publishers at most every 64 messages, or when nothing more is there.
func (f *flow) listen(s *subscriber) {
	credit := make(map[uint32]int64, len(s.track))
	flush := func() {
		for id, n := range credit {
			if n > 0 {
				p := f.publishers[id]
				p.received.Add(n)
				f.delivered.Add(n)
				credit[id] = 0
				p.poke()
			}
		}
	}
	pending := 0
	err := s.conn.receive(func(m publish) {
		var t *tracker
		if len(m.payload) >= payloadHeader {
			t = s.track[publisherOf(m.payload)]
		}
		if t == nil {
			s.stray++
			return
		}
		before := t.got
		t.mark(sequenceOf(m.payload))
		credit[publisherOf(m.payload)] += int64(t.got - before)
		if pending++; pending >= 64 {
			flush()
			pending = 0
		}
	}, flush)
	if !f.stopping.Load() {
		f.subscribed.CompareAndSwap(nil, &err)
	}
}

// run executes the flow.
func (f *flow) run() (Result, error) {
	defer f.close()
	if err := f.connect(); err != nil {
		return nil, err
	}
	var all, senders sync.WaitGroup
	for _, s := range f.subscribers {
		all.Go(func() { f.listen(s) })
	}
	time.Sleep(300 * time.Millisecond) // the server has worked off what connecting cost
	resetPeak(f.cfg.PID)
	before, self, start := Look(f.cfg.PID), Look(os.Getpid()), time.Now()
	for _, p := range f.publishers {
		senders.Add(1)
		all.Go(func() { p.runAndTell(f.cfg, &f.stopping, &senders) })
	}
	end := f.wait(&senders)
	after, selfAfter := Look(f.cfg.PID), Look(os.Getpid())
	time.Sleep(50 * time.Millisecond) // stragglers after a stall still count, and so do second copies
	f.stopping.Store(true)
	for _, p := range f.publishers {
		p.nudge()
	}
	f.close()
	all.Wait()
	return f.result(before, after, end.Sub(start), selfAfter.CPU-self.CPU)
}

// runAndTell reports the end of sending; what follows reads acknowledgements.
func (p *publisher) runAndTell(cfg Config, stop *atomic.Bool, sent *sync.WaitGroup) {
	w := &lockedWriter{c: p.conn.conn}
	var acks sync.WaitGroup
	acks.Go(func() { p.readAcks(w) })
	p.run(cfg, w, stop)
	sent.Done()
	acks.Wait() // until the flow closes the connection
}

// wait returns when everything is delivered, or nothing moves any more.
func (f *flow) wait(senders *sync.WaitGroup) (end time.Time) {
	sent := make(chan struct{})
	go func() { senders.Wait(); close(sent) }() // ends with run: stopping ends the senders
	expect := f.expected()
	last, moved, finished := int64(-1), time.Now(), false
	for f.delivered.Load()+f.forgiven < expect || !finished {
		time.Sleep(2 * time.Millisecond)
		select {
		case <-sent:
			finished = true
		default:
		}
		if now := f.delivered.Load() + f.acked(); now != last {
			last, moved = now, time.Now()
			continue
		}
		if time.Since(moved) < f.cfg.Stall {
			continue
		}
		f.stalls++
		if finished || f.stalls > maxStalls || f.subscribed.Load() != nil {
			return moved
		}
		for _, p := range f.publishers {
			f.forgiven += p.forgive()
		}
		moved = time.Now()
	}
	return time.Now()
}

func (f *flow) result(before, after Process, took, generator time.Duration) (Result, error) {
	if err := f.subscribed.Load(); err != nil {
		return nil, fmt.Errorf("a subscriber ended: %w", *err)
	}
	for _, p := range f.publishers {
		if p.fail != nil {
			return nil, fmt.Errorf("publisher %d: %w", p.id, p.fail)
		}
	}
	var sum tally
	for _, s := range f.subscribers {
		if s.stray > 0 {
			return nil, errors.New("messages came that nobody sent")
		}
		for _, t := range s.track {
			sum.add(t.tally)
		}
	}
	r := Result{}
	r.deliveries(sum, f.expected())
	r.cost(before, after, int64(sum.got))
	r["msg_per_s"] = float64(sum.got) / took.Seconds()
	r["seconds"], r["stalls"] = took.Seconds(), float64(f.stalls)
	r["generator_us_per_msg"] = micros(generator) / float64(max(sum.got, 1))
	return r, nil
}

func (f *flow) expected() (n int64) {
	for _, p := range f.publishers {
		n += int64(p.count * p.fan)
	}
	return n
}

func (f *flow) acked() (n int64) {
	for _, p := range f.publishers {
		n += p.acked.Load()
	}
	return n
}
