//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

// Each value that mosquitto publishes below $SYS is here, under the same name
// and in the same format.
func TestSysHasMosquittosNamesAndFormats(t *testing.T) {
	t.Parallel() // it waits more than it works
	theirs := upstream(t, "sys_interval 1")
	address, _, _ := startGateway(t, `mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}], sys_interval: 1s}`, deps{})
	_, ours, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	want, got := readSys(t, port(theirs)[1]), readSys(t, ours)
	if len(want) < 50 {
		t.Fatalf("mosquitto published only %d values", len(want))
	}
	for name, value := range want {
		own, ok := got[name]
		if !ok {
			t.Errorf("%s is missing; mosquitto says %q", name, value)
		} else if shape(own) != shape(value) {
			t.Errorf("%s is %q, mosquitto's is %q", name, own, value)
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "$SYS/dunlin/") && strings.Count(name, "/") < 2 {
			t.Errorf("%s is no value of a group", name)
		}
	}
}

// The counters are those of a mosquitto that had the same traffic, to the byte.
func TestSysCountsAsMosquittoDoes(t *testing.T) {
	t.Parallel() // it waits more than it works
	theirs := upstream(t, "sys_interval 1", "max_queued_messages 2")
	address, _, _ := startGateway(t, `mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}], sys_interval: 1s, limits: {queue_messages: 2}}`, deps{})
	want, got := countedBy(t, theirs.Addr()), countedBy(t, address)
	for _, name := range strings.Fields(`messages/received messages/sent bytes/received bytes/sent
		publish/messages/sent publish/messages/dropped publish/bytes/received publish/bytes/sent
		clients/total clients/maximum clients/connected clients/disconnected clients/active clients/inactive clients/expired
		subscriptions/count shared_subscriptions/count`) {
		if name = "$SYS/broker/" + name; got[name] == "" || got[name] != want[name] {
			t.Errorf("%s is %q, mosquitto's is %q", name, got[name], want[name])
		}
	}
	// mosquitto tells a PUBLISH by the first byte without DUP and the lower bit
	// of QoS, and so overlooks those with QoS 2 or RETAIN: 6 of these 12.
	const publishes = "$SYS/broker/publish/messages/received"
	if got[publishes] != "12" || want[publishes] != "6" {
		t.Errorf("of 12 PUBLISH packets dunlin counts %s, mosquitto %s", got[publishes], want[publishes])
	}
}

// countedBy gives a server some traffic of every kind and returns what it
// publishes below $SYS when that has come to rest.
func countedBy(t *testing.T, address string) map[string]string {
	t.Helper()
	enter := func(id string, clean bool) *client.Conn {
		c, err := client.Connect(t.Context(), client.Options{
			Target: client.Target{Network: "tcp", Address: address}, Version: mqtt.V311, ClientID: id, CleanStart: clean, KeepAlive: 600, Ignore: id != "all",
		}, new(client.Session))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Abort)
		return c
	}
	answered := func(c *client.Conn, _ uint16, err error) {
		if err == nil {
			_, err = c.Next(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	subscribe := func(c *client.Conn, qos mqtt.QoS, filter string) {
		id, err := c.Subscribe([]mqtt.Subscription{{Filter: filter, QoS: qos}}, packet.Properties{})
		answered(c, id, err)
	}
	away := enter("away", false)
	subscribe(away, 1, "t/1")
	away.Close(mqtt.NormalDisconnection, packet.Properties{})
	all := enter("all", true)
	subscribe(all, 2, "t/#")
	subscribe(all, 0, "u/+")
	id, err := all.Unsubscribe("u/+", packet.Properties{})
	answered(all, id, err)
	pub := enter("pub", true)
	for i := range 12 {
		p := client.Publication{Topic: fmt.Sprint("t/", i%3), Payload: make([]byte, 10*i), QoS: mqtt.QoS(i % 3), Retain: i > 8}
		if err := pub.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if err := pub.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		answered(all, 0, nil) // with two messages its queue is full
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	all.Next(ended) // acknowledges the last one
	subscribe(enter("late", true), 0, "t/+")
	enter("gone", true).Close(mqtt.NormalDisconnection, packet.Properties{})

	time.Sleep(2500 * time.Millisecond) // two updates, one of them by another program
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	// What was there before the reader came: the reader counts too.
	out, err := exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-t", "$SYS/#", "-F", "%r %t=%p", "-W", "2").Output()
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 27) {
		t.Fatal(err)
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		line, retained := strings.CutPrefix(strings.TrimSpace(line), "1 ")
		if name, value, _ := strings.Cut(line, "="); retained {
			values[name] = value
		}
	}
	return values
}

// A bridge's state is where mosquitto's is, and as it writes it.
func TestSysTellsTheStateOfABridge(t *testing.T) {
	up := upstream(t)
	address, _, _ := startGateway(t, fmt.Sprintf(`
mqtt: {sys_interval: 1s, listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
bridges: {cloud: {servers: ["mqtt://%s"], client_id: "barn/1", out: [{from: "a/#"}]}}
`, up.Addr()), deps{retryMax: time.Second})
	const topic = "$SYS/broker/connection/barn%2F1/state "
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	w := startViewer(t, n, "-t", "$SYS/broker/connection/#")
	w.line(topic + "1")
	up.Stop()
	w.line(topic + "0")
	up.Start()
	w.line(topic + "1")

	// dunlin's own values: the numbers come every sys_interval.
	own := startViewer(t, n, "-t", "$SYS/dunlin/bridge/cloud/+")
	own.line("$SYS/dunlin/bridge/cloud/state up")
	own = startViewer(t, n, "-t", "$SYS/dunlin/bridge/cloud/+/messages")
	own.line("$SYS/dunlin/bridge/cloud/spool/messages 0")
	own = startViewer(t, n, "-t", "$SYS/dunlin/bridge/cloud/error")
	own.line("$SYS/dunlin/bridge/cloud/error none")
}

var number = regexp.MustCompile(`\d+`)

// shape is a value with its digits taken out; a version is any version.
func shape(value string) string {
	if _, _, ok := strings.Cut(value, " version "); ok {
		return "NAME version NUMBER"
	}
	if before, after, ok := strings.Cut(value, "."); ok && len(after) == 2 {
		return number.ReplaceAllString(before, "N") + ".NN"
	}
	return number.ReplaceAllString(value, "N")
}

// readSys reads what a server publishes below $SYS in three seconds.
func readSys(t *testing.T, port string) map[string]string {
	t.Helper()
	out, err := exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-t", "$SYS/#", "-F", "%t=%p", "-W", "3").Output()
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 27) { // 27: its time is over
		t.Fatal(err)
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	return values
}
