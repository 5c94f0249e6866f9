package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestTest(t *testing.T) {
	bubble(t, "a server that is there, without taking over the session", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Limits: cloudtest.AWS()})
		after(3 * time.Second)
		var steps []string
		if err := r.Test(t.Context(), func(s Step) { steps = append(steps, s.Name+": "+s.Detail) }); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(steps, "\n")
		for _, part := range []string{"config: routes: 1 out, 0 in", "clock: synchronized", "connect: cloud.example:1883", "mqtt: accepted: QoS 1", "100 in flight"} {
			if !strings.Contains(got, part) {
				t.Errorf("%q is not in\n%s", part, got)
			}
		}
		after(3 * time.Second)
		want(t, "state", r.Stats().State, Up)
		want(t, "connects of the bridge", r.Stats().Connects, 1)
	})
	bubble(t, "a server that refuses says why", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Connack: mqtt.NotAuthorized}})
		var last Step
		err := r.Test(t.Context(), func(s Step) { last = s })
		if err == nil || last.Err == nil || last.Name != string(ClassAuth) {
			t.Errorf("%v, last step %+v", err, last)
		}
	})
	bubble(t, "a service that lets in nobody but the device", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Limits: cloudtest.Limits{Login: func(k *cloudtest.Connect) bool { return k.ClientID == "gw" }}})
		after(3 * time.Second)
		var last Step
		if err := r.Test(t.Context(), func(s Step) { last = s }); err != nil || !strings.HasPrefix(last.Detail, "gw is let in, gw-test is not") {
			t.Errorf("%v, last step %+v", err, last)
		}
		want(t, "state", r.Stats().State, Up)
	})
	bubble(t, "before 5.0 no session stays behind", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{}, speaking(mqtt.V311))
		after(3 * time.Second)
		if err := r.Test(t.Context(), func(Step) {}); err != nil {
			t.Fatal(err)
		}
		want(t, "Clean Session", r.c.Connects()[1].Clean, true)
	})
	bubble(t, "it takes its leave of the server", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})))
		after(time.Second)
		if err := r.Test(t.Context(), func(Step) {}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		want(t, "DISCONNECT", r.s.mu.goodbyes, []mqtt.ReasonCode{mqtt.NormalDisconnection})
	})
	bubble(t, "a bridge that waits tries again when a test gets through", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Connack: mqtt.NotAuthorized}})
		after(3 * time.Second)
		want(t, "state", r.Stats().State, Down)
		try := func() { _ = r.Test(t.Context(), func(Step) {}) }
		try()
		after(3 * time.Second)
		want(t, "attempts after a test that was refused", r.Stats().Attempts, 1)
		r.c.Set(func(f *cloudtest.Faults) { f.Connack = mqtt.Success })
		try()
		after(time.Second)
		want(t, "state after one that got through", r.Stats().State, Up)
		try() // while it is up: no wait of later is cut short
		r.c.Kill()
		after(900 * time.Millisecond)
		want(t, "attempts before the least wait is over", r.Stats().Attempts, 2)
	})
}
