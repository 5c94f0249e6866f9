package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// reloadOnHangup reloads at each SIGHUP. It also keeps the gateway alive when
// the terminal that started it closes.
func reloadOnHangup(g *gateway, log *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangups {
			if _, err := g.Reload(false); err != nil {
				log.Error("nothing is changed by the reload", "err", err)
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-done
	}
}

// Reload reads the configuration again, checks it and applies what is
// different; dry only says what that is. With any mistake in it nothing
// changes, and the error is an *api.Problem that names all of them. Files that
// the configuration names (users, rights, TLS) are read again in any case.
func (g *gateway) Reload(dry bool) (*api.Reload, error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	next, err := g.readAgain()
	if err != nil {
		if !dry {
			g.note(false)
		}
		return nil, err
	}
	out := &api.Reload{Applied: !dry, Changes: g.plan(next)}
	if dry {
		return out, nil
	}
	for _, c := range out.Changes {
		if c.New == givenUp {
			g.deps.log.Warn("messages are given up by the reload", "reason", c.Path+": "+c.Old)
		}
	}
	err = g.apply(next)
	g.note(err == nil)
	if err != nil {
		return nil, err
	}
	g.deps.log.Info("configuration reloaded", "changes", len(out.Changes))
	return out, nil
}

// note keeps how a reload went.
func (g *gateway) note(ok bool) {
	r := &api.Reloaded{At: time.Now(), OK: ok}
	if last := g.reloaded.Load(); ok {
		r.Good = r.At
	} else if last != nil {
		r.Good = last.Good
	}
	g.reloaded.Store(r)
}

// readAgain loads and checks the configuration as run does.
func (g *gateway) readAgain() (*config.Config, error) {
	file := g.started.File
	if file == "" {
		return g.started, nil // the files that nobody named have not changed
	}
	r := checkFile(file, g.started.Set...)
	if len(r.errors) == 0 {
		return r.config, nil
	}
	return nil, invalid(file, r.errors)
}

// invalid words mistakes of the configuration.
func invalid(file string, errs config.Errors) error {
	var text bytes.Buffer
	if err := errs.Print(&text); err != nil {
		return err
	}
	return &api.Problem{Status: 422, Title: errs.Summary(file) + ", nothing is changed", Detail: text.String()}
}

// apply carries out a checked configuration.
func (g *gateway) apply(next *config.Config) error {
	now := g.config.Load()
	if next.Node != g.started.Node {
		return g.reload(now, g.deps.log)
	}
	changed := map[string]bool{} // "devices.NAME", "bridges.NAME", "mqtt.limits"
	changes := now.Changes(next)
	for _, c := range changes {
		block, rest, _ := strings.Cut(c.Path, ".")
		name, _, _ := strings.Cut(rest, ".")
		changed[block+"."+name] = true
	}
	doors, err := g.bindNext(next, changes)
	if err != nil {
		return notBound(next.File, err)
	}
	web, err := g.bindPage(next)
	if web != nil {
		doors.fresh = append(doors.fresh, web)
	}
	if err != nil {
		doors.close()
		return notBound(next.File, err)
	}
	if err := g.reload(next, g.deps.log); err != nil {
		doors.close()
		return err
	}
	if changed["mqtt.listeners"] || changed["mqtt.limits"] || changed["mqtt.features"] {
		if err := g.relisten(next, doors); err != nil {
			doors.close()
			return err
		}
	}
	g.movePage(next, web)
	if err := g.changeDevices(now, next, changed); err != nil {
		return err
	}
	err = g.changeBridges(now, next, changed)
	if g.deps.levels != nil {
		g.deps.levels.set(next.Log)
	}
	limitMemory(next.Memory, g.deps.log)
	g.inhabit(next)
	g.config.Store(next)
	return err
}

// reload reads the files of users, rights and TLS again. What has changed in
// rights is applied to every session, what has changed in TLS to new
// connections; those of clients that are revoked end.
func (g *gateway) reload(cfg *config.Config, log *slog.Logger) error {
	for _, l := range g.listeners {
		if l.transport.TLS == nil {
			continue
		}
		if err := l.transport.TLS.Reload(); err != nil {
			log.Error("the files of TLS stay as they were", "err", err)
		}
	}
	if err := g.auth.Reload(authOptions(cfg)); err != nil {
		log.Error("users and rights stay as they were", "err", err)
		return fmt.Errorf("users and rights stay as they were: %w", err)
	}
	g.broker.RightsChanged()
	log.Info("users and rights loaded again")
	return nil
}

// changeDevices stops and starts the devices that are different.
func (g *gateway) changeDevices(now, next *config.Config, changed map[string]bool) error {
	var stop []string
	for _, d := range now.Devices {
		if changed["devices."+d.Name] {
			stop = append(stop, d.Name)
		}
	}
	all, errs := makeDevices(next)
	if len(errs) > 0 {
		return errs // checked before
	}
	start := slices.DeleteFunc(all, func(d sensors.Device) bool { return !changed["devices."+d.Name] })
	if len(stop)+len(start) == 0 {
		return nil
	}
	return g.sensors.Change(stop, start)
}
