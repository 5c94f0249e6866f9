package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"sort"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

const (
	topRows    = 20     // of clients and topics
	mostTopics = 10_000 // that are counted one by one
)

// write writes what the view shows.
func (t *top) write(ctx context.Context, w io.Writer, st *api.Status) error {
	if t.view != 't' {
		t.topics.stop()
		t.topics = nil
	}
	if t.view == 'a' {
		return writeStatus(w, st)
	}
	fmt.Fprintf(w, "%s\n\n", headLine(st))
	switch t.view {
	case 'c':
		return t.writeClients(ctx, w)
	case 't':
		return t.writeTopics(ctx, w)
	case 's':
		return writeTable(w, deviceRows(st.Devices))
	}
	rows := bridgeRows(st.Bridges)
	for i := range rows {
		sent, drain := "SENT", "EMPTY IN"
		if i > 0 {
			b := &st.Bridges[i-1]
			sent, drain = rate(b.Rate), "-"
			if b.Drain > 0 {
				drain = span(b.Drain)
			}
		}
		rows[i] = append([]string{rows[i][0], sent, drain}, rows[i][1:]...)
	}
	return writeTable(w, rows)
}

// busy is a row of the clients or topics, and what it is sorted by.
type busy struct {
	row  []string
	rate float64
}

// writeBusy writes the busiest.
func writeBusy(w io.Writer, head []string, all []busy) error {
	sort.Slice(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		return a.rate > b.rate || a.rate == b.rate && a.row[0] < b.row[0]
	})
	rows := [][]string{head}
	for i := 0; i < len(all) && i < topRows; i++ {
		rows = append(rows, all[i].row)
	}
	err := writeTable(w, rows)
	if more := len(all) - topRows; more > 0 && err == nil {
		_, err = fmt.Fprintf(w, "and %s more\n", count(more))
	}
	return err
}

// writeClients writes those with the most messages since the look before; of
// the first look, since they connected.
func (t *top) writeClients(ctx context.Context, w io.Writer) error {
	var all []busy
	counts, now := map[string][2]uint64{}, time.Now()
	query := url.Values{"limit": {"1000"}, "state": {"connected"}}
	for more := true; more; {
		var page api.Clients
		if _, err := t.q.get(ctx, "GET", "/api/v1/clients?"+query.Encode(), &page); err != nil {
			return err
		}
		for i := range page.Clients {
			c := &page.Clients[i]
			before, seconds := t.counts[c.ID], now.Sub(t.at).Seconds()
			if c.Since < seconds || before[0] > c.Received || before[1] > c.Sent {
				before, seconds = [2]uint64{}, c.Since // another connection
			}
			in, out := float64(c.Received-before[0])/max(seconds, 0.001), float64(c.Sent-before[1])/max(seconds, 0.001)
			counts[c.ID] = [2]uint64{c.Received, c.Sent}
			all = append(all, busy{[]string{printable(c.ID), printable(c.User), rate(in), rate(out), count(c.Waiting), count(c.Dropped), c.Remote}, in + out})
		}
		more = page.Cursor != ""
		query.Set("cursor", page.Cursor)
	}
	t.counts, t.at = counts, now
	return writeBusy(w, []string{"CLIENT", "USER", "IN", "OUT", "WAITING", "DROPPED", "ADDRESS"}, all)
}

// topicRates counts the messages of each topic while somebody looks.
type topicRates struct {
	end    func()
	counts struct {
		sync.Mutex
		begun  bool // what is retained has come
		since  time.Time
		of     map[string]*seenTopic
		others int
		err    error
	}
}

type seenTopic struct {
	count  int
	newest api.Seen
}

// countTopics watches all topics until stop.
func (q *asker) countTopics(ctx context.Context) *topicRates {
	r := new(topicRates)
	r.counts.of, r.counts.since = map[string]*seenTopic{}, time.Now()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := q.stream(ctx, "/api/v1/watch?filter=%23", r.take)
		r.counts.Lock()
		defer r.counts.Unlock()
		r.counts.err = err
	}()
	r.end = func() { cancel(); <-done }
	return r
}

func (r *topicRates) stop() {
	if r != nil {
		r.end()
	}
}

// take counts what the gateway tells.
func (r *topicRates) take(data []byte) error {
	var moment api.Watched
	if err := json.Unmarshal(data, &moment); err != nil {
		return err
	}
	c := &r.counts
	c.Lock()
	defer c.Unlock()
	c.others += moment.Skipped
	for _, m := range moment.Messages {
		c.others -= m.Count - 1 // those are skipped, but counted
		s := c.of[m.Topic]
		if s == nil {
			if len(c.of) == mostTopics {
				c.others += m.Count
				continue
			}
			s = new(seenTopic)
			c.of[m.Topic] = s
		}
		s.count, s.newest = s.count+m.Count, m
	}
	return nil
}

// writeTopics writes those with the most messages since the look before.
func (t *top) writeTopics(ctx context.Context, w io.Writer) error {
	if t.topics == nil {
		t.topics = t.q.countTopics(ctx)
	}
	c := &t.topics.counts
	c.Lock()
	defer c.Unlock()
	now := time.Now()
	seconds := max(now.Sub(c.since).Seconds(), 0.001)
	var all []busy
	for name, s := range c.of {
		text := value(s.newest.PayloadB64)
		if p := s.newest.Payload; p != nil {
			text = value([]byte(*p))
		}
		if n := []rune(text); len(n) > 40 {
			text = string(n[:39]) + "…"
		}
		if c.begun {
			all = append(all, busy{[]string{printable(name), rate(float64(s.count) / seconds), text}, float64(s.count)})
		}
		s.count = 0
	}
	others := float64(c.others) / seconds
	c.since, c.others = now, 0
	if c.err != nil {
		return c.err
	}
	if !c.begun {
		c.begun = true
		_, err := io.WriteString(w, "Counting…\n")
		return err
	}
	err := writeBusy(w, []string{"TOPIC", "RATE", "NEWEST"}, all)
	if others > 0 && err == nil {
		_, err = fmt.Fprintf(w, "%s of topics that are not counted one by one\n", rate(others))
	}
	return err
}
