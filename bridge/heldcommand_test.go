package bridge

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A command to a device that the server has held for nobody knows how long comes
// down as such, and one that was given while the link was down as any other.
func TestCommandsThatTheServerHeld(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		bubble(t, "MQTT "+v.String(), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bridge.in")
			c, err := cloudtest.New(cloudtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			const set = "dunlin/gw/relay/r/set"
			retain := func(payload string) {
				c.Publish(mqtt.Message{Topic: set, Payload: []byte(payload), QoS: 1, Retain: true})
			}
			down := func(routes ...Route) (got []string) {
				b := against(t, c, func(o *Options) {
					o.Protocol, o.Subscribed, o.Base, o.Out, o.In = v, file, "dunlin/gw", nil, routes
				})
				after(time.Minute)
				b.dead.Store(true)
				c.Kill()
				after(time.Second)
				for _, m := range b.local.messages() {
					text := m.Topic + " " + string(m.Payload)
					if m.Held() {
						text += " held"
					}
					got = append(got, text)
				}
				slices.Sort(got)
				return slices.Compact(got)
			}
			all := Route{From: "dunlin/gw/#"}
			retain("ON")
			c.Publish(mqtt.Message{Topic: "site/set", Payload: []byte("1"), QoS: 1, Retain: true})
			want(t, "asked for anew", down(all, Route{From: "site/set"}), []string{set + " ON held", "site/set 1"})
			retain("OFF")
			want(t, "given meanwhile", down(all, Route{From: "site/set"}), []string{set + " OFF", "site/set 1"})
			want(t, "another route", down(all, Route{From: "more/#"}), []string{set + " OFF held"})
			c.Set(func(f *cloudtest.Faults) { f.SessionLost = true })
			want(t, "the session is lost", down(all), []string{set + " OFF held"})
			c.Set(func(f *cloudtest.Faults) { f.SessionLost = false })
			if got := down(all, Route{From: set, Retain: StripRetain}); v != mqtt.V5 && !slices.Equal(got, []string{set + " OFF held"}) {
				t.Errorf("without RETAIN: %q", got)
			}
		})
	}
}

// What is held here with that mark is known when it comes again.
func TestHeldCommandIsKnown(t *testing.T) {
	user := []mqtt.UserProperty{{Name: "a", Value: "b"}}
	m := &mqtt.Message{Topic: "t", Payload: []byte("x"), Retain: true, Properties: &mqtt.Properties{User: user}}
	here := &mqtt.Message{Topic: "t", Payload: []byte("x"), Retain: true, Properties: asHeld(m.Properties)}
	r := receiver{again: time.Now().Add(time.Hour), held: func(string) *mqtt.Message { return here }}
	if !here.Held() || m.Held() || !r.known(m, false) {
		t.Error("it is not known")
	}
}
