package config

import (
	"slices"
	"strings"
)

// Loops warns about routes that carry messages round in a circle: up by one
// bridge and down again by one from the same server. Between bridges of MQTT 5
// No Local and User Properties end that; earlier versions have neither.
func (c *Config) Loops() (found Errors) {
	for i := range c.Bridges {
		for j := range c.Bridges {
			up, down := &c.Bridges[i], &c.Bridges[j]
			if up.Protocol == "5" && down.Protocol == "5" || !shareServer(up, down) {
				continue
			}
			found = append(found, c.loops(up, down)...)
		}
	}
	return found.sorted()
}

func (c *Config) loops(up, down *Bridge) (found Errors) {
	for i, out := range up.Out {
		for _, in := range down.In {
			if _, from := in.Share(); !overlap(string(out.To), from) || !overlap(string(in.To), string(out.From)) {
				continue
			}
			p := join(index(join(join("bridges", up.Name), "out"), i), "from")
			e := c.Errorf(p, "give them topics that do not overlap, or protocol: \"5\" on both sides",
				"what goes up as %s comes down by bridge %s as %s, and goes up again", shorten(string(out.To)), down.Name, shorten(string(in.To)))
			e.Warning = true
			found = append(found, e)
		}
	}
	return found
}

func shareServer(a, b *Bridge) bool {
	return slices.ContainsFunc(a.Servers, func(s string) bool { return slices.Contains(b.Servers, s) })
}

// overlap reports whether a topic matches both filters.
func overlap(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := 0; ; i++ {
		switch {
		case i < len(x) && x[i] == "#", i < len(y) && y[i] == "#":
			return true
		case i == len(x) || i == len(y):
			// "a/#" also matches its parent "a", section 4.7.1.2.
			return len(x) == len(y)
		case x[i] != y[i] && x[i] != "+" && y[i] != "+":
			return false
		}
	}
}
