//go:build linux

package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

func TestStatusCommand(t *testing.T) {
	socket, _, _ := startAPI(t)
	until(t, "the bridge is down", func() bool {
		var s api.Status
		socket.read("/api/v1/status", &s)
		return s.Bridges[0].State == "down" && s.Devices[0].State == "online"
	})
	code, out, stderr := runTool(t, "status")
	for _, want := range []string{
		`^barn   dunlin \S+   up \d+ \w+   [0-9.]+ MB   cpu \d+ %          ATTENTION: 1\n\nSensors 1/1 good ──▶ Broker 0 clients, 0.0/s in, 0.0/s out ──▶ Spool 0 ──✕──▶ cloud DOWN \d+ m?s\n`,
		`\nDEVICE  DRIVER  READING  AGE +STATE\ntank    sim     12.5 cm  \d+ m?s +online\n`,
		`\nBRIDGE  STATE +WAITING  SIZE  OLDEST  DROPPED  LAST ERROR\ncloud   down \d+ m?s +0        0 B   -       0        tcp: .*refused`,
		`\n! bridge cloud is down: .*\n  'dunlin doctor' says what to do\n$`,
	} {
		if code != exitDone || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("code %d, stderr %q, and no %s in\n%s", code, stderr, want, out)
		}
	}
	var s api.Status
	if code, out, _ := runTool(t, "status", "--json"); code != exitDone || json.Unmarshal([]byte(out), &s) != nil || s.API != "v1" {
		t.Errorf("--json: code %d, %s", code, out)
	}
	if code, out, _ := runTool(t, "status", "--check"); code != 1 || !strings.HasPrefix(out, "WARNING: bridge cloud is down: ") || strings.Count(out, "\n") != 1 {
		t.Errorf("--check: code %d, %q", code, out)
	}
	nobody := filepath.Join(t.TempDir(), "s")
	if code, out, _ := runTool(t, "status", "--check", "--socket", nobody); code != 2 || !strings.HasPrefix(out, "CRITICAL: no gateway runs") {
		t.Errorf("--check without a gateway: code %d, %q", code, out)
	}
	if code, _, stderr := runTool(t, "status", "--socket", nobody); code != exitUnreachable || !strings.Contains(stderr, "no gateway runs with its socket at "+nobody) {
		t.Errorf("without a gateway: code %d, %q", code, stderr)
	}
}

func TestClientsAndTopicsCommands(t *testing.T) {
	_, _, address := startAPI(t)
	subscribe(t, address, "esp-1", "esp-2")
	until(t, "both clients are listed", func() bool {
		code, out, _ := runTool(t, "clients", "esp-", "--connected")
		return code == exitDone && strings.Contains(out, "\nesp-1 ") && strings.Contains(out, "\nesp-2 ") && strings.HasSuffix(out, "\n2 in all\n")
	})
	for args, own := range map[string]bool{"": false, "--all": true, "--json": true} {
		code, out, _ := runTool(t, append([]string{"clients"}, strings.Fields(args)...)...)
		if code != exitDone || !strings.Contains(out, "esp-1") || strings.Contains(out, "api") != own {
			t.Errorf("clients %s: %d\n%s", args, code, out)
		}
	}
	if code, out, _ := runTool(t, "clients", "kick", "esp-1"); code != exitDone || out != "esp-1: connection ended\n" {
		t.Errorf("kick: %d %q", code, out)
	}
	if code, _, stderr := runTool(t, "clients", "kick", "nobody"); code != exitFailed || stderr != "dunlin clients: no client \"nobody\" is connected\n" {
		t.Errorf("kick nobody: %d %q", code, stderr)
	}
	if code, out, _ := runTool(t, "clients", "drop", "esp-2"); code != exitDone || out != "esp-2: session ended\n" {
		t.Errorf("drop: %d %q", code, out)
	}
	if code, _, stderr := runTool(t, "clients", "drop", "nobody"); code != exitFailed || stderr != "dunlin clients: \"nobody\" has no session\n" {
		t.Errorf("drop nobody: %d %q", code, stderr)
	}
	if code, _, stderr := runTool(t, "clients", "kick", "ap"); code != exitFailed || stderr != "dunlin clients: no client \"ap\" is connected\n" {
		t.Errorf("kick ap, which api, a client of the gateway itself, is near: %d %q", code, stderr)
	}
	for _, step := range []struct {
		args string
		code int
		says string
	}{
		{"bans", exitDone, "CLIENT  USER  ADDRESS  FOR\n"},
		{"ban esp-2 --for 90m", exitDone, "kept out for 1 h 30 min\n"},
		{"ban esp-2 esp-1", exitUsage, "takes one client"},
		{"ban", exitUsage, "name a client, --user or --address"},
		{"ban --user eve --address 192.0.2.256", exitFailed, "is not an IP address"},
		{"ban esp-1 --for 0s", exitUsage, "--for is how long, as 10m"},
		{"ban esp-1 --for -1s", exitUsage, "for --for: must be a duration such as"},
		{"ban --user eve --address 192.0.2.7", exitDone, "kept out for 1 h 0 min\n"},
		{"bans", exitDone, "eve   192.0.2.7"},
		{"unban --user eve", exitFailed, "there is no such ban"},
		{"unban --user eve --address 192.0.2.7", exitDone, "may come back\n"},
		{"--user eve", exitUsage, "are for ban and unban"},
	} {
		code, out, stderr := runTool(t, append([]string{"clients"}, strings.Fields(step.args)...)...)
		if code != step.code || !strings.Contains(out+stderr, step.says) {
			t.Errorf("clients %s: %d %q %q", step.args, code, out, stderr)
		}
	}
	until(t, "a banned client is gone", func() bool {
		_, out, _ := runTool(t, "clients", "esp-2", "--connected")
		return out == "CLIENT  USER  ADDRESS  MQTT  STATE  SUBS  IN  OUT  WAITING  DROPPED\n0 in all\n"
	})
	if code, _, stderr := runTool(t, "pub", "-L", "mqtt://"+address+"/t", "-i", "esp-2", "-m", "1", "-V", "5"); code == exitDone || !strings.Contains(stderr, "Banned") {
		t.Errorf("a banned client publishes: %d %q", code, stderr)
	}
	for _, m := range [][2]string{{"old/a", "1"}, {"old/b/c", "2\x1b[31m"}} {
		if code, _, stderr := runTool(t, "pub", "-L", "mqtt://"+address+"/"+m[0], "-m", m[1], "-r", "-q", "1"); code != exitDone {
			t.Fatal(stderr)
		}
	}
	if code, out, _ := runTool(t, "topics", "old"); code != exitDone || out != "old/a           1\nold/b  1 below\n" {
		t.Errorf("topics old: %d %q", code, out)
	}
	if code, out, _ := runTool(t, "topics", "old/b"); code != exitDone || strings.Contains(out, "\x1b") {
		t.Errorf("a payload controls the terminal: %d %q", code, out)
	}
	if code, out, _ := runTool(t, "topics", "clear", "old/#"); code != exitDone || out != "old/a\nold/b/c\n2 would be cleared: add -y\n" {
		t.Errorf("clear without -y: %d %q", code, out)
	}
	if code, out, _ := runTool(t, "pub", "--clear", "old/b/#"); code != exitDone || out != "old/b/c\n1 would be cleared: add -y\n" {
		t.Errorf("pub --clear: %d %q", code, out)
	}
	if code, out, _ := runTool(t, "pub", "--clear", "old/b/#", "-y"); code != exitDone || out != "old/b/c\n1 cleared\n" {
		t.Errorf("pub --clear -y: %d %q", code, out)
	}
	if code, _, stderr := runTool(t, "pub", "--clear", "old/#", "-y", "-h", "elsewhere"); code != exitUsage || !strings.Contains(stderr, "--clear asks the gateway of this machine") {
		t.Errorf("pub --clear of a server: %d %q", code, stderr)
	}
	if code, out, _ := runTool(t, "topics", "clear", "old/#", "-y"); code != exitDone || out != "old/a\n1 cleared\n" {
		t.Errorf("clear: %d %q", code, out)
	}
	if code, out, _ := runTool(t, "topics", "old"); code != exitDone || out != "" {
		t.Errorf("after it: %d %q", code, out)
	}
}

func TestWording(t *testing.T) {
	for seconds, want := range map[float64]string{-1: "never", 0.043: "43 ms", 12.9: "12 s", 260: "4 min", 3720: "1 h 2 min", 532800: "6 d 4 h"} {
		if got := span(seconds); got != want {
			t.Errorf("span(%v) = %q, want %q", seconds, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_100_000: "1.1 MB", 99_960: "100 kB", 999_700: "1.0 MB", 5e15: "5000 TB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTopShowsRates(t *testing.T) {
	_, _, address := startAPI(t)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			runTool(t, "pub", "-L", "mqtt://"+address+"/x", "-m", "1", "--repeat", "20")
		}
	})
	code, out, stderr := runTool(t, "top", "--every", "500ms", "--times", "3")
	cancel()
	running.Wait()
	looks := strings.Split(strings.TrimSpace(out), "\n\nbarn ")
	if code != exitDone || strings.Count(out, "BRIDGE  STATE") != 3 || strings.Contains(out, "\x1b") {
		t.Fatalf("code %d %s\n%s", code, stderr, out)
	}
	if last := looks[len(looks)-1]; strings.Contains(last, "Broker 0 clients, 0.0/s in") {
		t.Errorf("no rate while messages come in:\n%s", last)
	}
	if code, _, stderr := runTool(t, "top", "--socket", filepath.Join(t.TempDir(), "none")); code != exitUnreachable || stderr == "" {
		t.Errorf("without a gateway: %d %q", code, stderr)
	}
}
