package main

import (
	"strconv"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
)

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
