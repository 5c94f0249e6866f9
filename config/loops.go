package config

import (
	"slices"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
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
			if _, from := in.Share(); !topic.Overlap(string(out.To), from) || !topic.Overlap(string(in.To), string(out.From)) {
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
