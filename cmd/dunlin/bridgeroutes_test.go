package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/bridge/freeport"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// What a file says about routes is what a server upstream sees: lanes,
// while_offline, ttl and the envelope, after an outage in which the program was
// killed.
func TestRoutesOfAFileReachTheServerUpstream(t *testing.T) {
	k := &killing{t: t, dir: t.TempDir()}
	k.configure()
	address := freeport.Address(t) // the server upstream is away
	file := filepath.Join(k.dir, "dunlin.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b = fmt.Appendf(b, `
bridges:
  cloud:
    servers: ["mqtt://%s"]
    status_topic: ""
    envelope: json
    out:
      - {from: "alarms/#", lane: alarm}
      - {from: "log/#", lane: history}
      - {from: "energy/+", to: "site/{node}/energy/+", while_offline: {mean: 1h}}
      - {from: "state/+", while_offline: last-value}
      - {from: "noise/#", while_offline: none}
      - {from: "old/#", ttl: 1ms}
      - {from: "meter/#", to: "site/{node}/meters", max_size: 10B, batch: {count: 2, wait: 10m}}
`, address)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	k.start()
	w := k.dialed(t)
	for i, text := range []string{
		"log/a 1", "log/a 2", "energy/x 1.0", "energy/x 2.0", "state/door open", "state/door shut", "noise/a x", "old/a x", "energy/x 6.0", "alarms/fire !",
		"meter/a 5", "meter/b 12345678901", "meter/c 6",
	} {
		topic, payload, _ := strings.Cut(text, " ")
		w.send(&packet.View{Type: packet.PUBLISH, ID: uint16(i + 1), Publish: packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: mqtt.AtLeastOnce}})
		if v, err := w.receive(); err != nil || v.Type != packet.PUBACK {
			t.Fatal(v.Type, err)
		}
	}
	w.nc.Close()
	k.kill()

	cloud := cloudAt(t, address)
	k.start()
	const messages = 6
	cloudtest.WaitFor(time.Minute, func() bool { return len(cloud.Messages()) >= messages })
	k.stop()
	var got []string
	for _, m := range cloud.Messages() {
		type entry struct {
			Topic, TS, Clock string
			Value            any
		}
		if m.Topic == "site/killed/meters" {
			var batch []entry
			if err := json.Unmarshal(m.Payload, &batch); err != nil || len(batch) != 2 || batch[1].Topic != "meter/c" || batch[1].Value != 6.0 {
				t.Errorf("%s: %q: %v", m.Topic, m.Payload, err)
			}
			continue
		}
		var e entry
		if err := json.Unmarshal(m.Payload, &e); err != nil || e.TS == "" || e.Clock == "" {
			t.Errorf("%s: %q: %v", m.Topic, m.Payload, err)
		}
		got = append(got, fmt.Sprintf("%s %v", m.Topic, e.Value))
	}
	if len(got) == 0 || got[0] != "alarms/fire !" {
		t.Errorf("the alarm does not come first: %q", got)
	}
	slices.Sort(got)
	want := []string{"alarms/fire !", "log/a 1", "log/a 2", "site/killed/energy/x 3", "state/door shut"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// cloudAt lets a server upstream be at address from now on.
func cloudAt(t *testing.T, address string) *cloudtest.Cloud {
	t.Helper()
	cloud, err := cloudtest.New(cloudtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { cloud.Serve(ln); close(served) }()
	t.Cleanup(func() { ln.Close(); <-served; cloud.Close() })
	return cloud
}
