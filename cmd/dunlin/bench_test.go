//go:build linux

package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// The figures for people and those of --json, whose names do not change.
func TestBenchCommand(t *testing.T) {
	_, _, address := startAPI(t)
	args := []string{"bench", "-L", "mqtt://" + address, "--clients", "4", "--rate", "100", "--duration", "300ms"}
	code, out, stderr := runTool(t, args...)
	shape := regexp.MustCompile(`^sent \d+( of 30)?   received (\d+) of (\d+)   lost 0   duplicate 0   out of order 0
latency  p50 [\d.]+ (µs|ms|s)   p95 [\d.]+ (µs|ms|s)   p99 [\d.]+ (µs|ms|s)   max [\d.]+ (µs|ms|s)
gateway  cpu \d+ %   memory [\d.]+ MB
$`)
	if code != exitDone || stderr != "" || !shape.MatchString(out) {
		t.Errorf("code %d\n%s%s", code, out, stderr)
	}

	code, out, stderr = runTool(t, append(args, "--json")...)
	var doc map[string]any
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != exitDone {
		t.Fatalf("code %d, %v: %s%s", code, err, out, stderr)
	}
	for _, name := range strings.Fields("api due sent expected received lost duplicate out_of_order refused duration p50 p95 p99 max gateway") {
		if _, ok := doc[name]; !ok {
			t.Errorf("no %q in %s", name, out)
		}
	}
	if len(doc) != 15 || doc["api"] != "v1" || doc["due"] != 30.0 {
		t.Errorf("%s", out)
	}

	code, _, stderr = runTool(t, "bench", "-L", "mqtt://"+freeAddress(t), "--duration", "1s")
	if code != exitUnreachable || !strings.Contains(stderr, "cannot reach") {
		t.Errorf("a server that is not there: code %d, %s", code, stderr)
	}
	code, _, stderr = runTool(t, "bench", "-h", "192.0.2.1", "--clients", "0", "--i-own-this-broker")
	if code != exitUsage || strings.Contains(stderr, "own") {
		t.Errorf("a server of the user's own: code %d, %s", code, stderr)
	}
}
