package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// bridgeTo adds a bridge to the configuration.
func (k *killing) bridgeTo(address string) {
	k.t.Helper()
	file := filepath.Join(k.dir, "dunlin.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		k.t.Fatal(err)
	}
	b = fmt.Appendf(b, "bridges:\n  cloud: {servers: [%q], status_topic: \"\", out: [{from: \"k/#\"}]}\n", "mqtt://"+address)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *killing) dialed(t *testing.T) *mortal {
	t.Helper()
	w, err := k.dial("filler")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// backlog publishes messages of QoS 1 and 2 to ten topics and waits for every
// acknowledgement.
func backlog(t *testing.T, k *killing, messages int) {
	t.Helper()
	w := k.dialed(t)
	defer w.nc.Close()
	const window = 20
	unacked := 0
	take := func() {
		v, err := w.receive()
		if err != nil {
			t.Fatal(err)
		}
		switch v.Type {
		case packet.PUBREC:
			w.send(&packet.View{Type: packet.PUBREL, ID: v.ID})
		case packet.PUBACK, packet.PUBCOMP:
			unacked--
		}
	}
	for i := range messages {
		topic := i % 10
		w.send(&packet.View{Type: packet.PUBLISH, ID: uint16(i%60000 + 1), Publish: packet.Publish{
			Topic: fmt.Appendf(nil, "k/%d", topic), Payload: fmt.Appendf(nil, "%d %d", topic, i), QoS: mqtt.QoS(1 + topic%2),
		}})
		for unacked++; unacked >= window; {
			take()
		}
	}
	for unacked > 0 {
		take()
	}
}

// different counts the different messages.
func different(all []cloudtest.Message, seen map[string]int) int {
	clear(seen)
	for i := range all {
		seen[string(all[i].Payload)]++
	}
	return len(seen)
}

func inOrder(t *testing.T, all []cloudtest.Message) {
	t.Helper()
	seen := map[string]int{}
	different(all, seen)
	last := map[string]int{}
	first := map[string]bool{}
	for i := range all {
		m := &all[i]
		payload := string(m.Payload)
		topic, number, _ := strings.Cut(payload, " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("nobody sent %q", payload)
		}
		if m.QoS == mqtt.ExactlyOnce && seen[payload] != 1 {
			t.Errorf("%q arrived %d times at QoS 2", payload, seen[payload])
		}
		if first[payload] {
			continue
		}
		first[payload] = true
		if before, any := last[topic]; any && n < before {
			t.Errorf("topic %s: %d after %d", topic, n, before)
		}
		last[topic] = n
	}
}

// resident is the memory of a process in bytes.
func resident(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}
