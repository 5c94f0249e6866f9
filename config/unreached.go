package config

import (
	"strconv"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Unreached warns about entries of lists in which the first match decides, when one
// before them takes all that they match.
func (c *Config) Unreached() (found Errors) {
	look := func(list, key string, filters []string) {
		for i, narrow := range filters {
			for j, wide := range filters[:i] {
				if topic.Covers(wide, narrow) {
					e := c.Errorf(join(index(list, i), key), "put it first, or take it out", "%s has what %s is for: the first match decides",
						list+"["+strconv.Itoa(j)+"]", shorten(narrow))
					e.Warning = true
					found = append(found, e)
					break
				}
			}
		}
	}
	var classes []string
	for _, s := range c.Store.Classes {
		classes = append(classes, string(s.Filter))
	}
	look("store.classes", "filter", classes)
	for i := range c.Bridges {
		b := &c.Bridges[i]
		var out, in []string
		for _, r := range b.Out {
			out = append(out, string(r.From))
		}
		for _, r := range b.In {
			in = append(in, string(r.From))
		}
		path := join("bridges", b.Name)
		look(join(path, "out"), "from", out)
		look(join(path, "in"), "from", in)
	}
	return found.sorted()
}
