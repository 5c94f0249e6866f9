package store

import (
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Class is a durability class: what an acknowledgement promises.
type Class uint8

// The classes.
const (
	// Interval survives the end of the process; a power cut may take what came
	// since the last sync, at most the interval and the time of one sync.
	Interval Class = iota
	// Always survives a power cut.
	Always
	// Never is in memory only, and in a checkpoint if one happens to be written.
	Never
)

// ClassRule gives the messages of a Topic Filter a class.
type ClassRule struct {
	Filter string
	Class  Class
}

// classes finds the class of a topic: that of the first rule that matches,
// or the default.
type classes struct {
	rules     []ClassRule
	otherwise Class
	strictest Class // of all
}

func newClasses(otherwise Class, rules []ClassRule) classes {
	c := classes{rules: rules, otherwise: otherwise, strictest: otherwise}
	for _, r := range rules {
		if r.Class == Always || c.strictest == Never {
			c.strictest = r.Class
		}
	}
	return c
}

func (c *classes) of(name string) Class {
	for i := range c.rules {
		if topic.Match(c.rules[i].Filter, name) {
			return c.rules[i].Class
		}
	}
	return c.otherwise
}
