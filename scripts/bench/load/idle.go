package load

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// parallel runs f(0) to f(n-1) on some goroutines and returns the first error.
func parallel(n, workers int, f func(i int) error) error {
	var next atomic.Int64
	var first atomic.Pointer[error]
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for first.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					err = fmt.Errorf("connection %d: %w", i, err)
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}

// rest brings a server that has just started to the state that memory is
// counted from: pages that only the start needed are given back, and code that
// every client needs is there. Without it, a server that tidies up after its
// start would seem to need less for its clients than it does.
func rest(cfg Config) (Process, error) {
	settle(cfg.PID, 3*time.Second)
	c, err := cfg.connect(connectOpts{clientID: "bench-first", clean: true}, 512)
	if err != nil {
		return Process{}, err
	}
	err = c.subscribe([]string{"bench/first"}, 0)
	c.disconnect()
	settle(cfg.PID, time.Second)
	return Look(cfg.PID), err
}

// Idle opens connections with one subscription each, watches them do nothing
// for Duration, and lets them leave.
func Idle(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	before, err := rest(cfg)
	if err != nil {
		return nil, err
	}
	conns := make([]*client, cfg.Connections)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.conn.Close()
			}
		}
	}()
	err = parallel(cfg.Connections, 8, func(i int) (err error) {
		conns[i], err = cfg.connect(connectOpts{clientID: fmt.Sprintf("bench-i%d", i), clean: true, keepalive: 3600}, 64)
		if err != nil {
			return err
		}
		return conns[i].subscribe([]string{fmt.Sprintf("dev/%d/cmd", i)}, 0)
	})
	if err != nil {
		return nil, err
	}
	settle(cfg.PID, 3*time.Second)
	begin := Look(cfg.PID)
	time.Sleep(cfg.Duration)
	end := Look(cfg.PID)
	for _, c := range conns {
		c.disconnect()
	}
	settle(cfg.PID, 3*time.Second)
	left := Look(cfg.PID)
	r := Result{"rss_kb": float64(end.RSS >> 10), "threads": float64(end.Threads)}
	r.idle(begin, end, cfg.Duration)
	if cfg.PID != 0 {
		r["bytes_per_conn"] = each(before, end, cfg.Connections)
		r["rss_left_kb"] = float64(left.RSS >> 10)
		r["rss_left_ratio"] = float64(left.RSS) / float64(before.RSS)
	}
	return r, nil
}

// idle adds what doing nothing costs.
func (r Result) idle(begin, end Process, d time.Duration) {
	r["idle_cpu_ms_per_s"] = millis(end.CPU-begin.CPU) / d.Seconds()
	r["idle_switches_per_s"] = float64(end.Switches-begin.Switches) / d.Seconds()
}

// Footprint looks at a server 2 s after its start, and at what it does with
// nobody there for Duration.
func Footprint(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	time.Sleep(2 * time.Second)
	begin := Look(cfg.PID)
	time.Sleep(cfg.Duration)
	end := Look(cfg.PID)
	r := Result{"rss_kb": float64(begin.RSS >> 10), "rss_mb": float64(begin.RSS) / 1e6, "pss_kb": float64(begin.PSS >> 10),
		"threads": float64(end.Threads), "start_cpu_ms": millis(begin.CPU)}
	r.idle(begin, end, cfg.Duration)
	if st, err := os.Stat(fmt.Sprintf("/proc/%d/exe", cfg.PID)); err == nil {
		r["exe_kb"] = float64(st.Size() >> 10)
	}
	return r, nil
}

// Connect opens, greets and closes connections as fast as Workers can.
func Connect(cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	delays := make([]int64, cfg.Count)
	before, start := Look(cfg.PID), time.Now()
	err := parallel(cfg.Count, cfg.Workers, func(i int) error {
		t := time.Now()
		c, err := cfg.connect(connectOpts{clientID: fmt.Sprintf("bench-c%d", i), clean: true, keepalive: 60}, 512)
		if err != nil {
			return err
		}
		delays[i] = int64(time.Since(t))
		c.disconnect()
		return nil
	})
	took := time.Since(start)
	if err != nil {
		return nil, err
	}
	settle(cfg.PID, 300*time.Millisecond)
	after := Look(cfg.PID)
	r := Result{"conn_per_s": float64(cfg.Count) / took.Seconds()}
	r["cpu_us_per_conn"] = micros(after.CPU-before.CPU) / float64(cfg.Count)
	r.percentiles(slices.Clone(delays))
	return r, nil
}

// Ready dials until the server answers CONNECT; it gives up after Patience.
func Ready(cfg Config) error {
	cfg = cfg.withDefaults()
	for start := time.Now(); ; time.Sleep(200 * time.Microsecond) {
		c, err := cfg.connect(connectOpts{clientID: "bench-ready", clean: true}, 512)
		if err == nil {
			c.disconnect()
			return nil
		}
		if time.Since(start) > cfg.Patience {
			return fmt.Errorf("no CONNACK from %s within %s: %w", cfg.Addr, cfg.Patience, err)
		}
	}
}
