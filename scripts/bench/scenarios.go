package main

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/bench/load"
)

// scenario is one thing to measure.
type scenario struct {
	name    string
	what    string
	metrics []string // columns of the report
	fixed   bool     // -scale leaves it alone: memory of one out of many needs many
	tls     bool
	traced  bool // counts system calls
	bridged bool // the broker has a bridge, whose server is away at first
	only    string
	kept    bool // what is acknowledged is on disk
	do      func(*instance, load.Config) (load.Result, error)
	cfg     load.Config
}

var (
	rates   = []string{"cpu_us_per_msg", "msg_per_s"}
	delays  = []string{"cpu_us_per_msg", "p50_us", "p99_us", "p999_us", "switches_per_msg"}
	idling  = []string{"bytes_per_conn", "rss_left_ratio", "idle_cpu_ms_per_s", "idle_switches_per_s"}
	keeping = []string{"bytes_per_msg", "fill_us_per_msg", "read_us_per_msg", "all_ms"}
	greets  = []string{"cpu_us_per_conn", "conn_per_s", "p50_us", "p99_us"}
	calls   = []string{"syscalls_per_msg"}
)

// with lets a way to load a server be a scenario's do.
func with(run load.Run) func(*instance, load.Config) (load.Result, error) {
	return func(_ *instance, cfg load.Config) (load.Result, error) { return run(cfg) }
}

// scenarios are all there are, in the order of the report. Counts are sized
// for a server that takes 100,000 messages/s.
var scenarios = []scenario{
	{name: "size", what: "the stripped binary for ARMv6", metrics: []string{"armv6_mb"}, only: subject, do: sizes},
	{name: "start", what: "from exec to the first CONNACK", metrics: []string{"connack_ms"}, do: starts},
	{name: "footprint", what: "memory 2 s after start, and what doing nothing costs", metrics: []string{"rss_mb", "pss_kb", "exe_kb", "idle_cpu_ms_per_s", "idle_switches_per_s"}, do: with(load.Footprint)},

	{name: "fanin0", what: "10 publishers, 1 subscriber, QoS 0, 64 B", metrics: rates, do: with(load.FanIn), cfg: load.Config{Count: 500000}},
	{name: "fanin0-1k", what: "the same with 1 KiB", metrics: rates, do: with(load.FanIn), cfg: load.Config{Count: 300000, Size: 1024}},
	{name: "fanin0-b16", what: "16 messages per write", metrics: rates, do: with(load.FanIn), cfg: load.Config{Count: 1000000, Batch: 16}},
	{name: "fanin1", what: "QoS 1, 20 in flight each", metrics: rates, do: with(load.FanIn), cfg: load.Config{Count: 200000, QoS: 1}},
	{name: "fanin1-1k", what: "the same with 1 KiB", metrics: rates, do: with(load.FanIn), cfg: load.Config{Count: 150000, QoS: 1, Size: 1024}},
	{name: "fanin2", what: "QoS 2", metrics: rates, do: with(load.FanIn), cfg: load.Config{Count: 100000, QoS: 2}},
	{name: "fanout0", what: "1 publisher, 100 subscribers", metrics: rates, do: with(load.FanOut), cfg: load.Config{Count: 1000000, Subscribers: 100}},
	{name: "fanout0-v5", what: "the same in 5.0", metrics: rates, do: with(load.FanOut), cfg: load.Config{Count: 1000000, Subscribers: 100, Version: 5}},
	{name: "fanout1", what: "QoS 1", metrics: rates, do: with(load.FanOut), cfg: load.Config{Count: 300000, Subscribers: 100, QoS: 1}},
	{name: "pairs0", what: "50 pairs, exact topics", metrics: rates, do: with(load.Pairs), cfg: load.Config{Count: 400000, Publishers: 50}},
	{name: "pairs1", what: "QoS 1", metrics: rates, do: with(load.Pairs), cfg: load.Config{Count: 200000, Publishers: 50, QoS: 1}},
	{name: "wildcard", what: "10,000 filters with + and #, each message matches one", metrics: rates, do: with(load.Wildcard), cfg: load.Config{Count: 200000, Filters: 10000, Subscribers: 10}},
	{name: "lat0", what: "1,000 messages/s over 10 pairs, one by one", metrics: delays, do: with(load.Latency), cfg: load.Config{Rate: 1000, Duration: 10 * time.Second}},
	{name: "lat1", what: "QoS 1", metrics: delays, do: with(load.Latency), cfg: load.Config{Rate: 1000, Duration: 10 * time.Second, QoS: 1}},

	{name: "idle1k", what: "1,000 connections with a subscription", metrics: idling, fixed: true, do: with(load.Idle), cfg: load.Config{Connections: 1000}},
	{name: "idle10k", what: "10,000 of them, and what stays when they leave", metrics: idling, fixed: true, do: with(load.Idle), cfg: load.Config{Connections: 10000}},
	{name: "idle1k-tls", what: "1,000 over TLS", metrics: idling, fixed: true, tls: true, do: with(load.Idle), cfg: load.Config{Connections: 1000, Duration: 3 * time.Second}},
	{name: "ret10k", what: "10,000 retained messages of 64 B", metrics: keeping, fixed: true, do: with(load.Retained), cfg: load.Config{Count: 10000}},
	{name: "ret100k", what: "100,000", metrics: keeping, fixed: true, do: with(load.Retained), cfg: load.Config{Count: 100000}},
	{name: "offline", what: "20,000 messages queued for a session, and drained", metrics: keeping, fixed: true, do: with(load.Offline), cfg: load.Config{Count: 20000}},
	{name: "drain1", what: "40,000 messages of QoS 1 queued for a bridge, and drained", metrics: append([]string{"bytes_per_msg"}, rates...), fixed: true, bridged: true, do: drains, cfg: load.Config{Count: 40000}},
	{name: "always1", what: "2,000 messages/s of 200 B, QoS 1, on disk before PUBACK", metrics: []string{"msg_per_s", "syncs_per_s", "p50_us", "p99_us", "cpu_us_per_msg"}, kept: true, only: subject, do: with(load.Kept), cfg: load.Config{Rate: 2000, Duration: 10 * time.Second, Size: 200}},
	{name: "connect", what: "connect, CONNACK, disconnect; 16 at a time", metrics: greets, do: with(load.Connect), cfg: load.Config{Count: 10000}},
	{name: "connect-tls", what: "full TLS handshakes", metrics: greets, tls: true, do: with(load.Connect), cfg: load.Config{Count: 2000}},

	{name: "sys-fanin0", what: "system calls of fanin0", metrics: calls, traced: true, do: with(load.FanIn), cfg: load.Config{Count: 200000}},
	{name: "sys-fanin1", what: "of fanin1", metrics: calls, traced: true, do: with(load.FanIn), cfg: load.Config{Count: 100000, QoS: 1}},
	{name: "sys-fanout0", what: "of fanout0", metrics: calls, traced: true, do: with(load.FanOut), cfg: load.Config{Count: 500000, Subscribers: 100}},
	{name: "sys-lat0", what: "of lat0", metrics: calls, traced: true, do: with(load.Latency), cfg: load.Config{Rate: 1000, Duration: 5 * time.Second}},
	{name: "sys-lat1", what: "of lat1", metrics: calls, traced: true, do: with(load.Latency), cfg: load.Config{Rate: 1000, Duration: 5 * time.Second, QoS: 1}},
}

// scaled returns the configuration for a run scale times as long.
func (s scenario) scaled(scale float64) load.Config {
	cfg := s.cfg
	if s.fixed {
		return cfg
	}
	cfg.Count = int(float64(cfg.Count) * scale)
	if cfg.Duration > 0 {
		cfg.Duration = max(time.Second, time.Duration(float64(cfg.Duration)*scale))
	}
	return cfg
}

func scenarioNamed(name string) (scenario, bool) {
	for _, s := range scenarios {
		if s.name == name {
			return s, true
		}
	}
	return scenario{}, false
}
