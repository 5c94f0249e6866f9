package main

import (
	"testing"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/config"
)

// What a route says of RETAIN, and of sharing, reaches the bridge.
func TestRoutesOfBridges(t *testing.T) {
	keep, strip := config.Route{From: "a", Retain: "keep"}, config.Route{From: "a", Retain: "strip"}
	shared := strip
	shared.From = "$share/g/a"
	in := inRoutes([]config.Route{keep, shared})
	out := outRoutes([]config.OutRoute{{Route: keep, Lane: "live"}, {Route: strip, Lane: "live"}})
	for _, r := range [][]bridge.Route{in, out} {
		if r[0].Retain == bridge.StripRetain || r[1].Retain != bridge.StripRetain {
			t.Errorf("%+v", r)
		}
	}
	if in[0].Share != "" || in[1].Share != "g" || in[1].From != "a" {
		t.Errorf("%+v", in)
	}
}
