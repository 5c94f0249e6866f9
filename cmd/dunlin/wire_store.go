package main

import (
	"cmp"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// besideTheStore are the names of files in the data directory that are not the
// store's; the new one of each has .new behind it.
var besideTheStore = [...]string{"devices", "sparkplug", "bridge-*.day", "bridge-*.in", "bridge-*.bdseq", "dunlin.sock"}

// setAside renames what has one of these names and is a pipe or a device: opened
// as a file, it would keep a start or a stop waiting for ever.
func setAside(dir string, log *slog.Logger) {
	entries, _ := os.ReadDir(dir) // none: there is nothing yet
	for _, e := range entries {
		ours := func(pattern string) bool {
			is, _ := filepath.Match(pattern, strings.TrimSuffix(e.Name(), ".new"))
			return is
		}
		if e.Type()&(fs.ModeNamedPipe|fs.ModeDevice) == 0 || !slices.ContainsFunc(besideTheStore[:], ours) {
			continue
		}
		name := filepath.Join(dir, e.Name())
		if err := os.Rename(name, name+".odd"); err != nil {
			log.Error("what is no file has the name of one, and cannot be renamed", "file", name, "err", err)
			continue
		}
		log.Warn("what is no file has the name of one: renamed to .odd", "file", name)
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
