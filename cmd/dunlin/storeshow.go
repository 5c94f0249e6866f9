package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// storeLine is a session or a queue in JSON.
type storeLine struct {
	Session       string               `json:"session,omitempty"`
	Queue         string               `json:"queue,omitempty"`
	User          string               `json:"user,omitempty"`
	Left          *time.Time           `json:"left,omitempty"`
	Expiry        float64              `json:"expiry_s,omitempty"`
	Subscriptions []storedSubscription `json:"subscriptions,omitempty"`
	Will          *storedMessage       `json:"will,omitempty"`
	Messages      int                  `json:"messages"`
	Bytes         int64                `json:"message_bytes"`
	Oldest        *time.Time           `json:"oldest,omitempty"`
}

type storedSubscription struct {
	Filter string `json:"filter"`
	QoS    int    `json:"qos"`
}

// storedMessage is a message in JSON; the payload is text if it is UTF-8.
type storedMessage struct {
	Kind      string               `json:"kind,omitempty"` // retained or queued
	For       string               `json:"for,omitempty"`  // the session or queue
	Number    uint64               `json:"number,omitempty"`
	At        *time.Time           `json:"at,omitempty"`
	Topic     string               `json:"topic"`
	QoS       int                  `json:"qos"`
	Retain    bool                 `json:"retain,omitempty"`
	Received  bool                 `json:"received,omitempty"`
	Publisher string               `json:"publisher,omitempty"`
	Expires   *time.Time           `json:"expires,omitempty"`
	Type      string               `json:"content_type,omitempty"`
	Response  string               `json:"response_topic,omitempty"`
	Data      []byte               `json:"correlation_data,omitempty"`
	User      []storedUserProperty `json:"user_properties,omitempty"`
	Text      *string              `json:"payload,omitempty"`
	Binary    []byte               `json:"payload_base64,omitempty"`
}

type storedUserProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func someTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func newStoredMessage(m *mqtt.Message) storedMessage {
	out := storedMessage{Topic: m.Topic, QoS: int(m.QoS), Retain: m.Retain, Publisher: m.Publisher, Expires: someTime(m.Expires)}
	if utf8.Valid(m.Payload) {
		text := string(m.Payload)
		out.Text = &text
	} else {
		out.Binary = m.Payload
	}
	if p := m.Properties; p != nil {
		out.Type, out.Response, out.Data = p.ContentType, p.ResponseTopic, p.CorrelationData
		for _, u := range p.User {
			out.User = append(out.User, storedUserProperty(u))
		}
	}
	return out
}

// storeLines gives the sessions and queues in the order of their names.
func storeLines(state *broker.Stored, each func(name string, l *storeLine) error) error {
	for _, name := range slices.Sorted(maps.Keys(state.Lines)) {
		l := state.Lines[name]
		out := new(storeLine)
		out.Messages, out.Bytes = state.Amount(name)
		if queue, ok := strings.CutPrefix(name, "\x00"); ok {
			out.Queue = queue
		} else {
			user, _, _ := strings.Cut(l.Owner, "\x00") // the rest says who vouched for it
			out.Session, out.User, out.Left, out.Expiry = name, user, someTime(l.Left), l.Expiry.Seconds()
		}
		for _, filter := range slices.Sorted(maps.Keys(l.Subscriptions)) {
			out.Subscriptions = append(out.Subscriptions, storedSubscription{filter, int(l.Subscriptions[filter].QoS)})
		}
		if l.Will != nil {
			w := newStoredMessage(&l.Will.Message)
			out.Will = &w
		}
		out.Oldest = someTime(state.Oldest(name))
		if err := each(name, out); err != nil {
			return err
		}
	}
	return nil
}

// show lists what there is, without payloads.
func (j *storeJob) show(state *broker.Stored) error {
	err := storeLines(state, func(_ string, l *storeLine) error {
		if j.json {
			if l.Will != nil {
				l.Will.Text, l.Will.Binary = nil, nil
			}
			return j.lines.Encode(l)
		}
		return j.describe(l)
	})
	for _, topic := range slices.Sorted(maps.Keys(state.Retained)) {
		m := state.Retained[topic].Message
		if j.json {
			err = errors.Join(err, j.lines.Encode(struct {
				Retained string `json:"retained"`
				QoS      int    `json:"qos"`
				Bytes    int    `json:"bytes"`
			}{topic, int(m.QoS), len(m.Payload)}))
		} else {
			_, e := fmt.Fprintf(j.out, "retained %q, QoS %d, %s\n", topic, m.QoS, size(int64(len(m.Payload))))
			err = errors.Join(err, e)
		}
	}
	return err
}

// describe is a session or a queue in words. Names are quoted: what clients
// chose does not control a terminal.
func (j *storeJob) describe(l *storeLine) error {
	text := fmt.Sprintf("session %q", l.Session)
	if l.Queue != "" {
		text = fmt.Sprintf("queue %q", l.Queue)
	}
	if l.User != "" {
		text += fmt.Sprintf(" of %q", l.User)
	}
	text += fmt.Sprintf(", messages: %d (%s)", l.Messages, size(l.Bytes))
	if l.Oldest != nil {
		text += ", oldest of " + l.Oldest.Format(time.DateTime)
	}
	if l.Left != nil {
		text += ", left " + l.Left.Format(time.DateTime)
	}
	for _, sub := range l.Subscriptions {
		text += fmt.Sprintf("\n    subscribed to %q, QoS %d", sub.Filter, sub.QoS)
	}
	if l.Will != nil {
		text += fmt.Sprintf("\n    will on %q, QoS %d", l.Will.Topic, l.Will.QoS)
	}
	_, err := fmt.Fprintln(j.out, text)
	return err
}

// export writes everything, a message a line.
func (j *storeJob) export(state *broker.Stored) error {
	for _, topic := range slices.Sorted(maps.Keys(state.Retained)) {
		m := newStoredMessage(state.Retained[topic].Message)
		m.Kind = "retained"
		if err := j.lines.Encode(m); err != nil {
			return err
		}
	}
	return storeLines(state, func(name string, l *storeLine) error {
		if err := j.lines.Encode(l); err != nil {
			return err
		}
		return state.Entries(name, func(e *broker.StoredEntry) error {
			m := newStoredMessage(e.Message)
			m.Kind, m.For, m.Number, m.At = "queued", l.Session+l.Queue, e.Number, someTime(e.At)
			m.QoS, m.Retain, m.Received = int(e.QoS), e.Retain, e.Received
			return j.lines.Encode(m)
		})
	})
}
