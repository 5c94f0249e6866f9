//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

const patience = 20 * time.Second

// The whole road: sensor, serial line, server, bridge, a real mosquitto; an
// outage of 20 s under 100 messages/s; a command from upstream and its result.
func TestEndToEndOutage(t *testing.T) {
	t.Parallel() // it waits more than it works
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	up := upstream(t)
	observer := startViewer(t, up.Port(), "-i", "observer", "-c", "-q", "1", "-t", "sites/#")
	wire := startTap(t, up.Addr())
	pty := serialtest.Pty(t)
	buses := newFakeBuses(t)
	_, g, _ := startGateway(t, fmt.Sprintf(`
node: barn
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
devices:
  - {name: host, driver: system, interval: 1s}
  - {name: scale, driver: lines, port: {path: %s, baud: 9600, settle: 0s}, format: json, stale_after: 10m}
  - {name: heater, driver: gpio_out, line: GPIO27, active_low: true}
bridges:
  cloud:
    servers: ["mqtt://%s"]
    client_id: "{node}"
    status_topic: "sites/{node}/status"
    out:
      - {from: "dunlin/{node}/#", to: "sites/{node}/#", qos: 1}
      - {from: "load/+", to: "sites/{node}/load/+"}
    in: [{from: "cmd/{node}/#", to: "dunlin/{node}/#"}]
`, pty.Path(), wire.addr()), deps{buses: buses, retryMax: 2 * time.Second})

	observer.line("sites/barn/host/load_1m ")
	observer.line("sites/barn/host/memory_used_percent ")
	pty.Send(`{"weight": 12.5}` + "\n")
	observer.line("sites/barn/scale/weight 12.5")

	publishThroughOutage(t, g, up.Stop, up.Start, wire)
	checkArrivals(t, observer)
	again, wrong := wire.resent()
	if len(again) == 0 {
		t.Error("nothing was resent with DUP=1, although acknowledgements had been lost")
	}
	if len(wrong) > 0 {
		t.Errorf("MQTT311-7.0.0-1 as a client the gateway keeps to MQTT-3.3.1-1; sent with DUP=1 at the first attempt: %q", wrong)
	}
	t.Logf("%d messages were sent again with DUP=1", len(again))

	send := exec.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", strconv.Itoa(up.Port()), "-q", "1", "-t", "cmd/barn/heater/output/set", "-m", "ON")
	if out, err := send.CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v %s", err, out)
	}
	observer.line("sites/barn/heater/output ON")
	observer.until("result", patience, func(line string) bool {
		return strings.HasPrefix(line, "sites/barn/heater/output/result ") && strings.Contains(line, `"ok":true`)
	})
	buses.gpio.mu.Lock()
	defer buses.gpio.mu.Unlock()
	if levels := buses.gpio.levels; !slices.Equal(levels, []bool{false, true}) {
		t.Errorf("the line was driven %v, want inactive at its request, then active once", levels)
	}
}

const (
	outage      = 20 * time.Second
	loadPerTick = 10 // of 100 ms: 100 messages/s
	loadTopics  = 5
)

// publishThroughOutage publishes 100 messages/s at QoS 1 while the server is
// stopped for 20 s. Just before, its acknowledgements get lost, so that some
// messages have to be sent again.
func publishThroughOutage(t *testing.T, g *gateway, stop, start func(), wire *tap) {
	t.Helper()
	c, err := g.broker.Attach(broker.ClientOptions{ID: "load", CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	ticks := int(outage/(100*time.Millisecond)) + 20
	for i := range ticks {
		switch i {
		case 5:
			wire.swallowAcks(true)
		case 10:
			stop()
			wire.swallowAcks(false)
		}
		for j := range loadPerTick {
			n := i*loadPerTick + j
			m := mqtt.Message{Topic: fmt.Sprintf("load/%d", n%loadTopics), Payload: []byte(strconv.Itoa(n / loadTopics)), QoS: mqtt.AtLeastOnce}
			if err := c.Publish(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		if i == ticks-10 {
			start()
		}
		<-tick.C
	}
}

// checkArrivals waits for every message and checks the order per topic.
func checkArrivals(t *testing.T, observer *viewer) {
	t.Helper()
	perTopic := (int(outage/(100*time.Millisecond)) + 20) * loadPerTick / loadTopics
	next := make([]int, loadTopics)
	missing := perTopic * loadTopics
	check := func(line string) bool {
		rest, ok := strings.CutPrefix(line, "sites/barn/load/")
		if !ok {
			return false
		}
		var topic, n int
		if _, err := fmt.Sscanf(rest, "%d %d", &topic, &n); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		switch {
		case n == next[topic]:
			next[topic]++
			missing--
		case n > next[topic]:
			t.Fatalf("MQTT-4.6.0-6 load/%d: %d came before %d", topic, n, next[topic])
		}
		return missing == 0
	}
	for _, line := range observer.seen {
		check(line)
	}
	if missing > 0 {
		observer.until("end of the load", 2*time.Minute, check)
	}
}

// A gateway that is killed cannot say goodbye: the server upstream does.
func TestEndToEndKill(t *testing.T) {
	t.Parallel()
	up := upstream(t)
	observer := startViewer(t, up.Port(), "-t", "sites/#")
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	text := fmt.Sprintf(`
node: barn
data_dir: data
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
devices: [{name: host, driver: system, interval: 1s}]
bridges:
  cloud:
    servers: ["%s"]
    status_topic: "sites/{node}/status"
    out: [{from: "dunlin/{node}/host/#", to: "sites/{node}/host/#"}]
`, up.URL())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "run", "-c", file)
		cmd.Env = append(os.Environ(), "DUNLIN_AS_PROGRAM=1")
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	cmd := program()
	observer.line("sites/barn/status online")
	observer.line("sites/barn/host/load_1m ")
	cmd.Process.Kill()
	cmd.Wait()
	observer.line("sites/barn/status offline")

	cmd = program()
	observer.line("sites/barn/status online")
	observer.line("sites/barn/host/availability online")
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("stopped by a signal: %v, want exit 0", err)
	}
	observer.line("sites/barn/host/availability offline")
	observer.line("sites/barn/status offline")
}

// The bridge trusts its own authority and shows its certificate; a server of
// another authority gets nothing.
func TestEndToEndTLS(t *testing.T) {
	t.Parallel()
	up, a, port := secureUpstream(t)
	observer := startViewer(t, up.Port(), "-t", "sites/#")
	bridgeOver := func(ca string) string {
		return fmt.Sprintf(`
node: barn
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
devices: [{name: host, driver: system, interval: 1s}]
bridges:
  cloud:
    servers: ["mqtts://localhost:%s"]
    credentials: {cert: %s, key: %s}
    tls: {ca: %s}
    status_topic: ""
    out: [{from: "dunlin/{node}/host/#", to: "sites/{node}/#"}]
`, port, a.path("client.pem"), a.path("client.key"), ca)
	}
	down := make(chan bridge.Event, 16)
	_, _, stop := startGateway(t, bridgeOver(a.path("client.pem")), deps{onEvent: func(e bridge.Event) {
		if e.Kind == bridge.EventDown {
			select {
			case down <- e:
			default:
			}
		}
	}})
	select {
	case e := <-down:
		if e.Class != bridge.ClassTLS {
			t.Errorf("a server of another authority: class %q (%s), want %q", e.Class, e.Reason, bridge.ClassTLS)
		}
	case <-time.After(patience):
		t.Error("the bridge did not refuse a server of another authority")
	}
	stop()
	startGateway(t, bridgeOver(a.path("ca.pem")), deps{})
	observer.line("sites/barn/load_1m ")
}

// An unplugged serial device is offline with its reason a moment after
// will_delay; plugged back, its values come before online.
func TestEndToEndUnplug(t *testing.T) {
	t.Parallel() // it waits more than it works
	needClients(t)
	pty := serialtest.Pty(t)
	address, _, _ := startGateway(t, fmt.Sprintf(`
node: barn
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
devices:
  - {name: scale, driver: lines, port: {path: %s, baud: 9600, settle: 0s}, format: json, stale_after: 10m, will_delay: 2s}
`, pty.Path()), deps{})
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	w := startViewer(t, n, "-t", "dunlin/barn/scale/#", "-q", "1")
	pty.Send(`{"weight": 1}` + "\n")
	w.line("dunlin/barn/scale/weight 1")
	w.line("dunlin/barn/scale/availability online")

	pulled := time.Now()
	pty.Unplug()
	w.until("health with its reason", patience, func(line string) bool {
		return strings.HasPrefix(line, "dunlin/barn/scale/health ") && strings.Contains(line, `"reason":"unplugged"`)
	})
	w.line("dunlin/barn/scale/availability offline")
	if took := time.Since(pulled); took < 2*time.Second || took > 2*time.Second+10*time.Second {
		t.Errorf("offline after %s, want within a second of will_delay (2 s)", took)
	} else {
		t.Logf("offline %s after the plug was pulled, will_delay 2s", took)
	}

	w.seen = nil
	pty.Replug()
	for i := range 20 {
		pty.Send(fmt.Sprintf("{\"weight\": %d}\n", 100+i))
	}
	w.line("dunlin/barn/scale/weight 119")
	var values []string
	online := -1
	for _, line := range w.seen {
		if v, ok := strings.CutPrefix(line, "dunlin/barn/scale/weight "); ok {
			values = append(values, v)
		}
		if line == "dunlin/barn/scale/availability online" {
			online = len(values)
		}
	}
	if online == 0 {
		t.Error("online was published before the first value")
	}
	if online < 0 {
		w.line("dunlin/barn/scale/availability online")
	}
	for i, v := range values {
		if v != strconv.Itoa(100+i) {
			t.Fatalf("value %d is %s, want %d: a line was lost; values %v", i, v, 100+i, values)
		}
	}
	if len(values) != 20 {
		t.Errorf("%d values arrived, want all 20", len(values))
	}
}
