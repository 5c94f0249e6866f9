package load

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// keeper is a publisher of messages that the server has to keep.
type keeper struct {
	conn   *client
	sent   [1 << 16]atomic.Int64 // by Packet Identifier: when, Unix ns
	delays []int64               // ns from just before the write to the PUBACK
	got    atomic.Int64
}

// Kept sends Rate messages of QoS 1 per second for Duration, spread over
// publishers, to a topic that a session which is away has subscribed to: each
// has to be on disk before its PUBACK. It measures the wait for it, and how
// often the server has synced, by $SYS/dunlin/store/syncs.
func Kept(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	if err := cfg.subscribeAway("bench-away", "bench/kept/#"); err != nil {
		return nil, err
	}
	var readers, writers sync.WaitGroup
	all, err := cfg.keepers(&readers)
	defer func() {
		for _, k := range all {
			k.conn.disconnect()
		}
		readers.Wait()
	}()
	if err != nil {
		return nil, err
	}
	syncs, err := syncsOf(cfg)
	if err != nil {
		return nil, err
	}
	before, start := Look(cfg.PID), time.Now()
	per := int(float64(cfg.Rate)*cfg.Duration.Seconds()) / cfg.Publishers
	for i, k := range all {
		writers.Go(func() { k.send(cfg, i, per, start) })
	}
	writers.Wait()
	total, got := int64(per*len(all)), acknowledged(all)
	for wait := 0; got < total && wait < 500; wait++ {
		time.Sleep(10 * time.Millisecond)
		got = acknowledged(all)
	}
	took, after := time.Since(start), Look(cfg.PID)
	again, err := syncsOf(cfg)
	if err != nil {
		return nil, err
	}
	r := Result{"lost": float64(total - got), "msg_per_s": float64(got) / took.Seconds(), "syncs_per_s": (again - syncs) / took.Seconds()}
	r.cost(before, after, got)
	var delays []int64
	for _, k := range all {
		k.conn.disconnect()
	}
	readers.Wait()
	for _, k := range all {
		delays = append(delays, k.delays...)
	}
	r.percentiles(delays)
	return r, nil
}

// subscribeAway makes a session that subscribes with QoS 1 and goes away.
func (cfg Config) subscribeAway(clientID, filter string) error {
	away, err := cfg.connect(connectOpts{clientID: clientID, expiry: 3600}, 4<<10)
	if err != nil {
		return err
	}
	defer away.disconnect()
	return away.subscribe([]string{filter}, 1)
}

// keepers connects the publishers, each with a reader; of an error it returns
// those that are connected.
func (cfg Config) keepers(readers *sync.WaitGroup) (all []*keeper, err error) {
	for i := range cfg.Publishers {
		k := new(keeper)
		if k.conn, err = cfg.connect(connectOpts{clientID: fmt.Sprintf("bench-k%d", i), clean: true}, 16<<10); err != nil {
			return all, err
		}
		all = append(all, k)
		readers.Go(k.listen)
	}
	return all, nil
}

// acknowledged is how many PUBACKs all have.
func acknowledged(all []*keeper) (n int64) {
	for _, k := range all {
		n += k.got.Load()
	}
	return n
}

func (k *keeper) send(cfg Config, i, count int, start time.Time) {
	n := time.Duration(cfg.Publishers)
	step := time.Second * n / time.Duration(cfg.Rate)
	next := start.Add(step * time.Duration(i) / n)
	payload, topic := make([]byte, cfg.Size), fmt.Sprintf("bench/kept/%d", i)
	var buf []byte
	for seq := range count {
		time.Sleep(time.Until(next))
		next = next.Add(step)
		id := uint16(seq%65535) + 1
		now := time.Now().UnixNano()
		putHeader(payload, uint32(i), uint64(seq), now)
		k.sent[id].Store(now)
		buf = appendPublish(buf[:0], cfg.Version, topic, id, 1, false, payload)
		if _, err := k.conn.conn.Write(buf); err != nil {
			return // what is missing is counted
		}
	}
}

// listen notes the PUBACKs until the connection ends.
func (k *keeper) listen() {
	for {
		first, body, err := readPacket(k.conn.r, &k.conn.buf)
		if err != nil {
			return
		}
		if first>>4 == tPuback {
			k.delays = append(k.delays, time.Now().UnixNano()-k.sent[uint16(body[0])<<8|uint16(body[1])].Load())
			k.got.Add(1)
		}
	}
}

// syncsOf waits for the next count of the server's syncs.
func syncsOf(cfg Config) (n float64, err error) {
	c, err := cfg.connect(connectOpts{clientID: "bench-syncs", clean: true}, 4<<10)
	if err != nil {
		return 0, err
	}
	defer c.disconnect()
	if err := c.subscribe([]string{"$SYS/dunlin/store/syncs"}, 0); err != nil {
		return 0, err
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(1200 * time.Millisecond)) // an error ends receive
	err = errors.New("no $SYS/dunlin/store/syncs comes")
	_ = c.receive(func(p publish) { n, err = strconv.ParseFloat(string(p.payload), 64) }, func() {})
	return n, err
}
