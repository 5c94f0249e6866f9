package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
)

// story prints what happens in the demo, one line an event.
type story struct {
	mu    sync.Mutex
	w     io.Writer
	count int // messages that arrived in the cloud
	last  int // count at the last report
	at    time.Time
	down  bool // the last change told was that the bridge is down
}

// say prints one line.
func (s *story) say(what, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line(what, format, args...)
}

func (s *story) line(what, format string, args ...any) {
	fmt.Fprintf(s.w, "%s  %-9s  %s\n", time.Now().Format(time.TimeOnly), what, fmt.Sprintf(format, args...))
}

// welcome says where to connect, and which ports were taken.
func (s *story) welcome(d *demo, wanted []int, local, cloud, page net.Addr) {
	fmt.Fprintf(s.w, "dunlin %s demo: this machine's values and simulated sensors, as node %s\n\n", readVersion().Version, d.node)
	for i, got := range []int{portOf(local), portOf(cloud), portOf(page)} {
		if wanted[i] != got {
			fmt.Fprintf(s.w, "  port %d is taken: using %d\n", wanted[i], got)
		}
	}
	fmt.Fprintf(s.w, "  page      http://127.0.0.1:%d\n", portOf(page))
	fmt.Fprintf(s.w, "  gateway   mosquitto_sub -h 127.0.0.1 -p %d -t 'dunlin/#' -v\n", portOf(local))
	fmt.Fprintf(s.w, "  cloud     mosquitto_sub -h 127.0.0.1 -p %d -t 'sites/#' -v\n", portOf(cloud))
	fmt.Fprintf(s.w, "  command   mosquitto_pub -h 127.0.0.1 -p %d -q 1 -t cmd/%s/tank/pump/set -m ON\n", portOf(cloud), d.node)
	fmt.Fprintf(s.w, "\nThe line to the cloud drops for %s every %s. Ctrl-C ends the demo.\n\n", d.outage, d.cycle)
	s.at = time.Now()
}

// arrived counts one message in the cloud.
func (s *story) arrived() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
}

// report prints what flows or waits now.
func (s *story) report(b bridge.Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	rate := float64(s.count-s.last) / now.Sub(s.at).Seconds()
	s.last, s.at = s.count, now
	if b.State != bridge.Up {
		s.line("waiting", "%d messages (%d bytes), the oldest for %s; dropped %d",
			b.Queue.Messages, b.Queue.Bytes, b.Queue.Oldest.Round(time.Second), b.Queue.Dropped)
		return
	}
	s.line("flowing", "%.1f messages/s to the cloud, %d acknowledged in all, %d waiting; dropped %d",
		rate, b.Acked, b.Queue.Messages, b.Queue.Dropped)
}

// bridgeEvent prints the changes that matter to somebody who watches; of the
// attempts to connect that fail, only the first.
func (s *story) bridgeEvent(e bridge.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case bridge.EventUp:
		s.down = false
		s.line("connected", "bridge %s", e.Bridge)
	case bridge.EventDown:
		if !s.down {
			s.line("down", "bridge %s: %s", e.Bridge, e.Reason)
		}
		s.down = true
	case bridge.EventDrained:
		s.line("drained", "%d messages that waited were acknowledged, in %s", e.Messages, e.Duration.Round(time.Millisecond))
	}
}

// farewell prints the sum.
func (s *story) farewell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line("stopped", "%d messages reached the cloud", s.count)
}
