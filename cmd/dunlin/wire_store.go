package main

import (
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/config"
)

// data says where the broker keeps its state; nil for nowhere.
func data(cfg *config.Config, d *deps) *broker.Data {
	if d.volatile {
		return nil
	}
	s := &cfg.Store
	o := &broker.Data{
		Dir: string(cfg.DataDir), Durability: durability(s.Durability), Interval: s.Interval, RetainedFlush: s.RetainedFlush,
		MinFree: int64(s.MinFree),
	}
	for _, c := range s.Classes {
		o.Rules = append(o.Rules, broker.DurabilityRule{Filter: string(c.Filter), Class: durability(c.Durability)})
	}
	return o
}

func durability(word string) broker.Durability {
	switch word {
	case "always":
		return broker.Always
	case "never":
		return broker.Never
	}
	return broker.Interval
}
