package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
)

// bindNext binds what the listeners of next need and do not have. Nothing is
// changed by it.
func (g *gateway) bindNext(next *config.Config, changes []config.Change) (*listeners, error) {
	all := next.MQTT.Listeners
	return bindOthers(next, &g.deps, new(broker.Inherited), g.listeners, func(i int) bool {
		name := all[i].Bind
		if slices.ContainsFunc(all[:i], func(l config.Listener) bool { return l.Bind == name }) {
			name = strconv.Itoa(i) // as Changes calls it
		}
		return slices.ContainsFunc(changes, func(c config.Change) bool {
			key, ours := strings.CutPrefix(c.Path, "mqtt.listeners."+name+".")
			return ours && renews(key, &c)
		})
	})
}

// renews reports whether the clients of a listener have to come again when
// this is different: limits and features are those of new connections anyway,
// and users and rights are applied to everybody.
func renews(key string, c *config.Change) bool {
	key, _, _ = strings.Cut(key, ".")
	switch key {
	case "limits", "features", "acl", "baud", "framing":
		return false
	case "users_file":
		return c.Old == "" || c.New == "" // a user here is another than elsewhere
	}
	return true
}

// relisten serves the listeners of next.
func (g *gateway) relisten(next *config.Config, bound *listeners) error {
	warnClearText(next, g.deps.logger("broker"))
	err := g.broker.Relisten(broker.Options{Listeners: bound.options, Limits: *limits(next, &next.MQTT.Limits, "mqtt.limits"), Features: features(&next.MQTT.Features)})
	if err == nil {
		g.listeners, g.addresses = bound.all, bound.addresses()
	}
	return err
}

// notBound words why a reload could not bind a listener.
func notBound(file string, err error) error {
	var errs config.Errors
	if errors.As(err, &errs) {
		return invalid(file, errs)
	}
	return &api.Problem{Status: 409, Title: err.Error() + "; nothing is changed"}
}
