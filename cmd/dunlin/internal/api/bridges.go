package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/bridge"
)

// Letters are messages that wait in a spool, or were given up; Cursor, when
// set, asks for the next page.
type Letters struct {
	Letters []Letter `json:"letters"`
	Total   int      `json:"total"`
	Cursor  string   `json:"cursor,omitempty"`
}

// Letter is one of them. Times are RFC 3339.
type Letter struct {
	Seq        uint64      `json:"seq"`
	Lane       string      `json:"lane,omitempty"` // of a spool
	Time       time.Time   `json:"time"`           // when it was queued, or given up
	Sent       int         `json:"sent"`           // how often it was handed to a connection
	Topic      string      `json:"topic"`
	QoS        int         `json:"qos"`
	Retain     bool        `json:"retain"`
	Size       int         `json:"size"`
	Payload    string      `json:"payload,omitempty"`     // if it is text; in a list its beginning
	PayloadB64 []byte      `json:"payload_b64,omitempty"` // of an export, and of what is no text
	Properties [][2]string `json:"properties,omitempty"`  // user properties
	Reason     string      `json:"reason,omitempty"`      // of a dead letter
}

// Counted says how many messages were changed, or would be.
type Counted struct {
	Count int `json:"count"`
}

// Drained is the answer to a drain: so many messages wait, and another one at this
// speed is over.
type Drained struct {
	Count     int     `json:"count"`
	InPlaceOf float64 `json:"in_place_of,omitempty"`
}

// Probe is a bridge's way to its server, step by step.
type Probe struct {
	OK    bool        `json:"ok"`
	Steps []ProbeStep `json:"steps"`
}

// ProbeStep is one thing that was tried; one that failed has the class of the
// failure for its name.
type ProbeStep struct {
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"` // empty: it works
}

// bridge finds the bridge that the path names.
func (c *call) bridge() (*bridge.Bridge, error) {
	all := c.a.Bridges()
	names := make([]string, len(all))
	for i, b := range all {
		if names[i] = b.Name(); names[i] == c.name {
			return b, nil
		}
	}
	p := problem(404, "there is no bridge %.100q", c.name)
	p.Detail = "there is " + cmp.Or(strings.Join(names, ", "), "none")
	return nil, p
}

// onBridge is a route's do for a bridge that is there.
func onBridge(do func(*call, *bridge.Bridge) (any, error)) func(*call) (any, error) {
	return func(c *call) (any, error) {
		b, err := c.bridge()
		if err != nil {
			return nil, err
		}
		return do(c, b)
	}
}

func oneBridge(_ *call, b *bridge.Bridge) (any, error) { return describeBridge(b), nil }

func pauseBridge(_ *call, b *bridge.Bridge) (any, error) {
	b.Pause()
	return nil, nil
}

func resumeBridge(_ *call, b *bridge.Bridge) (any, error) {
	b.Resume()
	return nil, nil
}

func reconnectBridge(_ *call, b *bridge.Bridge) (any, error) {
	b.Reconnect()
	return nil, nil
}

func testBridge(c *call, b *bridge.Bridge) (any, error) { return TestBridge(c.ctx, b), nil }

// TestBridge goes the way to the bridge's server.
func TestBridge(ctx context.Context, b *bridge.Bridge) Probe {
	out := Probe{Steps: []ProbeStep{}}
	err := b.Test(ctx, func(s bridge.Step) {
		step := ProbeStep{Name: s.Name, Detail: s.Detail}
		if s.Err != nil {
			step.Error = s.Err.Error()
		}
		out.Steps = append(out.Steps, step)
	})
	out.OK = err == nil
	return out
}

// letters calls f for what waits or, of a dead route, was given up, behind a
// number.
func (c *call) letters(b *bridge.Bridge, dead bool, after uint64, f func(bridge.Letter) bool) error {
	if dead {
		return b.DeadLetters(after, f)
	}
	b.Spool(after, f)
	return nil
}

// listLetters is a page of a spool or of the dead letters.
func listLetters(dead bool) func(*call) (any, error) {
	return onBridge(func(c *call, b *bridge.Bridge) (any, error) {
		limit, err := c.args.page()
		if err != nil {
			return nil, err
		}
		after, err := c.args.natural("cursor")
		if err != nil {
			return nil, err
		}
		s := b.Stats()
		out := Letters{Letters: []Letter{}, Total: s.Queue.Messages}
		if dead {
			out.Total = s.DeadKept
		}
		err = c.letters(b, dead, after, func(l bridge.Letter) bool {
			if len(out.Letters) == limit {
				out.Cursor = strconv.FormatUint(out.Letters[limit-1].Seq, 10)
				return false
			}
			out.Letters = append(out.Letters, describeLetter(&l, dead, inList))
			return true
		})
		return out, err
	})
}

// describeLetter shows some bytes of a payload that is text; most < 0 gives
// all of any, for machines.
func describeLetter(l *bridge.Letter, dead bool, most int) Letter {
	m := &l.Message
	out := Letter{
		Seq: l.Seq, Time: l.At.UTC(), Sent: l.Sent, Topic: m.Topic, QoS: int(m.QoS), Retain: m.Retain, Size: len(m.Payload), Reason: l.Reason,
	}
	if !dead {
		out.Lane = l.Lane.String()
	}
	if text := m.Payload[:min(uint(most), uint(len(m.Payload)))]; most < 0 || !utf8.Valid(text) {
		out.PayloadB64 = text
	} else {
		out.Payload = string(text)
	}
	if m.Properties != nil {
		for _, p := range m.Properties.User {
			out.Properties = append(out.Properties, [2]string{p.Name, p.Value})
		}
	}
	return out
}

// exportLetters streams them whole, one JSON object a line.
func exportLetters(dead bool) func(*call) (any, error) {
	return onBridge(func(c *call, b *bridge.Bridge) (any, error) {
		since, err := c.args.ago("since")
		if err != nil {
			return nil, err
		}
		c.done = true
		out := c.w.Stream("application/x-ndjson")
		var lines []byte
		var broken error // the reader has gone
		send := func() {
			if broken == nil {
				_, broken = out.Write(lines)
			}
			lines = lines[:0]
		}
		err = c.letters(b, dead, 0, func(l bridge.Letter) bool {
			if !l.At.Before(since) {
				line, _ := json.Marshal(describeLetter(&l, dead, -1)) // plain values always marshal
				if lines = append(append(lines, line...), '\n'); len(lines) >= exportBytes {
					send()
				}
			}
			return broken == nil && c.ctx.Err() == nil
		})
		if send(); err != nil || c.ctx.Err() != nil {
			c.w.Abort()
		}
		return nil, nil
	})
}

// exportBytes is about how much of an export is written at once.
const exportBytes = 32 << 10

// purgeLetters deletes those that are older than so many seconds.
func purgeLetters(dead bool) func(*call) (any, error) {
	return onBridge(func(c *call, b *bridge.Bridge) (any, error) {
		before, err := c.args.ago("older")
		if err != nil {
			return nil, err
		}
		if before.IsZero() {
			before = time.Now()
		}
		purge, dry := b.SpoolPurge, c.args["dry_run"] == "true"
		if dead {
			purge = b.DeadPurge
		}
		n, err := purge(c.ctx, before, dry)
		return Counted{n}, err
	})
}

// drainSpool sets the speed of what waited until nothing waits.
func drainSpool(c *call, b *bridge.Bridge) (any, error) {
	rate, err := strconv.ParseFloat(c.args["rate"], 64)
	if c.args["rate"] != "" && (err != nil || !(rate >= 0 && rate <= 1e6)) {
		return nil, problem(400, "rate is messages a second")
	}
	if b.Paused() {
		return nil, &Problem{409, "bridge " + b.Name() + " is paused", "resume it first"}
	}
	before := b.SpoolDrain(rate)
	return Drained{b.Stats().Queue.Messages, before}, nil
}

// oneDead is a dead letter, whole.
func oneDead(c *call, b *bridge.Bridge) (any, error) {
	seq, err := c.args.natural("seq")
	if err != nil {
		return nil, err
	}
	l, err := b.DeadLetter(seq)
	if err != nil {
		return nil, problem(404, "%v", err)
	}
	return describeLetter(&l, true, shownBytes), nil
}

// requeueDead queues one dead letter again, or all that there are now.
func requeueDead(c *call, b *bridge.Bridge) (any, error) {
	one, err := uint64(0), error(nil)
	if c.args["seq"] != "all" {
		if one, err = c.args.natural("seq"); one == 0 {
			return nil, problem(400, "seq is the number of a letter, or all")
		}
	}
	out, left := Counted{}, b.Stats().DeadKept // those that are refused again come behind them
	stay, why := 0, error(nil)                 // those that no route wants: the rest goes without
	missing := b.DeadLetters(max(one, 1)-1, func(l bridge.Letter) bool {
		if left--; left < 0 || one != 0 && one != l.Seq {
			return false
		}
		switch e := b.DeadRequeue(c.ctx, l.Seq); {
		case e == nil:
			out.Count++
		case one == 0 && errors.Is(e, bridge.ErrNoRoute):
			stay, why = stay+1, e
		default:
			err = e
		}
		return err == nil && one == 0
	})
	if err == nil && stay > 0 {
		err = fmt.Errorf("%d queued again, %d stay: %w", out.Count, stay, why)
	}
	switch {
	case missing != nil:
		err = missing
	case err == nil && one != 0 && out.Count == 0:
		err = problem(404, "no dead letter %d", one)
	case err != nil:
		err = problem(409, "%v", err)
	}
	return out, err
}

// natural is an argument that is a whole number, 0 without it.
func (v values) natural(name string) (uint64, error) {
	if v[name] == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(v[name], 10, 64)
	if err != nil {
		return 0, problem(400, "%s is a number", name)
	}
	return n, nil
}

// ago is the time that an argument in seconds is back; zero without it.
func (v values) ago(name string) (t time.Time, err error) {
	if v[name] == "" {
		return t, nil
	}
	s, err := strconv.ParseFloat(v[name], 64)
	if err != nil || !(s >= 0 && s < 1e9) {
		return t, problem(400, "%s is in seconds", name)
	}
	return time.Now().Add(-time.Duration(s * float64(time.Second))), nil
}
