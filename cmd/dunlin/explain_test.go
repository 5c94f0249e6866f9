package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const explained = `node: barn
auth:
  users_file: users
  admins: [alice]
  rules:
    - {user: "esp-*", publish: ["devices/{user}/#"], subscribe: ["cmd/{user}"], max_qos: 1}
    - {user: "*", publish: ["secret/#"], deny: true}
    - {user: alice, publish: ["#"], subscribe: ["#"]}
bridges:
  cloud:
    servers: ["mqtt://127.0.0.1:1"]
    out: [{from: "dunlin/+/log", to: "logs/+"}, {from: "devices/#", to: "sites/barn/#", qos: 1}]
    in: [{from: "cmd/#"}]
    spool: {max_size: 64MiB}
`

func TestExplain(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "dunlin.yaml")
	for name, text := range map[string]string{"dunlin.yaml": explained, "users": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := dunlin(t, "", "passwd", "-b", filepath.Join(dir, "users"), "alice", "secret"); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	for _, c := range []struct {
		args string
		want []string // parts of the output
	}{
		{"acl esp-1 publish devices/esp-1/t", []string{"allowed ", "QoS 1 at most", "auth.rules[0]", "dunlin.yaml:6:7"}},
		{"acl esp-1 publish devices/esp-2/t", []string{"refused ", "no rule names it"}},
		{"acl esp-1 publish secret/a", []string{"refused ", "auth.rules[1]"}},
		{"acl alice publish secret/a", []string{"refused ", "auth.rules[1]"}},
		{"acl alice subscribe #", []string{"allowed ", "auth.rules[2]"}},
		{"acl alice subscribe $share/g/a", []string{"allowed ", "auth.rules[2]"}},
		{"acl alicee publish a", []string{"refused ", "but       no users file has alicee, did you mean alice?"}},
		{"acl anonymous publish a", []string{"refused ", "no rule names it"}},
		{"route devices/esp-1/t", []string{"sites/barn/esp-1/t  of bridge cloud, QoS 1", "bridges.cloud.out[1]"}},
		{"route dunlin/x/log", []string{"logs/x", "out[0]"}},
		{"route cmd/a", []string{"in    cmd/a of bridge cloud"}},
		{"route dunlin/barn/lamp/state/set", []string{"no device takes it", "dunlin/barn/DEVICE/ENTITY/set"}},
		{"route else", []string{"no bridge carries else"}},
		{"key bridges.cloud.spool.max_size", []string{"bridges.NAME.spool.max_size\n", "now bridges.cloud.spool.max_size: 64MiB  (", "dunlin.yaml:14:"}},
		{"key mqtt.limits", []string{"mqtt.limits.connections: ", "mqtt.limits.packet_size: "}},
		{"key bridges.cloud.spool", []string{"bridges.NAME.spool.max_size: bytes that may wait"}},
		{"key mqtt.limits.connections", []string{"connections", "(by default)"}},
		{"key devices.meter.registers[0].scale", []string{"driver modbus.registers[].scale\n", "registers x scale"}},
		{"key devices.water.line", []string{"driver gpio_out.line\n", "driver pulse.line\n"}},
		{"key buses.rs485.timeout", []string{"bus modbus_rtu.timeout\n"}},
		{"key auth.rules[0].max_qos", []string{"highest QoS", "auth.rules.0.max_qos: 1"}},
	} {
		r := dunlin(t, "", append(append([]string{"explain"}, strings.Fields(c.args)...), "-c", file)...)
		for _, want := range c.want {
			if r.code != exitDone || !strings.Contains(r.out, want) {
				t.Errorf("%s: no %q in %+v", c.args, want, r)
			}
		}
	}
	for key, want := range map[string]string{"mqtt.limts": "did you mean mqtt.limits?", "bridges.cloud.spool.max_sise": "did you mean bridges.NAME.spool.max_size?"} {
		if r := dunlin(t, "", "explain", "key", key, "-c", file); r.code != exitFailed || !strings.Contains(r.err, want) {
			t.Errorf("%s: %+v", key, r)
		}
	}
	for _, args := range []string{"key max_size", "key no.such", "acl a fly b", "route a/#", "acl a publish"} {
		r := dunlin(t, "", append(append([]string{"explain"}, strings.Fields(args)...), "-c", file)...)
		if r.code == exitDone || r.err == "" || r.out != "" {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
