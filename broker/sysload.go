package broker

import (
	"math"
	"strconv"
	"time"
)

// load is one of mosquitto's load values: what a counter grew by, as an
// exponential average a minute over one, five and fifteen minutes.
type load struct {
	topic   string
	counter func(*Stats) uint64
	last    uint64
	average [3]float64
}

var loadSpans = [3]struct {
	name    string
	minutes float64
}{{"1min", 1}, {"5min", 5}, {"15min", 15}}

func newLoads() []load {
	return []load{
		{topic: "messages/received", counter: func(s *Stats) uint64 { return s.Received.Packets }},
		{topic: "messages/sent", counter: func(s *Stats) uint64 { return s.Sent.Packets }},
		{topic: "publish/dropped", counter: func(s *Stats) uint64 { return s.Dropped }},
		{topic: "publish/received", counter: func(s *Stats) uint64 { return s.Received.Publishes }},
		{topic: "publish/sent", counter: func(s *Stats) uint64 { return s.Sent.Publishes }},
		{topic: "bytes/received", counter: func(s *Stats) uint64 { return s.Received.Bytes }},
		{topic: "bytes/sent", counter: func(s *Stats) uint64 { return s.Sent.Bytes }},
		{topic: "sockets", counter: func(s *Stats) uint64 { return s.ConnectionsAccepted }},
		{topic: "connections", counter: func(s *Stats) uint64 { return s.Connects }},
	}
}

// update takes the counter's value after elapsed.
func (l *load) update(n uint64, elapsed time.Duration) {
	minutes := elapsed.Minutes()
	if minutes <= 0 {
		return
	}
	rate := float64(n-l.last) / minutes
	for i := range l.average {
		l.average[i] = rate + math.Exp(-minutes/loadSpans[i].minutes)*(l.average[i]-rate)
	}
	l.last = n
}

func (t *sysTree) publishLoads(now time.Time, s *Stats) {
	elapsed := now.Sub(t.counted)
	t.counted = now
	for i := range t.loads {
		l := &t.loads[i]
		l.update(l.counter(s), elapsed)
		for j, average := range l.average {
			t.text = strconv.AppendFloat(t.text[:0], average, 'f', 2, 64)
			t.changed("$SYS/broker/load/" + l.topic + "/" + loadSpans[j].name)
		}
	}
}
