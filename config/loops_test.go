package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

func TestLoopsWarns(t *testing.T) {
	for _, tc := range []struct{ src, place string }{
		{`bridges: {a: {servers: ["mqtt://x"], protocol: "3.1.1", out: [{from: "s/#"}], in: [{from: "s/#"}]}}`, "bridges.a.out[0].from"},
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: "s/#"}], in: [{from: "s/#"}]}}`, ""},
		{`bridges: {a: {servers: ["mqtt://x"], protocol: "3.1", out: [{from: "s/#", to: "up/#"}], in: [{from: "s/#"}]}}`, ""},
		{`bridges: {a: {servers: ["mqtt://x"], protocol: "3.1", out: [{from: "q"}, {from: "+/t", to: "up/+"}], in: [{from: "up/#", to: "s/#"}]}}`, "bridges.a.out[1].from"},
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: "s/#"}]}, b: {servers: ["mqtt://x"], client_id: b, protocol: "3.1.1", in: [{from: "$share/g/s/#"}]}}`, "bridges.a.out[0].from"},
		{`bridges: {a: {servers: ["mqtt://x"], out: [{from: "s/#"}]}, b: {servers: ["mqtt://y"], protocol: "3.1.1", in: [{from: "s/#"}]}}`, ""},
	} {
		got := ""
		for _, e := range load(t, tc.src).Loops() {
			if got = e.Path; !e.Warning || e.Hint == "" || e.Line != 1 {
				t.Errorf("%s: %+v", tc.src, e)
			}
		}
		if got != tc.place {
			t.Errorf("%s: got %q, want %q", tc.src, got, tc.place)
		}
	}
}

// overlap against all topics of up to three levels from two words.
func TestOverlapRacesAModel(t *testing.T) {
	words := []string{"a", "b"}
	level := append(slices.Clone(words), "+", "#")
	var names, filters []string
	var grow func(list *[]string, set []string, prefix string, depth int)
	grow = func(list *[]string, set []string, prefix string, depth int) {
		for _, w := range set {
			f := strings.TrimPrefix(prefix+"/"+w, "/")
			*list = append(*list, f)
			if depth > 1 && w != "#" {
				grow(list, set, f, depth-1)
			}
		}
	}
	grow(&names, words, "", 4)
	grow(&filters, level, "", 3)
	for _, f := range filters {
		for _, g := range filters {
			want := slices.ContainsFunc(names, func(n string) bool { return topic.Match(f, n) && topic.Match(g, n) })
			if got := overlap(f, g); got != want {
				t.Errorf("%s and %s: %v, want %v", f, g, got, want)
			}
		}
	}
}
