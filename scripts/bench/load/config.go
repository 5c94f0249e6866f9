package load

import (
	"cmp"
	"time"
)

// Config says what to send, and to whom. Zero values become defaults.
type Config struct {
	Addr    string // host:port
	TLS     bool   // over TLS; the certificate is not verified
	Version byte   // 4 (3.1.1, default) or 5
	PID     int    // process to measure; 0 measures nothing

	QoS         byte
	Size        int // bytes of payload, at least 20; default 64
	Count       int // messages; of fan-out: deliveries; of connect: connections
	Publishers  int // default 10; of pairs and latency: pairs
	Subscribers int // of fan-out and wildcard
	Connections int // of idle
	Filters     int // of wildcard, all connections together
	Window      int // published and not yet received, all publishers together; default 1000
	InFlight    int // unacknowledged messages of a publisher; default 20
	Batch       int // PUBLISH packets per write; default 1
	Rate        int // messages per second, of latency
	Workers     int // concurrent connects; default 16

	Duration time.Duration // of latency and idle; default 5 s
	Stall    time.Duration // without progress for this long, messages are lost; default 3 s
	Patience time.Duration // for the first retained or queued message; default 60 s
}

func (c Config) withDefaults() Config {
	c.Version = cmp.Or(c.Version, 4)
	c.Size = max(cmp.Or(c.Size, 64), payloadHeader)
	c.Publishers = cmp.Or(c.Publishers, 10)
	c.Window = cmp.Or(c.Window, 1000)
	c.InFlight = cmp.Or(c.InFlight, 20)
	c.Batch = cmp.Or(c.Batch, 1)
	c.Workers = cmp.Or(c.Workers, 16)
	c.Duration = cmp.Or(c.Duration, 5*time.Second)
	c.Stall = cmp.Or(c.Stall, 3*time.Second)
	c.Patience = cmp.Or(c.Patience, 60*time.Second)
	return c
}

// share is how far one of the publishers may run ahead.
func (c Config) share() int64 { return int64(max(1, c.Window/c.Publishers)) }

// Result holds what was measured, by name: cpu_us_per_msg, lost, p50_us, ...
type Result map[string]float64

// A Run is one way to load a server.
type Run func(Config) (Result, error)
