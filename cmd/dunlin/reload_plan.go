package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
)

// The effects of a change.
const (
	live    = "live"
	restart = "needs restart"
)

// livePaths are the beginnings of those that a reload carries out; the rest
// waits for a restart.
var livePaths = []string{"auth.", "bridges.", "devices.", "history.", "http.metrics", "http.tokens.", "include", "log.levels.", "log.level", "memory.limit", "mqtt.features.", "mqtt.limits.", "mqtt.listeners."}

// plan says what is different: in what a reload carries out, from the
// configuration of now; in the rest, from that of the start. A new node is in
// too many values for any of them to be changed without a restart.
func (g *gateway) plan(next *config.Config) []api.Change {
	now := g.config.Load()
	if next.Node != g.started.Node {
		return differences(now, next, restart, func(string) bool { return true })
	}
	isLive := func(path string) bool { return g.isLive(path, next) }
	changes := append(differences(now, next, live, isLive), g.spools(now, next)...)
	return append(changes, differences(g.started, next, restart, func(path string) bool { return !isLive(path) })...)
}

func (g *gateway) isLive(path string, next *config.Config) bool {
	if path == "http.bind" {
		return g.movesPage(next)
	}
	if strings.HasPrefix(path, "mqtt.listeners.serial:") && (strings.HasSuffix(path, ".baud") || strings.HasSuffix(path, ".framing")) {
		return false // the line is not closed
	}
	return slices.ContainsFunc(livePaths, func(p string) bool { return strings.HasPrefix(path, p) })
}

// listed are the members of the configuration's lists that come and go.
func listed(cfg *config.Config) map[string]bool {
	all := map[string]bool{}
	for _, d := range cfg.Devices {
		all["devices."+d.Name] = true
	}
	for _, b := range cfg.Bridges {
		all["bridges."+b.Name] = true
	}
	for _, b := range cfg.Buses {
		all["buses."+b.ID] = true
	}
	for _, l := range cfg.MQTT.Listeners {
		all["mqtt.listeners."+l.Bind] = true
	}
	for i := range cfg.Auth.Rules {
		all["auth.rules."+strconv.Itoa(i)] = true
	}
	for _, t := range cfg.HTTP.Tokens {
		all["http.tokens."+t.Name] = true
	}
	return all
}

// differences are what of next is different and has this effect; of a member
// that comes or goes they are one.
func differences(now, next *config.Config, effect string, has func(path string) bool) []api.Change {
	before, after := listed(now), listed(next)
	said := map[string]bool{}
	out := []api.Change{}
	for _, c := range now.Changes(next) {
		if !has(c.Path) {
			continue
		}
		name, old, fresh := "", "", ""
		for i := 0; i < len(c.Path) && name == ""; i++ {
			if c.Path[i] != '.' {
				continue
			}
			switch p := c.Path[:i]; {
			case after[p] && !before[p]:
				name, fresh = p, "new"
			case before[p] && !after[p]:
				name, old = p, "gone"
			}
		}
		if name == "" {
			out = append(out, api.Change{Path: c.Path, Old: c.Old, New: c.New, Effect: effect})
		} else if !said[name] {
			said[name] = true
			out = append(out, api.Change{Path: name, Old: old, New: fresh, Effect: effect})
		}
	}
	return out
}
