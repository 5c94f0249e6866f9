package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/bridge/freeport"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

// A route that gets another lane leaves messages in the one that it had: they go
// up, after a reload and after a restart.
func TestWhatWaitsInALaneWithoutRoutesGoesUp(t *testing.T) {
	const routes = "\nbridges:\n  cloud: {servers: [\"mqtt://%s\"], status_topic: \"\", out: [{from: \"data/#\"}]}\n"
	arrive := func(t *testing.T, cloud *cloudtest.Cloud) {
		t.Helper()
		if !cloudtest.WaitFor(2*time.Minute, func() bool { return len(cloud.Messages()) >= 4 }) || !slices.Equal(cloud.Payloads(), []string{"1", "2", "3", "4"}) {
			t.Errorf("arrived: %q", cloud.Payloads())
		}
	}
	t.Run("reload", func(t *testing.T) {
		address := freeport.Address(t)
		f := startFromFile(t, "mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}"+fmt.Sprintf(routes, address))
		pub, err := f.gateway.broker.Attach(broker.ClientOptions{ID: "pub"})
		if err != nil {
			t.Fatal(err)
		}
		defer pub.Close()
		publish := func(n int) {
			if err := pub.Publish(t.Context(), mqtt.Message{Topic: "data/a", Payload: fmt.Append(nil, n), QoS: mqtt.AtLeastOnce}); err != nil {
				t.Fatal(err)
			}
		}
		publish(1)
		publish(2)
		publish(3)
		if code, _, stderr := f.reload(`from: "data/#"`, `from: "data/#", lane: history`); code != 0 {
			t.Fatal(stderr)
		}
		publish(4)
		cloud := cloudAt(t, address)
		if code, _, stderr := runTool(t, "bridge", "test", "cloud"); code != 0 { // it ends the wait for the next attempt
			t.Fatal(stderr)
		}
		arrive(t, cloud)
	})
	t.Run("restart", func(t *testing.T) {
		k := &killing{t: t, dir: t.TempDir()}
		k.configure()
		address := freeport.Address(t)
		file := filepath.Join(k.dir, "dunlin.yaml")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write := func(lane string) {
			text := append(b[:len(b):len(b)], strings.Replace(fmt.Sprintf(routes, address), `/#"`, `/#", lane: `+lane, 1)...)
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		publish := func(from, to int) {
			w := k.dialed(t)
			defer w.nc.Close()
			for n := from; n <= to; n++ {
				w.send(&packet.View{Type: packet.PUBLISH, ID: uint16(n), Publish: packet.Publish{Topic: []byte("data/a"), Payload: fmt.Append(nil, n), QoS: mqtt.AtLeastOnce}})
				if v, err := w.receive(); err != nil || v.Type != packet.PUBACK {
					t.Fatal(v.Type, err)
				}
			}
		}
		write("alarm")
		k.start()
		publish(1, 3)
		k.kill()
		write("live")
		k.start()
		publish(4, 4)
		k.kill()
		cloud := cloudAt(t, address)
		k.start()
		defer k.stop()
		arrive(t, cloud)
	})
}

// Dead letters that no route wants any more do not keep the others back.
func TestDeadLettersWithoutARoute(t *testing.T) {
	cloud, address := upstreamCloud(t)
	f := startFromFile(t, fmt.Sprintf(`mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
bridges:
  cloud: {servers: ["mqtt://%s"], status_topic: "", out: [{from: "gone/#", max_size: 1B}, {from: "here/#", max_size: 1B}]}
`, address))
	pub, err := f.gateway.broker.Attach(broker.ClientOptions{ID: "pub"})
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	for _, name := range []string{"gone/a", "here/a"} {
		if err := pub.Publish(t.Context(), mqtt.Message{Topic: name, Payload: []byte("large"), QoS: mqtt.AtLeastOnce}); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(n int) func() bool {
		return func() bool {
			var b api.Bridge
			f.socket.read("/api/v1/bridges/cloud", &b)
			return b.DeadKept == n
		}
	}
	until(t, "both are given up", kept(2))
	if code, _, stderr := f.reload(`{from: "gone/#", max_size: 1B}, {from: "here/#", max_size: 1B}`, `{from: "here/#"}`); code != 0 {
		t.Fatal(stderr)
	}
	code, _, stderr := runTool(t, "bridge", "dead", "requeue", "cloud", "all")
	if code != exitFailed || !strings.Contains(stderr, `1 queued again, 1 stay`) || !strings.Contains(stderr, `no route wants "gone/a" any more`) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	until(t, "one is left", kept(1))
	until(t, "the other arrives", func() bool { return slices.Equal(cloud.Payloads(), []string{"large"}) })
}

// A plan says how many messages go because no route takes them any more, and only
// when there are any.
func TestReloadSaysWhatItGivesUp(t *testing.T) {
	f := startFromFile(t, fmt.Sprintf(`mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
bridges:
  cloud: {servers: ["mqtt://%s"], status_topic: "", out: [{from: "gone/#"}, {from: "here/#", lane: alarm}]}
`, freeport.Address(t)))
	pub, err := f.gateway.broker.Attach(broker.ClientOptions{ID: "pub"})
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	for i := range 5 {
		name := "here/a"
		if i < 3 {
			name = "gone/a"
		}
		if err := pub.Publish(t.Context(), mqtt.Message{Topic: name, Payload: []byte("x"), QoS: mqtt.AtLeastOnce}); err != nil {
			t.Fatal(err)
		}
	}
	code, out, _ := f.reload(`"gone/#"`, `"gone/+"`) // takes them as well
	if code != exitDone || strings.Contains(out, "given up") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	f.write(strings.ReplaceAll(f.text, `"gone/+"`, `"gone/b"`))
	for _, args := range [][]string{{"reload", "--dry-run"}, {"reload"}} {
		code, out, _ := runTool(t, args...)
		const told = "~ bridges.cloud.spool 3 messages waiting that no route takes any more → given up live"
		if code != exitDone || !strings.Contains(strings.Join(strings.Fields(out), " "), told) {
			t.Errorf("%s: exit code %d:\n%s", args, code, out)
		}
	}
	_, out, _ = f.reload("lane: alarm", "lane: history")
	const told = "~ bridges.cloud.spool 2 messages waiting in another lane than their topic's → may change places with what comes live"
	if !strings.Contains(strings.Join(strings.Fields(out), " "), told) {
		t.Errorf("another lane:\n%s", out)
	}
}
