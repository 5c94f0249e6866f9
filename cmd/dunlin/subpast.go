package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

// mostPast is how many values of each series --since asks for.
const mostPast = 2000

// past shows what the gateway's history has of the topics, as if the numbers
// came now; over is true after the last message that -C allows.
func (s *subscriber) past(ctx context.Context) (over bool, err error) {
	q := newAsker("sub", "", streams{out: io.Discard, err: io.Discard})
	var st api.Status
	if _, err := q.get(ctx, "GET", "/api/v1/status", &st); err != nil {
		return false, fmt.Errorf("--since asks the gateway of this machine: %w", err)
	}
	var history struct {
		Step, End float64
		Series    []struct {
			Name   string
			Values []*float64 // null: none
		}
	}
	target := fmt.Sprintf("/api/v1/history?points=%d&series=%s&span=%d", mostPast, url.QueryEscape("device/"), int(s.flags.since.Seconds()))
	if _, err := q.get(ctx, "GET", target, &history); err != nil {
		return false, err
	}
	type seen struct {
		at time.Time
		m  client.Message
	}
	var all []seen
	for _, series := range history.Series {
		name := st.Base + strings.TrimPrefix(series.Name, "device")
		if !s.flags.wants(name) {
			continue
		}
		var last *float64
		for i, v := range series.Values {
			if v == nil || last != nil && *last == *v {
				continue
			}
			last = v
			at := time.UnixMilli(int64(1000 * (history.End - float64(len(series.Values)-1-i)*history.Step)))
			all = append(all, seen{at, client.Message{Topic: name, Payload: strconv.AppendFloat(nil, *v, 'f', -1, 32)}})
		}
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		return a.at.Before(b.at) || a.at.Equal(b.at) && a.m.Topic < b.m.Topic
	})
	for i := range all {
		if over, err = s.show(&all[i].m, all[i].at); over || err != nil {
			break
		}
	}
	return over, err
}

// wants reports whether messages on a topic would be shown.
func (f *subFlags) wants(name string) bool {
	matches := func(filter string) bool { return topic.Match(filter, name) }
	return slices.ContainsFunc(f.topics, matches) && !slices.ContainsFunc(f.filterOut, matches)
}

// rates counts what comes and tells it each second.
type rates struct {
	out    io.Writer
	counts struct {
		sync.Mutex
		messages, bytes int64
	}
}

// count is a printer that shows nothing.
func (r *rates) count(dst []byte, m *client.Message, _ time.Time) []byte {
	c := &r.counts
	c.Lock()
	defer c.Unlock()
	c.messages, c.bytes = c.messages+1, c.bytes+int64(len(m.Payload))
	return dst
}

// run tells until ctx ends, and then what came since the last second.
func (r *rates) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for began := time.Now(); ; {
		var end bool
		select {
		case <-ctx.Done():
			end = true
		case <-tick.C:
		}
		c := &r.counts
		c.Lock()
		messages, bytes := c.messages, c.bytes
		c.messages, c.bytes = 0, 0
		c.Unlock()
		now := time.Now()
		per := max(now.Sub(began).Seconds(), 0.001)
		began = now
		if !end || messages > 0 {
			// Who does not read ends the subscriber, too.
			fmt.Fprintf(r.out, "%s  %s messages  %s  %s/s\n", now.Format("15:04:05"), count(uint64(messages)), rate(float64(messages)/per), size(int64(float64(bytes)/per)))
		}
		if end {
			return
		}
	}
}
