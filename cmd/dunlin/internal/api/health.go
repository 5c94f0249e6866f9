package api

import (
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// aliveIn is how long the broker may take to answer.
const aliveIn = 2 * time.Second

// pulse asks the broker whether it lives: one question at a time, so that a
// broker that hangs holds one goroutine, however often it is asked.
type pulse struct {
	sync.Mutex
	asked time.Time // zero: no question is open
}

// Alive reports whether the broker's locks and counters answer in time.
func (a *API) Alive() bool {
	answered := make(chan struct{})
	a.pulse.Lock()
	since := a.pulse.asked
	if since.IsZero() {
		a.pulse.asked = time.Now()
		go func() {
			a.Broker.Stats()
			a.pulse.Lock()
			a.pulse.asked = time.Time{}
			a.pulse.Unlock()
			close(answered)
		}()
	}
	a.pulse.Unlock()
	if !since.IsZero() {
		return time.Since(since) < aliveIn
	}
	select {
	case <-answered:
		return true
	case <-time.After(aliveIn):
		return false
	}
}

func livez(c *call) (any, error) { return c.health([]check{{"broker", c.a.Alive()}}) }

// readyz: listeners are bound before the API serves, and the store has
// recovered by then.
func readyz(c *call) (any, error) {
	more, err := c.included()
	if err != nil {
		return nil, err
	}
	return c.health(append([]check{{"broker", c.a.Alive()}, {"store", c.a.store().Mode != "degraded"}}, more...))
}

// included are the links and devices that the argument include names.
func (c *call) included() (all []check, err error) {
	known := map[string]bool{}
	for _, b := range c.a.Bridges() {
		known["bridge:"+b.Name()] = b.Stats().State == bridge.Up
	}
	for _, d := range c.a.Devices() {
		known["device:"+d.Name] = d.Health.State == sensors.Online
	}
	for _, name := range strings.FieldsFunc(c.args["include"], func(r rune) bool { return r == ',' }) {
		ok, found := known[name]
		if !found {
			return nil, problem(400, "there is no %.100q: include takes bridge:NAME and device:NAME, with commas between", name)
		}
		all = append(all, check{name, ok})
	}
	return all, nil
}

type check struct {
	name string
	ok   bool
}

func (c *call) health(checks []check) (any, error) {
	status, text := 200, ""
	for _, k := range checks {
		if k.ok {
			text += "[+]" + k.name + " ok\n"
		} else {
			status, text = 503, text+"[-]"+k.name+" failed\n"
		}
	}
	if _, verbose := c.args["verbose"]; !verbose && status == 200 {
		text = "ok\n"
	}
	c.done = true
	c.w.Set("Cache-Control", "no-store")
	c.w.Reply(status, "text/plain; charset=utf-8", []byte(text))
	return nil, nil
}
