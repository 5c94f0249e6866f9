package api

import (
	"sync"
	"time"
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
	return c.health([]check{{"broker", c.a.Alive()}, {"store", c.a.store().Mode != "degraded"}})
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
