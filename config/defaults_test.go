package config

import (
	"os"
	"strings"
	"testing"
)

// What a configuration of one version means it means in the next, too: defaults
// stand in testdata/defaults.golden, and change only on purpose.
func TestDefaultsStay(t *testing.T) {
	c := load(t, `
node: barn
data_dir: /var/lib/dunlin
mqtt:
  listeners:
    - {bind: ":8883", tls: {cert: a.pem, key: a.key}}
    - {bind: ":9001", protocol: websocket}
buses:
  - {id: i2c1, type: i2c, path: /dev/i2c-1}
  - {id: spi0, type: spi, path: /dev/spidev0.0}
  - {id: mux, type: tca9548a, bus: i2c1}
  - {id: line, type: modbus_rtu, port: {path: /dev/ttyUSB0}}
  - {id: plc, type: modbus_tcp, address: "192.0.2.7:502"}
auth: {jwt: {keys: jwks.json}}
http: {tokens: [{name: me, token: 0123456789abcdef0123456789abcdef}]}
store: {classes: [{filter: a, durability: always}]}
bridges:
  cloud:
    servers: ["mqtts://broker.example"]
    out: [{from: a, batch: {count: 2}}]
    in: [{from: b}]
devices:
  - {name: host, driver: system, power: {line: GPIO4}, entities: {load: {}}}
`)
	var b strings.Builder
	for _, s := range c.Flat() {
		b.WriteString(s.Path + " " + s.Value + "\n")
	}
	const golden = "testdata/defaults.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(b.String(), "\n")
	for i, w := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != w {
			t.Fatalf("line %d of %s is %q now; if that is meant, CHANGELOG.md says so, and -update writes it", i+1, golden, got[min(i, len(got)-1)])
		}
	}
}
