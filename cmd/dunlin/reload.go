package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
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
			g.reloaded.Store(&api.Reloaded{At: time.Now()})
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
	g.reloaded.Store(&api.Reloaded{At: time.Now(), OK: err == nil})
	if err != nil {
		return nil, err
	}
	g.deps.log.Info("configuration reloaded", "changes", len(out.Changes))
	return out, nil
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

// live are the beginnings of paths that a reload carries out; the rest waits
// for a restart.
var live = []string{"auth.", "bridges.", "devices.", "history.", "http.metrics", "http.tokens.", "include", "log.levels.", "log.level", "memory.limit", "mqtt.features.", "mqtt.limits.", "mqtt.listeners."}

func (g *gateway) isLive(path string, next *config.Config) bool {
	if path == "http.bind" {
		return g.movesPage(next)
	}
	if strings.HasPrefix(path, "mqtt.listeners.serial:") && (strings.HasSuffix(path, ".baud") || strings.HasSuffix(path, ".framing")) {
		return false // the line is not closed
	}
	return slices.ContainsFunc(live, func(p string) bool { return strings.HasPrefix(path, p) })
}

// plan says what is different: in what a reload carries out, from the
// configuration of now; in the rest, from that of the start. A new node is in
// too many values for any of them to be changed without a restart.
func (g *gateway) plan(next *config.Config) []api.Change {
	now := g.config.Load()
	if next.Node != g.started.Node {
		return differences(now, next, restart, func(string) bool { return true })
	}
	isLive := func(path string) bool { return g.isLive(path, next) }
	changes := append(differences(now, next, "live", isLive), g.spools(now, next)...)
	return append(changes, differences(g.started, next, restart, func(path string) bool { return !isLive(path) })...)
}

// countFor is how long a plan counts what waits; a spool may be larger than what a
// card reads in that time.
const countFor = 5 * time.Second

// What a plan says becomes of messages that wait.
const (
	givenUp    = "given up"
	outOfOrder = "may change places with what comes"
)

// spools says of each bridge whose routes change what that means for the messages
// that wait for it: how many none of the routes of next takes, which go with the
// reload, and how many wait in another lane than those of their topic will. A
// bridge that goes, or has no routes any more, leaves its spool as it is.
func (g *gateway) spools(now, next *config.Config) (changes []api.Change) {
	until := time.Now().Add(countFor)
	for _, b := range g.bridgeList() {
		named := func(c config.Bridge) bool { return c.Name == b.Name() }
		i, j := slices.IndexFunc(now.Bridges, named), slices.IndexFunc(next.Bridges, named)
		if i < 0 || j < 0 || len(next.Bridges[j].Out) == 0 {
			continue
		}
		out := next.Bridges[j].Out
		same := func(a, b config.OutRoute) bool { return a.From == b.From && a.Lane == b.Lane }
		if slices.EqualFunc(now.Bridges[i].Out, out, same) {
			continue
		}
		unwanted, moved, atLeast := 0, 0, ""
		b.Spool(0, func(l bridge.Letter) bool {
			r := slices.IndexFunc(out, func(r config.OutRoute) bool { return topic.Match(string(r.From), l.Message.Topic) })
			if r < 0 {
				unwanted++
			} else if out[r].Lane != l.Lane.String() {
				moved++
			}
			if time.Now().After(until) {
				atLeast = "at least "
			}
			return atLeast == ""
		})
		tell := func(n int, what, becomes string) {
			if n > 0 {
				changes = append(changes, api.Change{Path: "bridges." + b.Name() + ".spool", Effect: "live", Old: atLeast + messages(n) + what, New: becomes})
			}
		}
		tell(unwanted, " waiting that no route takes any more", givenUp)
		tell(moved, " waiting in another lane than their topic's", outOfOrder)
	}
	return changes
}

const restart = "needs restart"

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

// changeBridges stops and starts the bridges that are different; their spools
// stay.
func (g *gateway) changeBridges(now, next *config.Config, changed map[string]bool) error {
	paused := map[string]bool{}
	for _, b := range now.Bridges {
		if changed["bridges."+b.Name] {
			paused[b.Name] = g.removeBridge(b.Name)
			same := func(o config.Bridge) bool { return o.Name == b.Name && o.ClientID == b.ClientID }
			if slices.ContainsFunc(next.Bridges, same) {
				continue
			}
			if err := forgetBridgeSys(g.broker, b.Name, b.ClientID, next.Bridges); err != nil {
				return fmt.Errorf("bridges.%s: %w", b.Name, err)
			}
		}
	}
	for _, b := range next.Bridges {
		if !changed["bridges."+b.Name] {
			continue
		}
		if err := g.wireBridge(next, b, paused[b.Name], &g.deps); err != nil {
			return fmt.Errorf("bridges.%s: %w", b.Name, err)
		}
	}
	for _, q := range g.queues {
		if q.user == "" { // of a bridge or a lane that is gone: it takes nothing more, and keeps what it has
			if err := q.Refit(nil, nil); err != nil {
				return err
			}
		}
	}
	g.links.Lock()
	defer g.links.Unlock()
	sort.Slice(g.bridges, func(i, j int) bool { return g.bridges[i].Name() < g.bridges[j].Name() })
	return nil
}

// removeBridge ends a bridge, and reports whether it was paused; its queues take
// messages meanwhile.
func (g *gateway) removeBridge(name string) (paused bool) {
	g.links.remove("bridge " + name)
	g.links.Lock()
	g.bridges = slices.DeleteFunc(slices.Clone(g.bridges), func(b *bridge.Bridge) bool {
		paused = paused || b.Name() == name && b.Paused()
		return b.Name() == name
	})
	g.links.Unlock()
	for _, q := range g.queues {
		if q.user == name {
			q.user = ""
		}
	}
	return paused
}

// bridgeList returns the bridges of now.
func (g *gateway) bridgeList() []*bridge.Bridge {
	g.links.Lock()
	defer g.links.Unlock()
	return slices.Clone(g.bridges)
}

// addBridge makes a bridge one of the gateway's.
func (g *gateway) addBridge(b *bridge.Bridge, p part) {
	g.links.Lock()
	g.bridges = append(g.bridges, b)
	g.links.Unlock()
	g.links.add(p)
}

// spool is a queue with the name of the bridge that empties it, "" for none.
type spool struct {
	*broker.Queue
	user string
}

// attachQueue returns the queue of that name for a new bridge: the one that
// an earlier bridge left, with what is in it, or a new one.
func (g *gateway) attachQueue(user string, o broker.QueueOptions) (*broker.Queue, error) {
	if q := g.queues[o.Name]; q != nil {
		q.user = user
		q.Bound(o.MaxBytes, o.MaxAge, o.Overflow)
		return q.Queue, q.Refit(o.Filters, o.Intake)
	}
	q, err := g.broker.AttachQueue(o)
	if err == nil {
		g.queues[o.Name] = &spool{q, user}
	}
	return q, err
}
