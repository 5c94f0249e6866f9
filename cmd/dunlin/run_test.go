//go:build linux

package main

import (
	"bytes"
	"context"
	"io"
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

// Who starts without a configuration is told how to get one, whether or not the
// usual port is free.
func TestRunWithoutConfiguration(t *testing.T) {
	if _, err := os.Stat("/etc/dunlin/dunlin.yaml"); err == nil {
		t.Skip("this machine has a configuration")
	}
	t.Chdir(t.TempDir())
	t.Setenv("DUNLIN_CONFIG", "")
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	if log := runOnce(t); !strings.Contains(log, "serving this machine only; 'sudo dunlin init' opens it to others") {
		t.Error(log)
	}
}

// The log says where the page is.
func TestRunTellsThePage(t *testing.T) {
	file, bind := filepath.Join(t.TempDir(), "dunlin.yaml"), freeAddress(t)
	text := "data_dir: " + t.TempDir() + "\nmqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\nhttp: {bind: \"" + bind + "\"}\nlog: {format: text}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if log := runOnce(t, "-c", file); !strings.Contains(log, bind) {
		t.Error(log)
	}
}

// runOnce starts a gateway that is to stop at once, and returns what it says.
func runOnce(t *testing.T, args ...string) string {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var log bytes.Buffer
	dispatch(ctx, append([]string{"run"}, args...), streams{strings.NewReader(""), io.Discard, &log})
	return log.String()
}
