package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const (
	traceFor   = 5 * time.Minute
	traceLines = 200 // a second; more are counted
)

// Traced is one line of a trace: of a message everything but its payload.
type Traced struct {
	Time   float64 `json:"time"` // Unix seconds
	What   string  `json:"what"` // message, delivered, skipped, end, or as an event of a client
	Text   string  `json:"text,omitempty"`
	Topic  string  `json:"topic,omitempty"`
	From   string  `json:"from,omitempty"` // Client Identifier
	QoS    int     `json:"qos"`
	Retain bool    `json:"retain"`
	Size   int     `json:"size"` // bytes of the payload
}

// tracer follows one client or one filter.
type tracer struct {
	a      *API
	client string // "": the filter's messages
	in     *broker.Client
	sent   uint64    // PUBLISH packets to client that were told of
	events time.Time // up to which events were told of
	out    []Traced  // of this second
}

// trace streams what a client does, or what is published on topics that a
// filter matches, for five minutes at most.
func trace(c *call) (any, error) {
	client, filter := c.args["client"], c.args["filter"]
	if (client == "") == (filter == "") {
		return nil, problem(400, "trace a client or a filter")
	}
	w := &c.a.watchers
	place, err := w.enter()
	if err != nil {
		return nil, err
	}
	defer w.leave(place)
	if client != "" {
		filter = "#"
	}
	in, err := c.a.Broker.Attach(broker.ClientOptions{
		ID: "trace-" + strconv.Itoa(place), CleanStart: true, QueueMessages: 10 * traceLines,
	})
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if err := in.Subscribe(c.ctx, mqtt.Subscription{Filter: filter, RetainAsPublished: true, RetainHandling: mqtt.DoNotSendRetained}); err != nil {
		return nil, err
	}
	c.done = true
	c.a.Log.Info("trace begins", "user", c.User, "client_id", client, "topic", c.args["filter"])
	t := &tracer{a: c.a, client: client, in: in, events: time.Now(), out: []Traced{}}
	if i, ok := c.a.Broker.Client(client); ok {
		t.sent = i.Sent.Publishes
	}
	return nil, t.stream(c, c.w.Stream("text/event-stream"))
}

// stream tells each second what has happened, also when that is nothing: it
// finds out that the reader has gone.
func (t *tracer) stream(c *call, out io.Writer) error {
	for end := time.Now().Add(traceFor); ; {
		if err := t.second(c.ctx); err != nil || !c.stays() {
			return nil // the gateway stops, or somebody lost the right to look
		}
		over := !time.Now().Before(end)
		if over {
			t.add(Traced{What: "end", Text: "a trace takes " + traceFor.String()})
		}
		b, err := json.Marshal(t.out)
		if err != nil {
			return err
		}
		t.out = t.out[:0]
		if _, err := io.WriteString(out, "event: trace\ndata: "+string(b)+"\n\n"); err != nil || over {
			return nil
		}
	}
}

func (t *tracer) add(l Traced) {
	if l.Time == 0 {
		l.Time = float64(time.Now().UnixMilli()) / 1000
	}
	t.out = append(t.out, l)
}

// second gathers a second of messages, then the events and deliveries of it.
func (t *tracer) second(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	skipped := 0
	for {
		m, err := t.in.Next(wait)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			break
		}
		if err != nil {
			return err
		}
		if t.client != "" && m.Publisher != t.client {
			continue
		}
		if len(t.out) >= traceLines {
			skipped++
			continue
		}
		t.add(Traced{What: "message", Topic: m.Topic, From: m.Publisher, QoS: int(m.QoS), Retain: m.Retain, Size: len(m.Payload)})
	}
	if skipped > 0 {
		t.add(Traced{What: "skipped", Text: fmt.Sprintf("%d more messages", skipped)})
	}
	if t.client != "" {
		t.happened()
	}
	return nil
}

// happened tells of the client's events, and of what was delivered to it.
func (t *tracer) happened() {
	for _, e := range t.a.Events.Of(t.client) {
		if e.Time.After(t.events) {
			t.events = e.Time
			t.add(Traced{What: e.What, Text: e.Text, Time: float64(e.Time.UnixMilli()) / 1000})
		}
	}
	i, _ := t.a.Broker.Client(t.client)
	if sent := i.Sent.Publishes; sent > t.sent {
		t.add(Traced{What: "delivered", Text: fmt.Sprintf("%d messages to it, %d wait", sent-t.sent, i.Waiting)})
	}
	t.sent = i.Sent.Publishes // a new connection counts anew
}
