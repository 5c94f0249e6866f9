package sensors_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// fakeOutput is a fakeDriver with an output "relay".
type fakeOutput struct {
	*fakeDriver
	on      bool
	do      func(ctx context.Context) error
	stopped bool
}

func newFakeOutput() *fakeOutput {
	o := &fakeOutput{}
	o.fakeDriver = &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return o.state() }}
	return o
}

func (o *fakeOutput) state() ([]sensors.Reading, error) {
	return []sensors.Reading{{Entity: "relay", Value: o.on}}, nil
}

func (o *fakeOutput) Do(ctx context.Context, entity string, payload []byte) ([]sensors.Reading, error) {
	if entity != "relay" {
		return nil, errors.New("no such output")
	}
	if o.do != nil {
		if err := o.do(ctx); err != nil {
			return nil, err
		}
	}
	o.on = string(payload) == "ON"
	return o.state()
}

func (o *fakeOutput) Stop(context.Context) error {
	o.on, o.stopped = false, true
	return nil
}

func set(entity, payload string) mqtt.Message {
	return mqtt.Message{Topic: base + "/heater/" + entity + "/set", Payload: []byte(payload)}
}

func TestCommands(t *testing.T) {
	heater := func(o sensors.Driver) sensors.Device {
		return sensors.Device{Name: "heater", Driver: o, Interval: 30 * time.Second}
	}
	t.Run("the confirmed value, then the result, to the Response Topic too", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, o := newFakeBroker(), newFakeOutput()
			_, stop := run(t, b, heater(o))
			after(time.Second)
			m := set("relay", "ON")
			m.Properties = &mqtt.Properties{ResponseTopic: "answers/me", CorrelationData: []byte{7}}
			b.send("dev:heater", m)
			after(0)
			wantLog(t, b.all()[3:], "heater/relay=ON", `heater/relay/result={"ok":true}`, `answers/me={"ok":true}`)
			for _, e := range b.log[4:] {
				if e.Retain || string(e.Properties.CorrelationData) != "\x07" {
					t.Errorf("result is %+v", e)
				}
			}
			stop()
			if !o.stopped {
				t.Error("outputs were not brought to on_stop")
			}
		})
	})
	t.Run("a Response Topic below the base, or the server's, gets no answer", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, o := newFakeBroker(), newFakeOutput()
			_, stop := run(t, b, heater(o))
			after(time.Second)
			for _, forged := range []string{base + "/climate/temperature", base + "/heater/relay/set", "$SYS/broker/uptime"} {
				m := set("relay", "ON")
				m.Properties = &mqtt.Properties{ResponseTopic: forged}
				b.send("dev:heater", m)
				after(0)
			}
			wantLog(t, b.all()[3:], "heater/relay=ON", `heater/relay/result={"ok":true}`, "heater/relay=ON", `heater/relay/result={"ok":true}`,
				"heater/relay=ON", `heater/relay/result={"ok":true}`)
			stop()
		})
	})
	t.Run("a command is confirmed although the value stays", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, o := newFakeBroker(), newFakeOutput()
			gate, err := sensors.Filters()["delta"].New(&sensors.DeltaOptions{})
			if err != nil {
				t.Fatal(err)
			}
			d := heater(o)
			d.Entities = []sensors.Entity{{Name: "relay", Filters: []sensors.Filter{gate}}}
			_, stop := run(t, b, d)
			after(time.Second)
			b.send("dev:heater", set("relay", "OFF"))
			after(0)
			wantLog(t, b.all()[3:], "heater/relay=OFF", `heater/relay/result={"ok":true}`)
			stop()
		})
	})
	t.Run("a refusal says why and harms nobody", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, o := newFakeBroker(), newFakeOutput()
			o.do = func(context.Context) error { return errors.New("interlock tank.level<10") }
			_, stop := run(t, b, heater(o))
			after(time.Second)
			b.send("dev:heater", set("relay", "ON"))
			b.send("dev:heater", set("other", "ON"))
			after(0)
			wantLog(t, b.all()[3:], `heater/relay/result={"ok":false,"reason":"interlock tank.level<10"}`, `heater/other/result={"ok":false,"reason":"no such output"}`)
			stop()
		})
	})
	t.Run("a retained command is ignored unless the entity accepts it", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, o := newFakeBroker(), newFakeOutput()
			d := heater(o)
			_, stop := run(t, b, d)
			after(time.Second)
			if s := b.sessions["dev:heater"].subs[0]; s.RetainHandling != mqtt.DoNotSendRetained || s.Filter != base+"/heater/+/set" {
				t.Errorf("subscribed %+v", s)
			}
			m := set("relay", "ON")
			m.Retain = true
			b.send("dev:heater", m)
			after(time.Second)
			held := set("relay", "ON")
			held.Properties = &mqtt.Properties{User: []mqtt.UserProperty{{Name: mqtt.HeldProperty, Value: "1"}}}
			b.send("dev:heater", held)
			after(time.Second)
			if o.on || b.last("heater/relay/result") != "" {
				t.Error("a retained command was carried out")
			}
			stop()
			d.Entities = []sensors.Entity{{Name: "relay", AcceptRetained: true}}
			_, stop = run(t, b, d)
			after(time.Second)
			b.send("dev:heater", m)
			after(time.Second)
			if b.last("heater/relay") != "ON" {
				t.Error("an accepted retained command was ignored")
			}
			stop()
		})
	})
	t.Run("a command that waits when the device fails is refused, not kept for later", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, o := newFakeBroker(), newFakeOutput()
			release := make(chan struct{})
			o.read = func(_ context.Context, n int) ([]sensors.Reading, error) {
				if n == 2 {
					<-release
				}
				return o.state()
			}
			_, stop := run(t, b, heater(o))
			after(31 * time.Second)
			b.send("dev:heater", set("relay", "ON"))
			after(30 * time.Second)
			if r := b.last("heater/relay/result"); !strings.Contains(r, "hung") {
				t.Errorf("result is %q", r)
			}
			close(release)
			after(time.Minute)
			if o.on || b.last("heater/relay") != "OFF" {
				t.Error("the command was carried out after the outage")
			}
			stop()
		})
	})
	t.Run("a command that never returns is answered and the device is hung", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, o := newFakeBroker(), newFakeOutput()
			release := make(chan struct{})
			o.do = func(context.Context) error { <-release; return nil }
			_, stop := run(t, b, heater(o))
			after(time.Second)
			b.send("dev:heater", set("relay", "ON"))
			after(20 * time.Second)
			if r := b.last("heater/relay/result"); !strings.Contains(r, "hung") {
				t.Errorf("result is %q", r)
			}
			if h := b.last("heater/health"); !strings.Contains(h, `"reason":"hung"`) {
				t.Errorf("health is %s", h)
			}
			close(release)
			after(time.Minute)
			b.send("dev:heater", set("relay", "OFF"))
			after(time.Second)
			if b.last("heater/availability") != "online" || b.last("heater/relay/result") != `{"ok":true}` {
				t.Errorf("did not come back: %q", b.all())
			}
			stop()
		})
	})
}

// A command to a device that is offline is answered, once its session cannot
// carry it out any more.
func TestCommandToADeviceThatIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, o := newFakeBroker(), newFakeOutput()
		o.open = func(n int) error {
			if n > 1 && time.Since(b.start) < 10*time.Minute {
				return fault(sensors.NotFound)
			}
			return nil
		}
		o.read = func(context.Context, int) ([]sensors.Reading, error) {
			if d := time.Since(b.start); d > time.Minute && d < 10*time.Minute {
				return nil, fault(sensors.Unplugged)
			}
			return o.state()
		}
		_, stop := run(t, b, sensors.Device{Name: "heater", Driver: o, Interval: 10 * time.Second, WillDelay: 5 * time.Second})
		defer stop()
		after(2 * time.Minute)
		m := set("relay", "ON")
		m.Properties = &mqtt.Properties{ResponseTopic: "answers/me", CorrelationData: []byte("7")}
		b.send("sensors", m)
		b.send("sensors", mqtt.Message{Topic: base + "/nobody/relay/set", Payload: []byte("ON")})
		after(time.Second)
		const away = `{"ok":false,"reason":"the device is offline"}`
		if r := b.on("heater/relay/result"); len(r) != 1 || string(r[0].Payload) != away {
			t.Errorf("results are %q", got(b, "heater/relay/result"))
		}
		if p := b.published("answers/me"); len(p) != 1 || p[0] != away {
			t.Errorf("answered %q", p)
		}
		after(10 * time.Minute)
		b.send("sensors", set("relay", "ON"))
		b.send("dev:heater", set("relay", "ON"))
		after(time.Second)
		if r := got(b, "heater/relay/result"); len(r) != 2 || r[1] != `{"ok":true}` || !o.on {
			t.Errorf("results are %q", r)
		}
	})
}

// fakePusher waits for events on a channel.
type fakePusher struct {
	*fakeOutput
	events  chan any
	silence error
}

func newFakePusher(silence error) *fakePusher {
	p := &fakePusher{fakeOutput: newFakeOutput(), events: make(chan any), silence: silence}
	p.read = func(ctx context.Context, _ int) ([]sensors.Reading, error) {
		select {
		case e := <-p.events:
			if err, ok := e.(error); ok {
				return nil, err
			}
			return one(e)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return p
}

func (p *fakePusher) OnSilence() error { return p.silence }

func TestPushers(t *testing.T) {
	device := func(p *fakePusher) sensors.Device {
		return sensors.Device{Name: "heater", Driver: p, StaleAfter: 20 * time.Second, WillDelay: 5 * time.Second}
	}
	t.Run("an event is published at once", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, p := newFakeBroker(), newFakePusher(fault(sensors.NoData))
			_, stop := run(t, b, device(p))
			for i := range 5 {
				after(3 * time.Second)
				p.events <- int64(i)
				after(0)
				if v := b.on("heater/t"); len(v) != i+1 || v[i].at != time.Duration(i+1)*3*time.Second {
					t.Fatalf("values are %v", v)
				}
			}
			stop()
		})
	})
	t.Run("silence is a failure where the driver says so", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, p := newFakeBroker(), newFakePusher(fault(sensors.NoData))
			_, stop := run(t, b, device(p))
			p.events <- 1.0
			after(10 * time.Minute)
			wantLog(t, b.all(), "heater/t=1", "heater/health=*", "heater/availability=online", `heater/health={"state":"offline","reason":"no_data"*`, "heater/availability=offline")
			if a := b.on("heater/availability"); len(a) == 2 && a[1].at != 25*time.Second {
				t.Errorf("offline after %v", a[1].at)
			}
			p.events <- 2.0
			after(0)
			if b.last("heater/availability") != "online" || b.last("heater/t") != "2" {
				t.Errorf("published %q", b.all())
			}
			stop()
		})
	})
	t.Run("an input that does not change stays online and its value does not expire", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, p := newFakeBroker(), newFakePusher(nil)
			_, stop := run(t, b, device(p))
			p.events <- true
			after(time.Hour)
			stop()
			if a := got(b, "heater/availability"); len(a) != 2 {
				t.Errorf("availability was %q", a)
			}
			expires := b.start.Add(time.Minute)
			for _, v := range b.on("heater/t") {
				if b.start.Add(v.at).After(expires) {
					t.Fatalf("value expired before %v", v.at)
				}
				expires = v.Expires
				if ts, _ := v.Properties.Get("ts"); ts != b.start.UTC().Format("2006-01-02T15:04:05.000Z") {
					t.Fatalf("a renewed value claims to be from %s", ts)
				}
			}
		})
	})
	t.Run("a command interrupts the waiting and no event is lost", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, p := newFakeBroker(), newFakePusher(nil)
			_, stop := run(t, b, device(p))
			p.events <- 1.0
			after(time.Second)
			b.send("dev:heater", set("relay", "ON"))
			after(0)
			p.events <- 2.0
			after(0)
			wantLog(t, b.all()[3:], "heater/relay=ON", `heater/relay/result={"ok":true}`, "heater/t=2")
			stop()
		})
	})
	t.Run("commands that are refused all the time do not make it silent", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, p := newFakeBroker(), newFakePusher(nil)
			p.do = func(context.Context) error { return errors.New("no such word") }
			_, stop := run(t, b, device(p))
			p.events <- true
			for range 15 {
				after(2 * time.Second)
				b.send("dev:heater", set("relay", "FOO"))
			}
			if opens, _, _ := p.counts(); opens != 1 || b.last("heater/availability") != "online" {
				t.Errorf("%d opens, availability %q, health %s", opens, got(b, "heater/availability"), b.last("heater/health"))
			}
			stop()
		})
	})
	t.Run("a program that ends at once is started again, ever more seldom", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, p := newFakeBroker(), newFakePusher(fault(sensors.NoData))
			p.read = func(context.Context, int) ([]sensors.Reading, error) { return nil, fault(sensors.Exited) }
			_, stop := run(t, b, device(p))
			after(time.Hour)
			if opens, _, _ := p.counts(); opens < 60 || opens > 200 {
				t.Errorf("%d starts in an hour", opens)
			}
			if h := b.last("heater/health"); !strings.Contains(h, `"reason":"exited"`) {
				t.Errorf("health is %s", h)
			}
			stop()
		})
	})
	t.Run("garbage costs patience, not processor time", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b, p := newFakeBroker(), newFakePusher(fault(sensors.NoData))
			p.read = func(context.Context, int) ([]sensors.Reading, error) { return nil, fault(sensors.Parse) }
			_, stop := run(t, b, device(p))
			after(time.Minute)
			if _, reads, _ := p.counts(); reads > 200 {
				t.Errorf("%d reads in a minute of garbage", reads)
			}
			if h := b.last("heater/health"); !strings.Contains(h, `"reason":"parse"`) {
				t.Errorf("health is %s", h)
			}
			stop()
		})
	})
}

// withoutOutputs is a driver that could have outputs and was given none.
type withoutOutputs struct{ *fakeDriver }

func (withoutOutputs) Outputs() []sensors.Safety { return nil }

func (withoutOutputs) Do(context.Context, string, []byte) ([]sensors.Reading, error) {
	return nil, errors.New("takes no commands")
}

func (withoutOutputs) Stop(context.Context) error { return nil }

// A subscription takes memory, and of a hundred
// receivers nobody commands one.
func TestNoSubscriptionWithoutOutputs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, d := newFakeBroker(), &fakeDriver{}
		d.read = func(context.Context, int) ([]sensors.Reading, error) { return one(1.0) }
		_, stop := run(t, b, sensors.Device{Name: "heater", Driver: withoutOutputs{d}, Interval: time.Second})
		after(time.Second)
		if subs := b.sessions["dev:heater"].subs; len(subs) > 0 {
			t.Errorf("subscribed %v", subs)
		}
		b.send("sensors", set("relay", "ON"))
		after(0)
		if got, want := b.last("heater/relay/result"), `{"ok":false,"reason":"takes no commands"}`; got != want {
			t.Errorf("the result is %q, want %q", got, want)
		}
		stop()
	})
}
