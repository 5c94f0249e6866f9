package bridge

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func withIn(routes ...Route) func(*Options) {
	return func(o *Options) { o.In = routes }
}

func message(topic, payload string, qos mqtt.QoS) mqtt.Message {
	return mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos}
}

func TestReceive(t *testing.T) {
	cmd := withIn(Route{From: "site/cmd/#", To: "cmd/#"})
	bubble(t, "messages of every QoS come down, remapped, and are acknowledged in order", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{send: []mqtt.Message{
			message("site/cmd/a", "0", 1), message("site/cmd/b", "1", 2), message("site/cmd/c", "2", 0), message("site/cmd/d", "3", 1),
		}})), cmd)
		after(time.Second)
		var got []string
		for _, m := range r.local.messages() {
			got = append(got, m.Topic+" "+string(m.Payload)+" "+m.Publisher)
		}
		want(t, "local", got, []string{"cmd/a 0 bridge:test", "cmd/b 1 bridge:test", "cmd/c 2 bridge:test", "cmd/d 3 bridge:test"})
		want(t, "acknowledgements", sorted(r.s.mu.acks), sorted([]string{"4 1 00", "5 2 00", "7 2 00", "4 4 00"}))
		want(t, "filters", r.s.mu.filters, []string{"site/cmd/#"})
	})
	bubble(t, "what is left of a message's life is what it had there", func(t *testing.T) {
		short, ever := message("site/cmd/a", "0", 1), message("site/cmd/b", "1", 1)
		short.Expires = time.Now().Add(time.Minute)
		r := start(t, newServer(t, always(plan{send: []mqtt.Message{short, ever}})), cmd)
		after(time.Second)
		got := r.local.messages()
		if len(got) != 2 || !got[0].Expires.Equal(short.Expires) || !got[1].Expires.IsZero() {
			t.Errorf("got %+v", got)
		}
	})
	bubble(t, "nothing becomes a topic that starts with $", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{send: []mqtt.Message{
			message("a/$SYS/broker", "forged", 1), message("a/b/broker", "1", 1),
		}})), withIn(Route{From: "a/+/#", To: "+/#"}))
		after(time.Second)
		var got []string
		for _, m := range r.local.messages() {
			got = append(got, m.Topic)
		}
		want(t, "local", got, []string{"b/broker"})
		want(t, "rejected", r.Stats().Rejected, 1)
	})
	bubble(t, "nothing becomes a reading of the gateway unless a route names its topics", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{send: []mqtt.Message{
			message("dunlin/gw/t/v", "forged", 1), message("dunlin/gw/status", "forged", 1), message("dunlin/gw/relay/r/set", "ON", 1), message("dunlin/gw2/t", "1", 1),
			message("site/weather/t", "2", 1), message("own/t", "3", 1),
		}})), withIn(Route{From: "dunlin/#"}, Route{From: "site/#", To: "dunlin/gw/#"}, Route{From: "own/#", To: "dunlin/gwx/#"}), func(o *Options) { o.Base = "dunlin/gw" })
		after(time.Second)
		var got []string
		for _, m := range r.local.messages() {
			got = append(got, m.Topic)
		}
		want(t, "local", got, []string{"dunlin/gw/relay/r/set", "dunlin/gw2/t", "dunlin/gw/weather/t", "dunlin/gwx/t"})
		want(t, "rejected", r.Stats().Rejected, 2)
	})
	bubble(t, "a message is acknowledged only after the local publish has succeeded", func(t *testing.T) {
		s := newServer(t, always(plan{send: []mqtt.Message{message("site/cmd/a", "x", 1)}}))
		r := start(t, s, cmd, func(o *Options) {
			o.Local.(*fakeLocal).fail = func(n int) error {
				if n == 1 {
					return errors.New("store is not ready")
				}
				return nil
			}
		})
		after(time.Second / 2)
		want(t, "acknowledgements", s.mu.acks, []string(nil))
		want(t, "class", r.Stats().Class, ClassLocal)
		after(time.Minute)
		want(t, "local", len(r.local.messages()), 1)
		want(t, "acknowledgements", s.mu.acks, []string{"4 1 00"})
	})
	bubble(t, "what the local broker refuses for good is acknowledged with its reason", func(t *testing.T) {
		s := newServer(t, always(plan{send: []mqtt.Message{message("site/cmd/a", "x", 1), message("site/cmd/b", "y", 2)}}))
		r := start(t, s, cmd, func(o *Options) {
			o.Local.(*fakeLocal).fail = func(int) error { return mqtt.Errorf(mqtt.NotAuthorized, "", "no") }
		})
		after(time.Second)
		want(t, "acknowledgements", sorted(s.mu.acks)[:2], []string{"4 1 87", "5 2 87"})
		want(t, "rejected", r.Stats().Rejected, 2)
	})
	bubble(t, "what the server holds and is held here is not published again", func(t *testing.T) {
		retained := func(topic, payload string, qos mqtt.QoS) mqtt.Message {
			m := message(topic, payload, qos)
			m.Retain = true
			return m
		}
		s := newServer(t, always(plan{send: []mqtt.Message{
			retained("site/cmd/same", "on", 2), retained("site/cmd/same", "on", 1), retained("site/cmd/new", "on", 1), retained("site/cmd/other", "off", 1), message("site/cmd/same", "on", 1),
		}}))
		held := map[string]*mqtt.Message{"cmd/same": {Payload: []byte("on")}, "cmd/other": {Payload: []byte("on")}}
		r := start(t, s, cmd, func(o *Options) { o.Held = func(topic string) *mqtt.Message { return held[topic] } })
		after(time.Second)
		var got []string
		for _, m := range r.local.messages() {
			got = append(got, fmt.Sprint(m.Topic, " ", string(m.Payload), " ", m.Retain))
		}
		want(t, "local", got, []string{"cmd/new on true", "cmd/other off true", "cmd/same on false"})
		want(t, "acknowledgements", sorted(s.mu.acks), sorted([]string{"5 1 00", "7 1 00", "4 2 00", "4 3 00", "4 4 00", "4 5 00"}))
		want(t, "duplicates", r.Stats().Duplicate, 2)
	})
	bubble(t, "a value that is retained anew is one", func(t *testing.T) {
		c := cloud(t, cloudtest.Options{}, cmd, func(o *Options) { o.Held = func(string) *mqtt.Message { return &mqtt.Message{Payload: []byte("on")} } })
		after(time.Minute)
		c.c.Publish(mqtt.Message{Topic: "site/cmd/a", Payload: []byte("on"), Retain: true, QoS: 1})
		after(time.Second)
		want(t, "local", len(c.local.messages()), 1)
		c.stop()
	})
	bubble(t, "a message that crossed too many bridges is not published", func(t *testing.T) {
		m := message("site/cmd/a", "x", 1)
		m.Properties = m.Properties.With(viaProperty, "a,b,c,d")
		r := start(t, newServer(t, always(plan{send: []mqtt.Message{m}})), cmd)
		after(time.Second)
		want(t, "local, rejected", fmt.Sprint(len(r.local.messages()), r.Stats().Rejected), "0 1")
	})
	bubble(t, "more filters than fit one SUBSCRIBE are all asked for", func(t *testing.T) {
		var routes []Route
		for i := range 20 {
			routes = append(routes, Route{From: fmt.Sprintf("in/%d", i)})
		}
		r := start(t, newServer(t, always(plan{})), withIn(routes...))
		after(time.Second)
		want(t, "filters", len(r.s.mu.filters), 20)
	})
}

// A message comes once, however many routes it matches.
func TestSubscriptionsOfRoutes(t *testing.T) {
	one := mqtt.AtLeastOnce
	var got []string
	for _, s := range subscriptions([]Route{
		{From: "cmd/+/a"}, {From: "cmd/#", QoS: &one}, {From: "cmd/#"}, {From: "other/a", QoS: &one}, {From: "cmd/once", Retain: StripRetain},
		{From: "cmd/+/a", Share: "gateways"}, {From: "+/x"}, {From: "x/+"},
	}) {
		got = append(got, fmt.Sprint(s.Filter, " ", s.QoS, " ", s.RetainHandling))
	}
	want(t, "subscriptions", got, []string{"cmd/# 2 0", "other/a 1 0", "cmd/once 2 2", "$share/gateways/cmd/+/a 2 0", "+/x 2 0", "x/+ 2 0"})
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func TestReceiverExactlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local := &fakeLocal{}
		routes, err := compileAll("in", []Route{{From: "a/#"}})
		if err != nil {
			t.Fatal(err)
		}
		r := newReceiver("bridge:x", routes, &preparer{mark: "me"}, local, newStatus(time.Now()))
		r.begin("b@one", false)
		release := func(id uint16, code mqtt.ReasonCode) {
			t.Helper()
			got, err := r.release(t.Context(), id)
			want(t, "PUBREL", fmt.Sprint(got, err), fmt.Sprint(code, nil))
		}
		receive := func(what string, n int) {
			t.Helper()
			code, err := r.receive(t.Context(), inbound{topic: "a/b", qos: 2, id: 7})
			want(t, what, fmt.Sprint(code, err, len(local.messages())), fmt.Sprint(mqtt.Success, nil, n))
		}
		receive("MQTT-4.3.3-9 the first PUBLISH is published", 1)
		r.begin("b@one", true)
		receive("MQTT-4.3.3-10 its resend is not", 1)
		release(7, mqtt.Success)
		receive("MQTT-4.3.3-12 after PUBREL the identifier names a new message", 2)
		r.begin("b@one", false)
		receive("a new session knows no identifier", 3)
		release(8, mqtt.PacketIdentifierNotFound)

		r.begin("b@two", true)
		receive("the session with another server has identifiers of its own", 4)
		r = newReceiver("bridge:x", routes, &preparer{mark: "me"}, local, newStatus(time.Now()))
		r.begin("b@one", true)
		receive("a resend after a restart is not published", 4)
		release(7, mqtt.Success)
	})
}

// The process ends between the copies of a message that two routes match.
func TestReceiverLeavesOutCopiesAfterARestart(t *testing.T) {
	local := &fakeLocal{}
	routes, err := compileAll("in", []Route{{From: "a/+"}, {From: "+/b"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, copy := range []inbound{{id: 7, subs: []uint32{1}}, {id: 7, subs: []uint32{1}}, {id: 8, subs: []uint32{2}}} {
		r := newReceiver("bridge:x", routes, &preparer{mark: "me"}, local, newStatus(time.Now()))
		r.begin("b@one", true)
		if copy.id == 8 { // resent as well, ahead of its copy
			if _, err := r.receive(t.Context(), inbound{topic: "a/b", qos: 2, id: 7, subs: []uint32{1}}); err != nil {
				t.Fatal(err)
			}
		}
		copy.topic, copy.qos = "a/b", 2
		code, err := r.receive(t.Context(), copy)
		want(t, "published", fmt.Sprint(code, err, len(local.messages())), fmt.Sprint(mqtt.Success, nil, 1))
	}
}
