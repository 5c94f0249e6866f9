//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Each number of the configuration at its ends is refused by `check`, in
// words, or lets the server serve.
func configExtremes(t *testing.T) {
	for key, values := range map[string][]string{
		"connections":         {"0", "1", "-1", "1000000", "99999999999999999999"},
		"packet_size":         {"0", "1B", "-1", "256MiB", "257MiB", "99999999GiB"},
		"receive_maximum":     {"0", "1", "-1", "65535", "65536"},
		"topic_alias_maximum": {"0", "1", "-1", "65535", "65536"},
		"keep_alive_max":      {"0s", "1s", "-1s", "65535s", "65536s", "999999h"},
		"session_expiry_max":  {"0s", "1s", "-1s", "never", "999999d"},
		"queue_messages":      {"0", "1", "-1", "9223372036854775807", "9223372036854775808"},
		"queue_size":          {"0", "1B", "-1B", "1024GiB"},
		"retained_messages":   {"0", "1", "-1", "9223372036854775807"},
		"retained_size":       {"0", "1B", "-1B", "1024GiB"},
		"subscriptions":       {"0", "1", "-1", "9223372036854775807"},
		"topic_levels":        {"0", "1", "-1", "65535", "65536"},
		"topic_length":        {"0", "1", "-1", "65535", "65536"},
		"message_rate":        {"0/s", "1/d", "-1/s", "999999999/s"},
		"connect_rate":        {"0/s", "1/d", "-1/s", "999999999/s"},
		"byte_rate":           {"0B/s", "-1B/s", "1GiB/s", "99999999999GiB/s"},
		"flapping":            {"0/min", "1/min", "-1/min", "99999999999/min"},
		"keep_alive_factor":   {"0", "1", "10", "11", "-1"},
		"sessions":            {"0", "1", "-1", "9223372036854775807"},
	} {
		for _, value := range values {
			config := fmt.Sprintf("mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}], limits: {%s: %s}, sys_interval: 0s}\n", key, value)
			if key == "packet_size" && value == "256MiB" {
				config = strings.Replace(config, key, "queue_size: 256MiB, "+key, 1)
			}
			o := victimOptions{config: config, noProbe: true}
			cmd := programCommand(t, o, "check", layOut(t, &o))
			out, err := cmd.CombinedOutput()
			if err != nil {
				if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != exitConfig || !bytes.Contains(out, []byte(key)) || !bytes.Contains(out, []byte("dunlin.yaml:1:")) {
					t.Errorf("%s: %s: %v\n%s", key, value, err, out)
				}
				continue
			}
			s := attackOn(t, o)
			if value == "1/d" && key == "connect_rate" { // that one is used up
				s.stop()
				continue
			}
			a := s.dial(mqtt.V5)
			a.connect("cid=c")
			a.send("SUBSCRIBE id=1 f=t@1")
			a.expect("SUBACK id=1 rcs=0x01 ...")
			a.send("PUBLISH topic=t payload=x retain=1 qos=1 id=1")
			a.until("PUBACK id=1")
			a.alive()
			a.nc.Close()
			s.stop()
		}
	}
}

func manyFilters(t *testing.T) {
	s := attackOpen(t)
	var all [][]byte
	for i := range 10_000 {
		all = append(all, field(fmt.Sprintf("+/+/+/+/+/+/%d", i)), []byte{0})
	}
	a := s.dial(mqtt.V5)
	a.connect("cid=many")
	a.write(frame(0x82, append([][]byte{u16(1), props()}, all...)...))
	if got := a.receive(); !strings.HasPrefix(got, "SUBACK id=1 ") || strings.Count(got, "0x00") != 100 || strings.Count(got, "0x97") != 9_900 {
		t.Errorf("10,000 filters in one packet: %.200s", got)
	}
	a.nc.Close()

	const clients = 10
	for n := range clients {
		a := s.dial(mqtt.V5)
		a.connect(fmt.Sprintf("cid=many-%d", n))
		for i := range 500 {
			a.send(fmt.Sprintf("SUBSCRIBE id=1 f=+/+/+/+/%d/%d/#@0", n, i))
			a.expect("SUBACK id=1 rcs=0x00")
		}
		a.send("SUBSCRIBE id=1 f=one/more@0")
		a.expect("SUBACK id=1 rcs=0x97 ...")
	}
	begin := time.Now()
	const messages = 2000
	a = s.dial(mqtt.V5)
	a.connect("cid=publisher")
	a.flood(messages, func(i int) string { return "PUBLISH payload=x topic=a/b/c/d/0/x/y" })
	if each := time.Since(begin) / messages; each > time.Duration(scale(20, 1))*time.Millisecond {
		t.Errorf("a PUBLISH against %d filters takes %s", clients*500, each)
	}
}

func wildcardExplosion(t *testing.T) {
	s := attackOn(t, victimOptions{config: open, budget: 96 << 20})
	const messages = 50
	var listening sync.WaitGroup
	for n := range scale(100, 900) {
		a := s.dial(mqtt.V5)
		a.connect(fmt.Sprintf("cid=all-%d", n))
		a.send("SUBSCRIBE id=1 f=#@0 f=boom/#@0 f=+/#@0 f=+/+@0 f=boom/+@0 f=+/a/#@0 f=boom/a/#@0 f=+/+/#@0 f=boom/+/#@0 f=+/+/+@0")
		a.until("SUBACK")
		listening.Go(func() {
			next := 0
			for got := ""; next < messages && got != "silence" && got != "closed"; got = a.receive() {
				if strings.HasPrefix(got, "PUBLISH topic=boom/a/b") {
					if want := fmt.Sprintf("payload=%d ", next); !strings.Contains(got, want) {
						t.Errorf("got %s, want %s once and in order", got, want)
						return
					}
					next++
				}
			}
			if next != messages {
				t.Errorf("got %d messages of %d", next, messages)
			}
		})
	}
	p := s.dial(mqtt.V5)
	p.connect("cid=publisher")
	for i := range messages {
		p.send(fmt.Sprintf("PUBLISH id=1 qos=1 topic=boom/a/b payload=%d ", i))
		p.expect("PUBACK id=1 ...")
	}
	listening.Wait()
}
