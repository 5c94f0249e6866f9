package load

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// fill publishes Count messages of QoS 1 on one connection, at most InFlight
// at a time, and waits for the last PUBACK.
func fill(cfg Config, retain bool, topic func(i int) string) error {
	c, err := cfg.connect(connectOpts{clientID: "bench-fill", clean: true}, 16<<10)
	if err != nil {
		return err
	}
	tokens := make(chan struct{}, min(cfg.InFlight, c.ack.receiveMax))
	failed := make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() { failed <- readPubacks(c, cfg, tokens) })
	defer reader.Wait()
	defer c.disconnect()
	payload := make([]byte, cfg.Size)
	var buf []byte
	for i := range cfg.Count {
		select {
		case tokens <- struct{}{}:
		case err := <-failed:
			return err
		}
		putHeader(payload, 0, uint64(i), time.Now().UnixNano())
		buf = appendPublish(buf[:0], c.version, topic(i), uint16(i%65535)+1, 1, retain, payload)
		if _, err := c.conn.Write(buf); err != nil {
			return err
		}
	}
	return <-failed
}

// readPubacks returns nil after Count acknowledgements.
func readPubacks(c *client, cfg Config, tokens <-chan struct{}) error {
	for n := range cfg.Count {
		_ = c.conn.SetReadDeadline(time.Now().Add(answerTime)) // an error shows in the read
		body, err := c.await(tPuback)
		if err == nil && len(body) > 2 && body[2] >= 0x80 {
			err = fmt.Errorf("PUBACK with code 0x%x", body[2])
		}
		if err != nil {
			return fmt.Errorf("after %d PUBACKs: %w", n, err)
		}
		<-tokens
	}
	return nil
}

// filled runs fill and measures what the messages cost that stay.
func filled(cfg Config, r Result, retain bool, topic func(i int) string) error {
	before, err := rest(cfg)
	if err != nil {
		return err
	}
	if err := fill(cfg, retain, topic); err != nil {
		return err
	}
	done := Look(cfg.PID)
	settle(cfg.PID, 1500*time.Millisecond)
	r["fill_us_per_msg"] = micros(done.CPU-before.CPU) / float64(cfg.Count)
	r["bytes_per_msg"] = each(before, Look(cfg.PID), cfg.Count)
	return nil
}

// collect reads Count messages and ticks them off; late copies are waited for.
// It returns how long the last new one took. It stops when nothing comes for
// Patience, at first, and then for 5 s.
func collect(c *client, cfg Config, each func(publish)) (t *tracker, took time.Duration, err error) {
	const after, copies = 5 * time.Second, 300 * time.Millisecond
	t = newTracker(cfg.Count)
	start, n := time.Now(), 0
	_ = c.conn.SetReadDeadline(start.Add(cfg.Patience)) // an error shows in the read
	err = c.receive(func(m publish) {
		if n++; n%1024 == 1 {
			_ = c.conn.SetReadDeadline(time.Now().Add(after))
		}
		if len(m.payload) < payloadHeader {
			return
		}
		before := t.got
		t.mark(sequenceOf(m.payload))
		each(m)
		if t.got == before {
			return
		}
		took = time.Since(start)
		if int(t.got) == cfg.Count {
			_ = c.conn.SetReadDeadline(time.Now().Add(copies))
		}
	}, func() {})
	if os.IsTimeout(err) {
		err = nil // what is missing is counted
	}
	return t, took, err
}

// Retained stores messages and lets a subscriber of all topics collect them.
func Retained(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	r := Result{}
	if err := filled(cfg, r, true, func(i int) string { return fmt.Sprintf("ret/site%d/dev%d/temp", i%100, i/100) }); err != nil {
		return nil, err
	}
	c, err := cfg.connect(connectOpts{clientID: "bench-ret", clean: true}, 64<<10)
	if err != nil {
		return nil, err
	}
	defer c.disconnect()
	before := Look(cfg.PID)
	if _, err := c.conn.Write(appendSubscribe(nil, c.version, 1, []string{"ret/#"}, 1)); err != nil {
		return nil, err
	}
	unmarked := 0.0
	t, took, err := collect(c, cfg, func(m publish) {
		if !m.retain {
			unmarked++
		}
	})
	if err != nil {
		return nil, err
	}
	t.late = 0 // the order of retained messages of different topics is free
	r.deliveries(t.tally, int64(cfg.Count))
	r["without_retain"], r["all_ms"] = unmarked, millis(took)
	r["read_us_per_msg"] = micros(Look(cfg.PID).CPU-before.CPU) / float64(max(t.got, 1))
	return r, nil
}

// Offline queues messages for a session whose client is away, and lets it come
// back for them.
func Offline(cfg Config) (Result, error) {
	const topic = "bench/offline"
	cfg = cfg.withDefaults()
	away := connectOpts{clientID: "bench-away", expiry: 3600, keepalive: 600}
	c, err := cfg.connect(away, 4<<10)
	if err != nil {
		return nil, err
	}
	err = c.subscribe([]string{topic}, 1)
	c.disconnect()
	if err != nil {
		return nil, err
	}
	time.Sleep(300 * time.Millisecond) // the server has seen the client leave
	r := Result{}
	if err := filled(cfg, r, false, func(int) string { return topic }); err != nil {
		return nil, err
	}
	before := Look(cfg.PID)
	if c, err = cfg.connect(away, 32<<10); err != nil {
		return nil, err
	}
	defer c.disconnect()
	if !c.ack.sessionPresent {
		return nil, fmt.Errorf("the session is gone")
	}
	t, took, err := collect(c, cfg, func(publish) {})
	if err != nil {
		return nil, err
	}
	r.deliveries(t.tally, int64(cfg.Count))
	r["all_ms"] = millis(took)
	r["read_us_per_msg"] = micros(Look(cfg.PID).CPU-before.CPU) / float64(max(t.got, 1))
	return r, nil
}
