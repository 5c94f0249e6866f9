package api

import (
	"bytes"
	"context"
	"encoding/json"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const (
	publishIn  = 10 * time.Second // how long a publish may wait for the disk
	shownBytes = 64 << 10         // of a payload
	inList     = 100              // bytes of a payload in a list
	named      = 100              // topics that an answer names
)

// Topics is one level of the tree of retained topics; Cursor, when set, asks
// for the next page.
type Topics struct {
	Topics []Topic `json:"topics"`
	Cursor string  `json:"cursor,omitempty"`
}

// Topic is one name below a prefix.
type Topic struct {
	Topic    string `json:"topic"`
	Retained bool   `json:"retained"`
	Below    int    `json:"below"`             // retained topics below this one
	Payload  string `json:"payload,omitempty"` // if it is text; cut after 100 bytes
	Size     int    `json:"size"`
}

// Message is one retained message.
type Message struct {
	Topic      string      `json:"topic"`
	Payload    *string     `json:"payload,omitempty"`     // if it is text
	PayloadB64 []byte      `json:"payload_b64,omitempty"` // otherwise
	Size       int         `json:"size"`
	Truncated  bool        `json:"truncated,omitempty"` // 64 KiB are shown
	QoS        int         `json:"qos"`
	Retain     bool        `json:"retain"`
	Publisher  string      `json:"publisher,omitempty"`
	Properties [][2]string `json:"properties,omitempty"` // user properties
}

// Cleared says which retained messages were cleared, or would be.
type Cleared struct {
	Count  int      `json:"count"`
	Topics []string `json:"topics"` // the first 100
}

func topics(c *call) (any, error) {
	limit, err := c.args.page()
	if err != nil {
		return nil, err
	}
	prefix, filter := c.args["prefix"], "#"
	if prefix != "" {
		filter = prefix + "/#"
		prefix += "/"
	}
	found, err := c.a.Broker.Retained(filter)
	if err != nil {
		return nil, err
	}
	level := map[string]*Topic{}
	for _, m := range found {
		rest, ok := strings.CutPrefix(m.Topic, prefix)
		if !ok || !c.mayRead(m.Topic) { // prefix/# also matches prefix itself
			continue
		}
		// A first level that is empty has no name to ask for it by: it stands
		// with the second.
		slash := ""
		if prefix == "" && strings.HasPrefix(rest, "/") {
			slash, rest = "/", rest[1:]
		}
		name, _, deeper := strings.Cut(rest, "/")
		name = slash + name
		t := level[name]
		if t == nil {
			t = &Topic{Topic: prefix + name}
			level[name] = t
		}
		if deeper {
			t.Below++
			continue
		}
		t.Retained, t.Size = true, len(m.Payload)
		if text := m.Payload[:min(inList, len(m.Payload))]; utf8.Valid(text) {
			t.Payload = string(text)
		}
	}
	return pageOf(level, c.args["cursor"], limit), nil
}

func pageOf(level map[string]*Topic, cursor string, limit int) (out Topics) {
	out.Topics = []Topic{}
	for _, t := range level {
		if t.Topic > cursor {
			out.Topics = append(out.Topics, *t)
		}
	}
	sort.Slice(out.Topics, func(i, j int) bool { return out.Topics[i].Topic < out.Topics[j].Topic })
	if len(out.Topics) > limit {
		out.Topics = out.Topics[:limit]
		out.Cursor = out.Topics[limit-1].Topic
	}
	return out
}

func oneTopic(c *call) (any, error) {
	name := c.args["topic"]
	if name == "" || strings.ContainsAny(name, "+#") {
		return nil, problem(400, "topic is a Topic Name")
	}
	if !c.mayRead(name) {
		return nil, problem(403, "the rules keep %s from this topic", c.User)
	}
	found, err := c.a.Broker.Retained(name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, problem(404, "nothing is retained on %.100q", name)
	}
	out := describeMessage(found[0], shownBytes)
	out.Retain = true
	return out, nil
}

func publish(c *call) (any, error) {
	var in Message
	body := json.NewDecoder(bytes.NewReader(c.Body))
	body.DisallowUnknownFields()
	if body.Decode(&in) != nil || body.More() || in.Payload != nil && in.PayloadB64 != nil {
		return nil, problem(400, "the body is no JSON object with topic, payload or payload_b64, qos and retain")
	}
	if in.QoS < 0 || in.QoS > 2 {
		return nil, problem(400, "qos is 0, 1 or 2")
	}
	m := mqtt.Message{Topic: in.Topic, Payload: in.PayloadB64, QoS: mqtt.QoS(in.QoS), Retain: in.Retain}
	if in.Payload != nil {
		m.Payload = []byte(*in.Payload)
	}
	// The first process of dunlin's image tells how updates are, and the board.
	if strings.HasPrefix(in.Topic, "$") && !strings.HasPrefix(in.Topic, "$SYS/dunlin/update/") && in.Topic != "$SYS/dunlin/board/problems" {
		return nil, problem(403, "topics that start with $ are the server's own")
	}
	ctx, cancel := context.WithTimeout(c.ctx, publishIn)
	defer cancel()
	return nil, c.a.Client.Publish(ctx, m)
}

func clearRetained(c *call) (any, error) {
	found, err := c.a.Broker.Retained(c.args["filter"])
	if err != nil {
		return nil, err
	}
	out := Cleared{Topics: []string{}}
	ctx, cancel := context.WithTimeout(c.ctx, publishIn)
	defer cancel()
	for _, m := range found {
		if strings.HasPrefix(m.Topic, "$") {
			return nil, problem(403, "topics that start with $ are the server's own")
		}
		if c.args["dry_run"] != "true" {
			if err := c.a.Client.Publish(ctx, mqtt.Message{Topic: m.Topic, Retain: true, QoS: mqtt.AtLeastOnce}); err != nil {
				return nil, err
			}
		}
		if out.Count++; len(out.Topics) < named {
			out.Topics = append(out.Topics, m.Topic)
		}
	}
	sort.Strings(out.Topics)
	return out, nil
}
