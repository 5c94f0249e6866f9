package bridge

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A session upstream outlives a change of the routes: what a new configuration
// does not ask for is taken back, also when the process ended in between.
func TestFiltersOfBeforeAreTakenBack(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311, mqtt.V31} {
		bubble(t, "MQTT "+v.String(), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bridge.in")
			c, err := cloudtest.New(cloudtest.Options{Limits: cloudtest.Limits{Filters: 8}})
			if err != nil {
				t.Fatal(err)
			}
			down := func(filters ...string) []string {
				b := against(t, c, func(o *Options) {
					o.Protocol, o.Subscribed, o.Out = v, file, nil
					for _, f := range filters {
						o.In = append(o.In, Route{From: f})
					}
				})
				after(time.Minute)
				b.dead.Store(true) // it ends without a word
				c.Kill()
				after(time.Second)
				return c.Filters("gw")
			}
			want(t, "at first", down("a/#", "b/+", "c"), "[a/# b/+ c]")
			want(t, "two are gone, one is new", down("b/+", "d"), "[b/+ d]")
			var many []string
			for i := range 20 {
				many = append(many, fmt.Sprint("m/", i))
			}
			want(t, "many", len(down(many...)), 20)
			want(t, "none is left", down("x"), "[x]")
			if b, err := os.ReadFile(file); err != nil || string(b) != "x\x00" {
				t.Errorf("noted: %q, %v", b, err)
			}
			c.Set(func(f *cloudtest.Faults) { f.SessionLost = true })
			want(t, "with the session", down("y"), "[y]")
			if n := len(c.Violations()); n > 0 {
				t.Errorf("violations: %v", c.Violations())
			}
		})
	}
}
