package sensors_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// fakeRelay is a guarded output "relay" that records what reaches the wire.
type fakeRelay struct {
	*fakeDriver
	safety sensors.Safety
	// gone is what Read fails with.
	gone error
	// quiet confirms nothing, as a line device without expect.
	quiet bool
	// fail is what Do answers after it has written.
	fail error

	wire struct {
		sync.Mutex
		on     bool
		writes []string
		at     time.Time
	}
}

func newFakeRelay(s sensors.Safety) *fakeRelay {
	s.Entity, s.Off = "relay", "OFF"
	r := &fakeRelay{safety: s}
	r.fakeDriver = &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return r.state() }}
	return r
}

func (r *fakeRelay) state() ([]sensors.Reading, error) {
	r.wire.Lock()
	defer r.wire.Unlock()
	switch {
	case r.gone != nil:
		return nil, r.gone
	case r.quiet:
		return one(1.0)
	}
	return []sensors.Reading{{Entity: "relay", Value: r.wire.on}}, nil
}

// become changes what the relay is like.
func (r *fakeRelay) become(f func()) {
	r.wire.Lock()
	defer r.wire.Unlock()
	f()
}

func (r *fakeRelay) Outputs() []sensors.Safety {
	return []sensors.Safety{r.safety}
}

func (r *fakeRelay) Do(_ context.Context, _ string, payload []byte) ([]sensors.Reading, error) {
	c, err := sensors.ParseSwitch(payload)
	if err != nil {
		return nil, err
	}
	r.wire.Lock()
	if on := c.On || c.Toggle && !r.wire.on; on != r.wire.on {
		r.wire.on, r.wire.at = on, time.Now()
	}
	r.wire.writes = append(r.wire.writes, string(payload))
	fail, quiet := r.fail, r.quiet
	r.wire.Unlock()
	if fail != nil || quiet {
		return nil, fail
	}
	return r.state()
}

func (r *fakeRelay) Stop(context.Context) error { return nil }

// saw returns what has reached the wire since the last call.
func (r *fakeRelay) saw() string {
	synctest.Wait()
	r.wire.Lock()
	defer r.wire.Unlock()
	s := strings.Join(r.wire.writes, " ")
	r.wire.writes = nil
	return s
}

// immediateRelay is a fakeRelay whose outputs are driven at once.
type immediateRelay struct{ *fakeRelay }

func (immediateRelay) Immediate() {}

// heirRelay is a fakeRelay that goes on with the outputs of another one on the
// same wire, and is off when it is stopped.
type heirRelay struct {
	*fakeRelay
	refuses bool
}

func (h heirRelay) Stop(ctx context.Context) error {
	_, err := h.Do(ctx, "relay", []byte("OFF"))
	return err
}

func (h heirRelay) Inherit(old sensors.Driver) bool {
	was, ok := old.(heirRelay)
	return ok && was.fakeRelay == h.fakeRelay && !h.refuses
}

// crowd is who is connected.
type crowd struct {
	f     func(bool)
	there bool
}

func (c *crowd) watch(client string, f func(bool)) func() {
	if client != "boss" {
		panic("watched " + client)
	}
	c.f = f
	f(c.there)
	return func() { c.f = nil }
}

// rig is a relay, a tank whose level it may depend on, and a client.
type rig struct {
	*fakeBroker
	t     *testing.T
	relay *fakeRelay
	boss  crowd
	level any // what the tank reads: a value, or an error
	m     *sensors.Manager
	stop  func()
}

func onRig(t *testing.T, s sensors.Safety, immediate bool, f func(r *rig)) {
	t.Helper()
	onRigOf(t, s, immediate, func(*rig) {}, f)
}

// onRigOf is onRig with something changed before the start.
func onRigOf(t *testing.T, s sensors.Safety, immediate bool, before, f func(r *rig)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		r := &rig{fakeBroker: newFakeBroker(), t: t, relay: newFakeRelay(s), level: 50.0}
		tank := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) {
			r.relay.wire.Lock()
			defer r.relay.wire.Unlock()
			if err, ok := r.level.(error); ok {
				return nil, err
			}
			return []sensors.Reading{{Entity: "level", Value: r.level}}, nil
		}}
		before(r)
		var driver sensors.Driver = heirRelay{fakeRelay: r.relay}
		if immediate {
			driver = immediateRelay{r.relay}
		}
		m, err := sensors.New(sensors.Options{
			Attach: r.attach, Watch: r.boss.watch, Base: base, ClockSynced: func() bool { return true },
			Devices: []sensors.Device{
				{Name: "heater", Driver: driver, Interval: 10 * time.Second},
				{Name: "tank", Driver: tank, Interval: time.Second, StaleAfter: 4 * time.Second},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.m = m
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		r.stop = sync.OnceFunc(func() { cancel(); <-done })
		defer r.stop()
		after(100 * time.Millisecond)
		f(r)
	})
}

// reads is what the tank reads from now on.
func (r *rig) reads(level any) { r.relay.become(func() { r.level = level }) }

// command sends a command and returns the result.
func (r *rig) command(payload string) string {
	r.send("dev:heater", set("relay", payload))
	synctest.Wait()
	return r.last("heater/relay/result")
}

func (r *rig) want(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

const done = `{"ok":true}`

func TestInterlock(t *testing.T) {
	safety := sensors.Safety{Require: "tank.level > 10"}
	t.Run("a command that violates it never reaches the output", func(t *testing.T) {
		onRig(t, safety, false, func(r *rig) {
			r.want("allowed", r.command("ON"), done)
			r.want("wire", r.relay.saw(), "ON")
			r.want("off", r.command("OFF"), done)
			r.reads(10.0)
			after(time.Second)
			for _, on := range []string{"ON", "TOGGLE", `{"state":"ON","on_for":"1s"}`, "1", "nonsense"} {
				if got := r.command(on); !strings.Contains(got, `"ok":false,"reason":"interlock tank.level > 10: tank.level is 10"`) {
					t.Errorf("%s: %s", on, got)
				}
			}
			r.want("off is always allowed", r.command(" off "), done)
			r.want("wire", r.relay.saw(), "OFF  off ")
			if h := r.last("heater/health"); h == "" {
				t.Error("no health")
			}
		})
	})
	t.Run("a value that is stale, bad or missing does not hold", func(t *testing.T) {
		for name, level := range map[string]any{"read error": fault(sensors.Nack), "no number": "full", "boolean": true} {
			onRig(t, safety, false, func(r *rig) {
				r.reads(level)
				after(8 * time.Second)
				if got := r.command("ON"); !strings.Contains(got, `"ok":false`) {
					t.Errorf("%s: %s", name, got)
				}
				r.want(name, r.relay.saw(), "")
			})
		}
		onRig(t, sensors.Safety{Require: "tank.lid == OFF"}, false, func(r *rig) {
			if got := r.command("ON"); !strings.Contains(got, "tank.lid has no value") {
				t.Errorf("missing: %s", got)
			}
		})
	})
	t.Run("the output goes off when it holds no longer, and stays off", func(t *testing.T) {
		onRig(t, safety, false, func(r *rig) {
			r.command("ON")
			r.relay.saw()
			r.reads(3.0)
			after(time.Second)
			r.want("wire", r.relay.saw(), "OFF")
			if got := r.last("heater/relay/result"); got != `{"ok":true,"reason":"interlock tank.level > 10: tank.level is 3"}` {
				t.Errorf("result is %s", got)
			}
			r.want("value", r.last("heater/relay"), "OFF")
			r.reads(90.0)
			after(time.Minute)
			r.want("wire", r.relay.saw(), "")
		})
	})
	t.Run("the output goes off when the value is stale", func(t *testing.T) {
		onRig(t, safety, false, func(r *rig) {
			r.command("ON")
			r.relay.saw()
			r.reads(fault(sensors.CRC))
			after(2 * time.Second)
			r.want("one bad reading", r.relay.saw(), "")
			after(3 * time.Second)
			r.want("no good reading", r.relay.saw(), "OFF")
		})
	})
}

func TestMaxOnAndPulses(t *testing.T) {
	t.Run("max_on is not extended by another ON", func(t *testing.T) {
		onRig(t, sensors.Safety{Timed: true, MaxOn: time.Minute}, false, func(r *rig) {
			r.command("ON")
			after(50 * time.Second)
			r.command("ON")
			after(9 * time.Second)
			r.want("before", r.relay.saw(), "ON ON")
			after(time.Second)
			r.want("after", r.relay.saw(), "OFF")
			if got := r.command(`{"state":"ON","on_for":"2m"}`); !strings.Contains(got, "longer than max_on 1m0s") {
				t.Errorf("on_for: %s", got)
			}
		})
	})
	t.Run("on_for ends by itself, unless an ON follows", func(t *testing.T) {
		onRig(t, sensors.Safety{Timed: true}, false, func(r *rig) {
			r.command(`{"state":"ON","on_for":"3s"}`)
			after(2900 * time.Millisecond)
			r.want("before", r.relay.saw(), "ON")
			after(100 * time.Millisecond)
			r.want("after", r.relay.saw(), "OFF")
			r.command(`{"state":"ON","on_for":"3s"}`)
			r.command("ON")
			after(time.Minute)
			r.want("without end", r.relay.saw(), "ON ON")
		})
	})
	t.Run("on_for ends though a command is refused meanwhile", func(t *testing.T) {
		onRig(t, sensors.Safety{Timed: true}, false, func(r *rig) {
			r.command(`{"state":"ON","on_for":"3s"}`)
			r.relay.become(func() { r.relay.fail = errors.New("no such word") })
			r.command("TOGGLE")
			r.relay.become(func() { r.relay.fail, r.relay.wire.on = nil, true })
			after(3 * time.Second)
			r.want("after", r.relay.saw(), "ON TOGGLE OFF")
		})
	})
	t.Run("a TOGGLE that the device does not know switches nothing on", func(t *testing.T) {
		onRig(t, sensors.Safety{Timed: true, MaxOn: time.Minute}, false, func(r *rig) {
			r.command("OFF")
			r.relay.become(func() { r.relay.fail, r.relay.quiet = errors.New("no such word"), true })
			r.command("TOGGLE")
			r.relay.become(func() { r.relay.fail, r.relay.wire.on = nil, false })
			r.relay.saw()
			after(2 * time.Minute)
			r.want("after", r.relay.saw(), "")
		})
	})
	t.Run("on_for ends though the device was slow to say that it is on", func(t *testing.T) {
		onRig(t, sensors.Safety{Timed: true}, false, func(r *rig) {
			r.relay.become(func() { r.relay.quiet = true })
			r.command(`{"state":"ON","on_for":"25s"}`)
			r.relay.become(func() { r.relay.quiet, r.relay.wire.on = false, false })
			after(11 * time.Second)
			r.relay.become(func() { r.relay.wire.on = true })
			after(15 * time.Second)
			r.want("after", r.relay.saw(), "ON OFF")
			after(20 * time.Second)
			r.relay.become(func() { r.relay.wire.on = true }) // by somebody else
			after(time.Minute)
			r.want("later", r.relay.saw(), "")
		})
	})
	t.Run("what somebody else switched on is limited too", func(t *testing.T) {
		onRig(t, sensors.Safety{Timed: true, MaxOn: time.Minute}, false, func(r *rig) {
			r.relay.become(func() { r.relay.wire.on = true })
			after(65 * time.Second)
			r.want("before", r.relay.saw(), "")
			after(10 * time.Second)
			r.want("after", r.relay.saw(), "OFF")
		})
	})
	t.Run("an output that says nothing may have been on before the start", func(t *testing.T) {
		quiet := func(r *rig) { r.relay.quiet, r.relay.wire.on = true, true }
		onRigOf(t, sensors.Safety{Timed: true, MaxOn: time.Minute}, false, quiet, func(r *rig) {
			after(59 * time.Second)
			r.want("before", r.relay.saw(), "")
			after(time.Second)
			r.want("after", r.relay.saw(), "OFF")
			after(time.Hour)
			r.want("once", r.relay.saw(), "")
		})
		onRigOf(t, sensors.Safety{Timed: true}, false, quiet, func(r *rig) {
			after(time.Hour)
			r.want("nothing limits it", r.relay.saw(), "")
		})
		onRigOf(t, sensors.Safety{Require: "tank.level > 10"}, false, func(r *rig) { quiet(r); r.level = 3.0 }, func(r *rig) {
			r.want("what it requires does not hold", r.relay.saw(), "OFF")
		})
	})
	t.Run("a command that may have been carried out counts as if it was", func(t *testing.T) {
		onRig(t, sensors.Safety{Timed: true, MaxOn: time.Minute}, false, func(r *rig) {
			r.relay.become(func() { r.relay.fail, r.relay.quiet = fault(sensors.Timeout), true })
			r.command("ON")
			after(63 * time.Second)
			r.want("tried again each second", r.relay.saw(), "ON OFF OFF OFF OFF")
			r.relay.become(func() { r.relay.fail = nil })
			after(time.Minute)
			r.want("until it works", r.relay.saw(), "OFF")
		})
	})
}

func TestChangeHandsOutputsOver(t *testing.T) {
	change := func(r *rig, d sensors.Driver) {
		r.t.Helper()
		if err := r.m.Change([]string{"heater"}, []sensors.Device{{Name: "heater", Driver: d, Interval: 20 * time.Second}}); err != nil {
			r.t.Fatal(err)
		}
		after(100 * time.Millisecond)
	}
	onRig(t, sensors.Safety{Timed: true, MaxOn: time.Minute}, false, func(r *rig) {
		r.command(`{"state":"ON","on_for":"30s"}`)
		after(20 * time.Second)
		change(r, heirRelay{fakeRelay: r.relay})
		r.want("by the change", r.relay.saw(), "ON")
		after(9 * time.Second)
		r.want("before on_for ends", r.relay.saw(), "")
		after(time.Second)
		r.want("when it ends", r.relay.saw(), "OFF")

		r.command("ON")
		after(40 * time.Second)
		change(r, heirRelay{fakeRelay: r.relay})
		after(19 * time.Second)
		r.want("before max_on ends", r.relay.saw(), "ON")
		after(time.Second)
		r.want("when it ends", r.relay.saw(), "OFF")

		r.command("ON")
		change(r, heirRelay{r.relay, true})
		r.want("by a change to something else", r.relay.saw(), "ON OFF")

		change(r, r.relay)
		r.relay.saw()
		r.command(`{"state":"ON","on_for":"30s"}`)
		change(r, r.relay)
		after(30 * time.Second)
		r.want("without on_stop, when on_for ends", r.relay.saw(), "ON OFF")
	})
}

func TestFailsafe(t *testing.T) {
	client := sensors.Safety{Failsafe: sensors.Failsafe{State: "inactive", After: 30 * time.Second, Without: "client boss"}}
	for name, immediate := range map[string]bool{"": false, ", at once": true} {
		t.Run("the client is gone for that long"+name, func(t *testing.T) {
			onRig(t, client, immediate, func(r *rig) {
				r.boss.f(true)
				r.command("ON")
				after(time.Hour)
				r.want("while it is there", r.relay.saw(), "ON")
				r.boss.f(false)
				after(29 * time.Second)
				r.boss.f(true)
				r.boss.f(false)
				gone := time.Now()
				after(40 * time.Second)
				if r.relay.wire.on || r.relay.wire.at.Sub(gone).Round(time.Millisecond) != 30*time.Second {
					t.Errorf("on %v, driven %v after it was gone", r.relay.wire.on, r.relay.wire.at.Sub(gone))
				}
				r.relay.saw()
				if got := r.command("ON"); !strings.Contains(got, "fail-safe: without client boss for 30s") {
					t.Errorf("a command meanwhile: %s", got)
				}
				r.want("wire", r.relay.saw(), "")
				r.boss.f(true)
				after(time.Minute)
				r.want("when it is back", r.relay.saw(), "")
				r.want("a command", r.command("ON"), done)
			})
		})
	}
	t.Run("a client that never comes", func(t *testing.T) {
		onRig(t, client, false, func(r *rig) {
			r.want("in its time", r.command("ON"), done)
			after(29 * time.Second)
			r.want("before", r.relay.saw(), "ON")
			after(time.Second)
			r.want("after", r.relay.saw(), "OFF")
		})
	})
	t.Run("a broker that takes nothing delays no output that is driven at once", func(t *testing.T) {
		onRig(t, client, true, func(r *rig) {
			r.boss.f(true)
			r.command("ON")
			r.mu.Lock()
			r.stall = true
			r.mu.Unlock()
			r.boss.f(false)
			gone := time.Now()
			r.reads(1.0) // work for the publishers
			after(31 * time.Second)
			if r.relay.wire.on {
				t.Error("the output is on")
			}
			if late := r.relay.wire.at.Sub(gone) - 30*time.Second; late != 0 {
				t.Errorf("driven %v late", late)
			}
			r.mu.Lock()
			r.stall = false
			r.mu.Unlock()
			after(time.Minute)
			r.want("published", r.last("heater/relay"), "OFF")
		})
	})
	t.Run("heartbeats hold it, retained ones do not", func(t *testing.T) {
		for without, topic := range map[string]string{"heartbeat": base + "/heater/heartbeat/set", "heartbeat plant/alive": "plant/alive"} {
			s := client
			s.Failsafe.Without = without
			onRig(t, s, false, func(r *rig) {
				r.command("ON")
				for range 5 {
					after(29 * time.Second)
					r.send("dev:heater", mqtt.Message{Topic: topic})
				}
				r.want("with heartbeats", r.relay.saw(), "ON")
				after(20 * time.Second)
				r.send("dev:heater", mqtt.Message{Topic: topic, Retain: true})
				after(10 * time.Second)
				r.want("without", r.relay.saw(), "OFF")
				r.send("dev:heater", mqtt.Message{Topic: topic})
				r.want("again", r.command("ON"), done)
			})
		}
	})
	t.Run("a device that comes back is brought to it again", func(t *testing.T) {
		onRig(t, client, false, func(r *rig) {
			r.command("ON")
			after(time.Minute)
			r.relay.saw()
			r.relay.become(func() { r.relay.gone = fault(sensors.Unplugged) })
			after(20 * time.Second)
			r.relay.become(func() { r.relay.gone = nil })
			after(20 * time.Second)
			if got := r.relay.saw(); !strings.HasPrefix(got, "OFF") || strings.Contains(got, "ON") {
				t.Errorf("wire: %s", got)
			}
		})
	})
	t.Run("an active state", func(t *testing.T) {
		s := client
		s.Failsafe.State = "active"
		onRig(t, s, false, func(r *rig) {
			after(time.Minute)
			r.want("wire", r.relay.saw(), "ON")
			if got := r.command("OFF"); !strings.Contains(got, "fail-safe") {
				t.Errorf("OFF: %s", got)
			}
		})
	})
}
