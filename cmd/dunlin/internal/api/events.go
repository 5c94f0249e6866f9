package api

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"slices"
	"time"
)

// events streams the status, once a second, while somebody reads it; with
// changes whole at first, then what is different. Who reads slowly gets fewer
// of them, each the newest.
func events(c *call) (any, error) {
	c.done = true
	out := c.w.Stream("text/event-stream")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before *Status
	for c.stays() {
		name, now := "status", c.a.Status()
		doc := now
		if before != nil {
			if changed := now.since(before); changed != nil {
				name, doc = "changes", changed
			}
		}
		if c.args["changes"] == "true" {
			before = now
		}
		b, err := json.Marshal(doc)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(out, "event: "+name+"\ndata: "+string(b)+"\n\n"); err != nil {
			return nil, nil // the reader has gone
		}
		select {
		case <-c.ctx.Done():
			return nil, nil
		case <-tick.C:
		}
	}
	return nil, nil
}

// since leaves out of a status the devices and bridges that are as before, but
// older, and the attention that is the same (null); nil: others are there. What
// the reader will believe becomes s.
func (s *Status) since(before *Status) *Status {
	if len(s.Devices) != len(before.Devices) || len(s.Bridges) != len(before.Bridges) {
		return nil
	}
	out := *s
	out.Devices, out.Bridges = []Device{}, []Bridge{}
	passed := s.Uptime - before.Uptime
	for i := range s.Devices {
		now, old := &s.Devices[i], before.Devices[i]
		if now.Name != old.Name {
			return nil
		}
		grow(passed, &old.Age, &now.Age)
		if !same(now, &old) {
			out.Devices = append(out.Devices, *now)
		}
	}
	for i := range s.Bridges {
		now, old := &s.Bridges[i], before.Bridges[i]
		if now.Name != old.Name {
			return nil
		}
		grow(passed, &old.Since, &now.Since)
		grow(passed, &old.LastAck, &now.LastAck)
		grow(passed, &old.Oldest, &now.Oldest)
		grow(passed, &old.AckAge, &now.AckAge)
		if !same(now, &old) {
			out.Bridges = append(out.Bridges, *now)
		}
	}
	if slices.Equal(s.Attention, before.Attention) {
		out.Attention = nil
	}
	return &out
}

// grow lets an age grow by the seconds that have passed, and takes what is
// within a third of a second of that for the same.
func grow(passed float64, old, now *float64) {
	if *old > 0 {
		*old += passed
	}
	if math.Abs(*now-*old) < 0.3 {
		*now = *old
	}
}

// same compares what a reader is sent: reflect.DeepEqual is 5 kB of program.
func same(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}
