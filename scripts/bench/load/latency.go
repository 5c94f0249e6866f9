package load

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// link is a publisher and its subscriber, for messages one by one.
type link struct {
	topic    string
	from, to *client
	track    *tracker
	delays   []int64 // ns, from just before the write
}

// Latency sends Rate messages per second, spread evenly over pairs, for
// Duration: a server sees them one by one.
func Latency(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	per := int(float64(cfg.Rate)*cfg.Duration.Seconds()) / cfg.Publishers
	links := make([]*link, cfg.Publishers)
	defer func() {
		for _, l := range links {
			l.close()
		}
	}()
	var got atomic.Int64
	var readers sync.WaitGroup
	for i := range links {
		links[i] = &link{topic: fmt.Sprintf("bench/lat/%d", i), track: newTracker(per)}
		if err := links[i].open(cfg, i); err != nil {
			return nil, err
		}
		readers.Go(func() { links[i].listen(&got) })
		readers.Go(func() { links[i].readAcks() })
	}
	time.Sleep(300 * time.Millisecond) // the server has worked off what connecting cost
	before := Look(cfg.PID)
	var writers sync.WaitGroup
	start := time.Now()
	for i, l := range links {
		writers.Go(func() { l.send(cfg, i, per, start) })
	}
	writers.Wait()
	for wait := 0; got.Load() < int64(per*len(links)) && wait < 300; wait++ {
		time.Sleep(10 * time.Millisecond)
	}
	after := Look(cfg.PID)
	for _, l := range links {
		l.close()
	}
	readers.Wait()
	var sum tally
	var delays []int64
	for _, l := range links {
		sum.add(l.track.tally)
		delays = append(delays, l.delays...)
	}
	r := Result{}
	r.deliveries(sum, int64(per*len(links)))
	r.cost(before, after, int64(sum.got))
	r.percentiles(delays)
	return r, nil
}

func (l *link) open(cfg Config, i int) (err error) {
	if l.to, err = cfg.connect(connectOpts{clientID: fmt.Sprintf("bench-s%d", i), clean: true}, 16<<10); err != nil {
		return err
	}
	if err := l.to.subscribe([]string{l.topic}, cfg.QoS); err != nil {
		return err
	}
	l.from, err = cfg.connect(connectOpts{clientID: fmt.Sprintf("bench-p%d", i), clean: true}, 4<<10)
	return err
}

func (l *link) close() {
	if l == nil {
		return
	}
	for _, c := range []*client{l.from, l.to} {
		if c != nil {
			c.disconnect()
		}
	}
}

// listen counts until close.
func (l *link) listen(got *atomic.Int64) {
	_ = l.to.receive(func(m publish) {
		l.delays = append(l.delays, time.Now().UnixNano()-sentAt(m.payload))
		l.track.mark(sequenceOf(m.payload))
		got.Add(1)
	}, func() {}) // a connection that ends too early shows as loss
}

// readAcks answers PUBREC until close.
func (l *link) readAcks() {
	for {
		first, body, err := readPacket(l.from.r, &l.from.buf)
		if err != nil {
			return
		}
		if first>>4 == tPubrec {
			_, _ = l.from.conn.Write(appendAck(nil, tPubrel, uint16(body[0])<<8|uint16(body[1]))) // the next read fails too
		}
	}
}

func (l *link) send(cfg Config, i, count int, start time.Time) {
	n := time.Duration(cfg.Publishers)
	step := time.Second * n / time.Duration(cfg.Rate)
	next := start.Add(step * time.Duration(i) / n)
	payload := make([]byte, cfg.Size)
	var buf []byte
	for seq := range count {
		time.Sleep(time.Until(next))
		next = next.Add(step)
		putHeader(payload, uint32(i), uint64(seq), time.Now().UnixNano())
		buf = appendPublish(buf[:0], cfg.Version, l.topic, uint16(seq%65535)+1, cfg.QoS, false, payload)
		if _, err := l.from.conn.Write(buf); err != nil {
			return // the rest is lost, and counted so
		}
	}
}

// percentiles adds the delays, in microseconds.
func (r Result) percentiles(ns []int64) {
	if len(ns) == 0 {
		return
	}
	slices.Sort(ns)
	at := func(q float64) float64 {
		i := min(len(ns)-1, int(q*float64(len(ns))))
		return math.Round(float64(ns[i])/100) / 10
	}
	r["p50_us"], r["p99_us"], r["p999_us"], r["max_us"] = at(0.5), at(0.99), at(0.999), at(1)
}
