//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/config"
)

// --set lays values over the file, for the check, the run and each reload.
func TestRunSet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	if err := os.WriteFile(file, []byte("mqtt: {listeners: [{bind: \"127.0.0.1:0\"}], limits: {connections: 7}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, errs := config.LoadFile(file, tables(), os.LookupEnv, "mqtt.limits.connections=50", "node=barn-2", "mqtt.limits.packet_size=32KiB", "auth.admins=[a, b]")
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if l := cfg.MQTT.Limits; l.Connections != 50 || l.PacketSize != 32<<10 || cfg.Node != "barn-2" || len(cfg.Auth.Admins) != 2 || len(cfg.MQTT.Listeners) != 1 || len(cfg.Set) != 4 {
		t.Errorf("%+v", cfg)
	}
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"--set mqtt.limits.connections=50", exitDone, "is valid"},
		{"--set mqtt.limits.conections=50", exitConfig, "did you mean connections?"},
		{"--set mqtt.limits.connections=many", exitConfig, "--set:1:"},
		{"--set mqtt.limits.connections", exitUsage, "--set takes key=value"},
		{"--set a:{b=1", exitUsage, "--set takes key=value"},
		{"--set mqtt.listeners=[", exitConfig, "--set:1:"},
		{"--set =1", exitUsage, "--set takes key=value"},
	} {
		code, out, stderr := runTool(t, append([]string{"run", "-t", "-c", file}, strings.Fields(tc.args)...)...)
		if code != tc.code || !strings.Contains(out+stderr, tc.want) {
			t.Errorf("%s: code %d, want %d\n%s%s", tc.args, code, tc.code, out, stderr)
		}
	}
}
