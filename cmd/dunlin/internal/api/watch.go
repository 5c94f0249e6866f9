package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const (
	mostWatchers = 8
	gather       = 200 * time.Millisecond // messages of this time go out together
	mostTopics   = 100                    // of them; more are counted
	heartbeat    = 15 * time.Second       // finds out that the reader has gone
	ofEach       = 1 << 10                // bytes of a payload when a filter is watched
)

// watchers are the places of those who watch. A place names its session: the
// broker remembers each name that a client of this process had.
type watchers struct {
	sync.Mutex
	taken [mostWatchers]bool
}

// enter takes a place, which leave gives back; without one the error says so.
func (w *watchers) enter() (place int, err error) {
	w.Lock()
	defer w.Unlock()
	if place = slices.Index(w.taken[:], false); place < 0 {
		return 0, problem(503, "%d already watch messages", mostWatchers)
	}
	w.taken[place] = true
	return place, nil
}

func (w *watchers) leave(place int) {
	w.Lock()
	defer w.Unlock()
	w.taken[place] = false
}

// Watched is what was published within a moment: of each topic the newest
// message.
type Watched struct {
	Messages []Seen `json:"messages"`
	Skipped  int    `json:"skipped"` // messages that are not shown
}

// Seen is the newest message of a topic.
type Seen struct {
	Message
	Time  float64 `json:"time"`  // Unix seconds
	Count int     `json:"count"` // messages of the topic in this moment, of which this is the newest
}

// watch streams what is published on topics that a filter matches, beginning
// with what is retained there, while somebody reads it.
func watch(c *call) (any, error) {
	w := &c.a.watchers
	place, err := w.enter()
	if err != nil {
		return nil, err
	}
	defer w.leave(place)
	client, err := c.a.Broker.Attach(broker.ClientOptions{
		ID: "page-" + strconv.Itoa(place), CleanStart: true, QueueMessages: 10 * mostTopics,
	})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	filter := c.args["filter"]
	if err := client.Subscribe(c.ctx, mqtt.Subscription{Filter: filter, RetainAsPublished: true}); err != nil {
		return nil, err
	}
	c.done = true
	out := c.w.Stream("text/event-stream")
	if _, err := io.WriteString(out, ": watching\n\n"); err != nil {
		return nil, nil
	}
	limit := shownBytes
	if strings.ContainsAny(filter, "+#") {
		limit = ofEach
	}
	for {
		seen, err := c.collect(client, limit)
		if err != nil || !c.stays() {
			return nil, nil // the gateway stops, or somebody lost the right to look
		}
		text := ": nothing\n\n"
		if len(seen.Messages) > 0 {
			b, err := json.Marshal(seen)
			if err != nil {
				return nil, err
			}
			text = "event: messages\ndata: " + string(b) + "\n\n"
		}
		if _, err := io.WriteString(out, text); err != nil {
			return nil, nil // the reader has gone
		}
	}
}

// collect waits for a message and takes what comes soon after it.
func (c *call) collect(client *broker.Client, limit int) (out Watched, err error) {
	at := map[string]int{}
	for wait := heartbeat; ; wait = gather {
		err := out.take(c, client, wait, limit, at)
		switch {
		case c.ctx.Err() != nil:
			return out, c.ctx.Err()
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return out, err
		case err != nil || wait == gather:
			return out, nil
		}
	}
}

// take takes messages: the first one that comes, or all of the time gather. at
// says where each topic is.
func (out *Watched) take(c *call, client *broker.Client, wait time.Duration, limit int, at map[string]int) error {
	ctx, cancel := context.WithTimeout(c.ctx, wait)
	defer cancel()
	for {
		m, err := client.Next(ctx)
		if err != nil {
			return err
		}
		if !c.mayRead(m.Topic) {
			continue
		}
		i, known := at[m.Topic]
		switch {
		case known:
			out.Skipped++
		case len(at) == mostTopics:
			out.Skipped++
			continue
		default:
			i = len(out.Messages)
			at[m.Topic], out.Messages = i, append(out.Messages, Seen{})
		}
		out.Messages[i] = Seen{describeMessage(&m, limit), float64(time.Now().UnixMilli()) / 1000, out.Messages[i].Count + 1}
		if wait == heartbeat {
			return nil
		}
	}
}

// describeMessage shows a message, of its payload at most limit bytes.
func describeMessage(m *mqtt.Message, limit int) Message {
	out := Message{Topic: m.Topic, Size: len(m.Payload), QoS: int(m.QoS), Retain: m.Retain, Publisher: m.Publisher}
	shown := m.Payload[:min(len(m.Payload), limit)]
	out.Truncated = len(shown) < len(m.Payload)
	if out.Truncated { // a character that was cut is no reason to show bytes
		for i := 1; i < utf8.UTFMax && !utf8.Valid(shown); i++ {
			shown = shown[:len(shown)-1]
		}
	}
	if utf8.Valid(shown) {
		text := string(shown)
		out.Payload = &text
	} else {
		out.PayloadB64 = shown
	}
	if m.Properties != nil {
		for _, p := range m.Properties.User {
			out.Properties = append(out.Properties, [2]string{p.Name, p.Value})
		}
	}
	return out
}
