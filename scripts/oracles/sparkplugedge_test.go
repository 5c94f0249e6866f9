//go:build oracle

package oracles

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/scripts/oracles/sparkplugpb"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug/sparkplugtest"
)

// A whole gateway below a bridge that speaks Sparkplug, over an outage and a
// restart of the node: a host that reads it with what protoc generated.
func TestSparkplugEdge(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { edge(t, v) })
		})
	}
}

func edge(t *testing.T, v mqtt.Version) {
	cloud, err := cloudtest.New(cloudtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	run := func(f func(context.Context) error) (stop func()) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() { done <- f(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	endBroker := run(b.Run)
	device, err := b.Attach(broker.ClientOptions{ID: "device"})
	if err != nil {
		t.Fatal(err)
	}
	routes := []bridge.Route{{From: "dunlin/gw/#"}}
	q, err := b.AttachQueue(broker.QueueOptions{Name: "up", Filters: bridge.OutFilters(routes, bridge.Live)})
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/bdseq"
	node := func() (stop func()) {
		br, err := bridge.New(bridge.Options{Name: "up", Servers: []string{"mqtt://cloud"}, ClientID: "gw", Protocol: v, Out: routes,
			Queues: [bridge.LaneCount]bridge.Queue{q}, Dial: cloud.Dial, Log: slog.New(slog.DiscardHandler),
			Edge: sparkplug.NewEdge("plant", "gw", file, slog.New(slog.DiscardHandler))})
		if err != nil {
			t.Fatal(err)
		}
		return run(br.Run)
	}
	put := func(topic string, value any) time.Time {
		if err := device.Publish(t.Context(), mqtt.Message{Topic: "dunlin/gw/" + topic, Payload: fmt.Append(nil, value), QoS: 1}); err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		time.Sleep(time.Second)
		return at
	}

	end := node()
	time.Sleep(10 * time.Second) // it is connected
	put("climate/temperature", 21.5)
	put("climate/humidity", 40)
	put("door/open", true)
	put("climate/temperature", 22.5)
	cloud.Set(func(f *cloudtest.Faults) { f.Refuse = true })
	cloud.Kill()
	var waited []time.Time
	for i := range 300 {
		waited = append(waited, put("climate/temperature", float64(i)+0.25))
	}
	put("door/open", false)
	cloud.Set(func(f *cloudtest.Faults) { f.Refuse = false })
	time.Sleep(10 * time.Minute)
	command, err := proto.Marshal(&sparkplugpb.Payload{Timestamp: proto.Uint64(1), Metrics: []*sparkplugpb.Metric{
		{Name: proto.String("Node Control/Rebirth"), Datatype: proto.Uint32(11), Value: &sparkplugpb.Metric_BooleanValue{BooleanValue: true}}}})
	if err != nil {
		t.Fatal(err)
	}
	cloud.Publish(mqtt.Message{Topic: "spBv1.0/plant/NCMD/gw", Payload: command, QoS: 1})
	time.Sleep(time.Second)
	put("climate/temperature", 19.5)
	end()
	end = node() // bdSeq goes on
	time.Sleep(10 * time.Second)
	put("door/open", true)
	end()
	device.Close()
	q.Close()
	endBroker()
	cloud.Close()

	h := &sparkplugtest.Host{Prefix: "spBv1.0/plant/", Node: "gw", Decode: decodePB}
	hear(t, h, cloud)
	for _, fault := range append(h.Faults, cloud.Violations()...) {
		t.Error(fault)
	}
	if got := fmt.Sprint(h.Devices); got != "map[door:map[open:true]]" {
		t.Errorf("in the end: %s", got)
	}
	var past []any
	for i := range waited {
		past = append(past, float64(i)+0.25)
	}
	if past = append(past, false); !slices.Equal(h.Past, past) {
		t.Errorf("what waited: %v", h.Past)
	}
	for i, at := range waited {
		if i < len(h.PastAt) && h.PastAt[i] != uint64(at.UnixMilli()) {
			t.Fatalf("value %d was read at %d, and is said to be of %d", i, at.UnixMilli(), h.PastAt[i])
		}
	}
}

// hear gives a host what a node said, with the death of each connection.
func hear(t *testing.T, h *sparkplugtest.Host, cloud *cloudtest.Cloud) {
	wills := map[int][]byte{}
	for i, c := range cloud.Connects() {
		if c.Will != nil {
			p, err := decodePB(c.Will.Message.Payload)
			if err != nil || c.Will.Message.Topic != "spBv1.0/plant/NDEATH/gw" || c.Will.Message.QoS != 1 || c.Will.Message.Retain || !c.Clean {
				t.Errorf("CONNECT %d: will %+v %v, clean start %v", i, p, err, c.Clean)
			}
			wills[c.Conn] = c.Will.Message.Payload
		}
	}
	conn, numbers := 0, []int64{}
	for _, m := range cloud.Messages() {
		if m.Conn != conn {
			if conn > 0 && h.Online {
				h.Take(mqtt.Message{Topic: "spBv1.0/plant/NDEATH/gw", Payload: h.Will, QoS: 1})
			}
			conn, h.Will = m.Conn, wills[m.Conn]
			p, _ := decodePB(h.Will)
			numbers = append(numbers, p.Metrics[0].Value.(int64))
		}
		if m.Topic != "spBv1.0/plant/NDEATH/gw" {
			h.Take(m.Message)
		}
	}
	if len(numbers) != 3 || numbers[0] != 0 || numbers[1] < 1 || numbers[1] >= numbers[2] {
		t.Errorf("bdSeq of the connections: %v", numbers)
	}
}
