package api

import (
	"encoding/json"
	"testing"
)

// What is only older is left out, and a reader who lets it grow knows it.
func TestStatusSince(t *testing.T) {
	status := func(uptime, age, since float64, waiting int, attention ...string) *Status {
		return &Status{
			Uptime: uptime, Attention: attention,
			Devices: []Device{{Name: "room", Age: age, Values: []Value{{Entity: "temperature", Value: 21.5}}}, {Name: "new", Age: -1}},
			Bridges: []Bridge{{Name: "cloud", Since: since, Waiting: waiting, LastAck: -1, Drops: map[string]uint64{}}},
		}
	}
	before := func() *Status { return status(100, 7, 50, 3, "look") }
	for _, tc := range []struct {
		name             string
		now              *Status
		devices, bridges int
		attention        bool
	}{
		{"a second later", status(101, 8.02, 51, 3, "look"), 0, 0, false},
		{"a reading", status(101, 0.1, 51, 3, "look"), 1, 0, false},
		{"a message waits", status(101, 8, 51, 4, "look"), 0, 1, false},
		{"the link changed", status(101, 8, 0.5, 3, "look"), 0, 1, false},
		{"all is well", status(101, 8, 51, 3), 0, 0, true},
	} {
		got := tc.now.since(before())
		if got == nil || len(got.Devices) != tc.devices || len(got.Bridges) != tc.bridges || got.Attention != nil != tc.attention && len(tc.now.Attention) > 0 {
			b, _ := json.Marshal(got)
			t.Errorf("%s: %s", tc.name, b)
		}
	}
	for _, other := range []func(*Status){
		func(s *Status) { s.Devices = s.Devices[:1] },
		func(s *Status) { s.Devices[0].Name = "cellar" },
		func(s *Status) { s.Bridges = nil },
		func(s *Status) { s.Bridges[0].Name = "office" },
	} {
		now := before()
		if other(now); now.since(before()) != nil {
			t.Errorf("not whole again: %+v", now)
		}
	}

	// What a reader lets grow stays within a third of a second, however long.
	has, real := before(), 7.0
	for i := range 3600 {
		real += 1.01
		now := status(101+float64(i), real, 51+float64(i), 3, "look")
		now.since(has)
		if has = now; has.Devices[0].Age < real-0.31 || has.Devices[0].Age > real+0.31 {
			t.Fatalf("after %d s an age is %v, a reader has %v", i+1, real, has.Devices[0].Age)
		}
	}
}
