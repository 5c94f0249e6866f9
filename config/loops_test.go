package config

import (
	"testing"
)

// wantWarning checks that all are warnings at a line, with a hint, and the last of
// them is about place; "" is none.
func wantWarning(t *testing.T, src string, line int, place string, all Errors) {
	t.Helper()
	got := ""
	for _, e := range all {
		if got = e.Path; !e.Warning || e.Hint == "" || e.Line != line {
			t.Errorf("%s: %+v", src, e)
		}
	}
	if got != place {
		t.Errorf("%s: got %q, want %q", src, got, place)
	}
}

func TestLoopsWarns(t *testing.T) {
	for _, tc := range []struct{ src, place string }{
		{`bridges: {a: {servers: ["mqtt://x"], protocol: "3.1.1", out: [{from: "s/#"}], in: [{from: "s/#"}]}}`, "bridges.a.out[0].from"},
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: "s/#"}], in: [{from: "s/#"}]}}`, ""},
		{`bridges: {a: {servers: ["mqtt://x"], protocol: "3.1", out: [{from: "s/#", to: "up/#"}], in: [{from: "s/#"}]}}`, ""},
		{`bridges: {a: {servers: ["mqtt://x"], protocol: "3.1", out: [{from: "q"}, {from: "+/t", to: "up/+"}], in: [{from: "up/#", to: "s/#"}]}}`, "bridges.a.out[1].from"},
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: "s/#"}]}, b: {servers: ["mqtt://x"], client_id: b, protocol: "3.1.1", in: [{from: "$share/g/s/#"}]}}`, "bridges.a.out[0].from"},
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: "s/#"}]}, b: {servers: ["mqtt://y"], protocol: "3.1.1", in: [{from: "s/#"}]}}`, ""},
	} {
		wantWarning(t, tc.src, 1, tc.place, load(t, tc.src).Loops())
	}
}

func TestUnreachedWarns(t *testing.T) {
	for _, tc := range []struct{ src, place string }{
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: "s/#"}, {from: "s/alarm", lane: alarm}]}}`, "bridges.a.out[1].from"},
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: "s/alarm", lane: alarm}, {from: "s/#"}, {from: "+/alarm"}]}}`, ""},
		{`bridges: {a: {servers: ["mqtt://x"], in: [{from: "#"}, {from: "$share/g/s"}, {from: "s/+", to: "t/+"}]}}`, "bridges.a.in[2].from"},
		{`store: {classes: [{filter: "s/+", durability: never}, {filter: "s/a", durability: always}]}`, "store.classes[1].filter"},
	} {
		wantWarning(t, tc.src, 1, tc.place, load(t, tc.src).Unreached())
	}
}

func TestOutdoneWarns(t *testing.T) {
	for _, tc := range []struct{ src, place string }{
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: a}], spool: {max_size: 2GiB}}}`, "bridges.a.spool.max_size"},
		{`{store: {max_size: 128MiB}, bridges: {a: {servers: ["mqtt://x"], out: [{from: a}]}}}`, ""}, // it is a default that gives way
		{`{store: {max_size: 3GiB}, bridges: {a: {servers: ["mqtt://x"], out: [{from: a}], spool: {max_size: 2GiB}}}}`, ""},
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: a, ttl: 14d}, {from: b, ttl: 30d}]}}`, "bridges.a.out[1].ttl"},
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: b, ttl: 30d}], spool: {max_age: never}}}`, ""},
	} {
		wantWarning(t, tc.src, 1, tc.place, load(t, tc.src).Outdone())
	}
}

func TestWillsWarns(t *testing.T) {
	const discovery = `gateway: {base: "plant/{node}", homeassistant: {discovery: true}}` + "\nnode: n\n"
	for _, tc := range []struct{ src, place string }{
		{discovery + `bridges: {a: {servers: ["mqtt://x"], out: [{from: "plant/#"}, {from: "homeassistant/#"}]}}`, "bridges.a.status_topic"},
		{discovery + `bridges: {a: {servers: ["mqtt://x"], status_topic: "plant/{node}/status", out: [{from: "#"}]}}`, ""},
		{discovery + `bridges: {a: {servers: ["mqtt://x"], out: [{from: "plant/#"}]}}`, ""},
		{discovery + `bridges: {a: {servers: ["mqtt://x"], out: [{from: "#", to: "site/#"}]}}`, ""},
		{`gateway: {homeassistant: {discovery: true}}` + "\nnode: n\n" + `bridges: {a: {servers: ["mqtt://x"], out: [{from: "#"}]}}`, ""},
		{`gateway: {base: "plant"}` + "\nnode: n\n" + `bridges: {a: {servers: ["mqtt://x"], out: [{from: "#"}]}}`, ""},
	} {
		all := load(t, tc.src).Wills()
		wantWarning(t, tc.src, 3, tc.place, all)
		for _, e := range all {
			if e.Hint != `status_topic: "plant/n/status"` {
				t.Errorf("%s: %+v", tc.src, e)
			}
		}
	}
}
