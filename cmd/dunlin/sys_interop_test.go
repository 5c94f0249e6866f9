//go:build linux

package main

import (
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
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
	w.line(topic+"1", patience)
	up.Stop()
	w.line(topic+"0", patience)
	up.Start()
	w.line(topic+"1", patience)

	// dunlin's own values: the numbers come every sys_interval.
	own := startViewer(t, n, "-t", "$SYS/dunlin/bridge/cloud/+")
	own.line("$SYS/dunlin/bridge/cloud/state up", patience)
	own = startViewer(t, n, "-t", "$SYS/dunlin/bridge/cloud/+/messages")
	own.line("$SYS/dunlin/bridge/cloud/spool/messages 0", patience)
	own = startViewer(t, n, "-t", "$SYS/dunlin/bridge/cloud/error")
	own.line("$SYS/dunlin/bridge/cloud/error none", patience)
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
