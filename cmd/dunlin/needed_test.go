package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/sensors/drivers"
)

// A device of which nothing but its driver is given is refused, but for those
// that find what they read by themselves.
func TestCheckWantsWhatADriverNeeds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	for name := range drivers.Table() {
		text := fmt.Sprintf("node: n\nmqtt: {listeners: [{bind: \"127.0.0.1:1883\", anonymous: true}]}\ndevices:\n  - {name: d, driver: %s}\n", name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := dunlin(t, "", "check", file)
		if alone := strings.Contains(" hwmon iio sim system w1_therm ", " "+name+" "); alone != (r.code == exitDone) {
			t.Errorf("%s alone: exit code %d\n%s", name, r.code, r.err)
		}
	}
}
