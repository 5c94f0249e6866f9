package main

import (
	"cmp"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

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
		MinFree: int64(s.MinFree), MaxSize: int64(s.MaxSize), StopOnFailure: s.OnFailure == "stop",
		WriteBudget: int64(s.WriteBudget.PerSecond() * (24 * time.Hour).Seconds()),
	}
	for _, c := range s.Classes {
		o.Rules = append(o.Rules, broker.DurabilityRule{Filter: string(c.Filter), Class: durability(c.Durability)})
	}
	return o
}

// setAside renames what has a name in the data directory and is a pipe or a
// device: opened as a file, it would keep a start or a stop waiting for ever.
func setAside(dir string, log *slog.Logger) {
	entries, _ := os.ReadDir(dir) // none: there is nothing yet
	for _, e := range entries {
		if e.Type()&(fs.ModeNamedPipe|fs.ModeDevice) != 0 {
			name := filepath.Join(dir, e.Name())
			log.Warn("what is no file has the name of one: renamed to .odd", "file", name, "err", os.Rename(name, name+".odd"))
		}
	}
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

var overflows = map[string]broker.Overflow{
	"drop-newest": broker.DropNewest, "reject": broker.Reject, "last-value": broker.LastValue, "downsample": broker.Downsample,
}

// overflow is what gives way in a bridge's queue: as the bridge says, else the
// store.
func overflow(cfg *config.Config, bc *config.Bridge) broker.Overflow {
	return overflows[cmp.Or(bc.Spool.Overflow, cfg.Store.Overflow)]
}
