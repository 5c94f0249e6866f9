package bridge

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug/sparkplugtest"
)

// A bridge as an Edge Node: a host that follows the specification to the letter
// sees births before data, every sequence number, a death for each connection,
// a rebirth when it asks, and what waited while the link was down.
func TestEdge(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		bubble(t, "MQTT "+v.String(), func(t *testing.T) { edgeNode(t, v) })
	}
}

func edgeNode(t *testing.T, v mqtt.Version) {
	file := t.TempDir() + "/bdseq"
	r := cloud(t, cloudtest.Options{}, func(o *Options) {
		o.Protocol, o.Edge = v, sparkplug.NewEdge("plant", "gw", file, slog.New(slog.DiscardHandler))
		o.Out, o.In = []Route{{From: "dunlin/gw/#"}}, []Route{{From: "dunlin/gw/heater/#"}}
	})
	after(time.Second) // the link is up
	r.put("dunlin/gw/climate/temperature", "21.5", 1)
	r.put("dunlin/gw/climate/temperature", "22", 2)
	r.put("dunlin/gw/heater/power", "true", 1)
	r.put("dunlin/gw/meter", `{"energy": 7, "name": "m1", "none": null}`, 1)
	r.put("dunlin/gw/heater/power/set", "ON", 1)
	after(time.Second)
	command := func(topic string, payload []byte) {
		r.c.Publish(mqtt.Message{Topic: topic, Payload: payload, QoS: 1})
		after(time.Second)
	}
	yes := []byte{14<<3 | 0, 1}
	name := func(s string) []byte { return append([]byte{1<<3 | 2, byte(len(s))}, s...) }
	payload := func(metric ...byte) []byte { return append([]byte{2<<3 | 2, byte(len(metric))}, metric...) }
	command("spBv1.0/plant/NCMD/gw", payload(append(name("Node Control/Rebirth"), yes...)...))
	command("spBv1.0/plant/DCMD/gw/heater", payload(append(name("power"), yes...)...))
	command("spBv1.0/plant/DCMD/gw/climate", payload(append(name("temperature"), yes...)...)) // no route lets it
	r.put("dunlin/gw/climate/availability", "offline", 1)
	after(time.Second)

	r.c.Set(func(f *cloudtest.Faults) { f.Refuse = true })
	r.c.Kill()
	after(100 * time.Millisecond) // what is written before the end is seen has left, with QoS 0
	for i := range 5 {
		r.put("dunlin/gw/climate/temperature", fmt.Sprint(30+i), 1)
	}
	after(time.Minute)
	r.c.Set(func(f *cloudtest.Faults) { f.Refuse = false })
	after(5 * time.Minute)

	connects := r.c.Connects()
	h := &sparkplugtest.Host{Prefix: "spBv1.0/plant/", Node: "gw"}
	conn, datas := 0, 0
	for _, m := range r.c.Messages() {
		if m.Conn != conn && conn > 0 {
			h.Take(mqtt.Message{Topic: "spBv1.0/plant/NDEATH/gw", Payload: h.Will, QoS: 1})
			want(t, "online after the death", h.Online, false)
		}
		if m.Conn != conn {
			w := connects[len(connects)-1].Will
			if conn == 0 {
				w = connects[0].Will
			}
			conn, h.Will = m.Conn, w.Message.Payload
			want(t, "will", fmt.Sprint(w.Message.Topic, " ", w.Message.QoS, " ", w.Message.Retain), "spBv1.0/plant/NDEATH/gw 1 false")
		}
		h.Take(m.Message)
		datas++
	}
	want(t, "faults", h.Faults, []string(nil))
	want(t, "births", h.Births, 4)                                                                              // of two connections, when what had waited was up, and for the host
	want(t, "what was read while the link was down", h.Past, []any{int64(31), int64(32), int64(33), int64(34)}) // 30 is in the birth of a device that was offline
	want(t, "devices", h.Devices, "map[climate:map[temperature:34] heater:map[power:true] meter:map[energy:7 name:m1]]")
	var local []string
	for _, m := range r.local.messages() {
		local = append(local, m.Topic+" "+string(m.Payload))
	}
	want(t, "commands", local, []string{"dunlin/gw/heater/power/set ON"})
	want(t, "waiting", r.Stats().Queue.Messages, 0)
	want(t, "violations", r.c.Violations(), []string(nil))
	if datas < 12 {
		t.Errorf("%d messages", datas)
	}
}
