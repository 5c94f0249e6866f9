package sparkplug_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug/sparkplugtest"
)

// What a host sees of ordinary messages.
func TestEdge(t *testing.T) {
	for _, tc := range []struct {
		name string
		all  []string // topic, payload, topic, payload ...
		want string
		// births are those of devices, 0 for any number: each tells of a change of type.
		births int
	}{
		{"values", []string{"gw/d/t", "21.5", "gw/d/on", "true", "gw/d/s", "ON", "gw/d/text", "on"}, "map[d:map[on:true s:true t:21.5 text:on]]", 0},
		{"document", []string{"gw/d/state", `{"t":21.5,"n":3}`, "gw/e", `{"t":1}`}, "map[d:map[n:3 t:21.5] e:map[t:1]]", 0},
		{"an empty level is no device", []string{"/t", "1"}, "map[t:map[t:1]]", 0},
		{"an empty level is no metric", []string{"gw/d/", "1"}, "map[]", 0},
		{"no level", []string{"t", "1"}, "map[t:map[t:1]]", 0},
		{"a document below an empty level", []string{"gw/", `{"t":1}`}, "map[]", 0},
		{"a value that is withdrawn", []string{"gw/d/t", "1", "gw/d/u", "2", "gw/d/t", ""}, "map[d:map[t:<nil> u:2]]", 0},
		{"a document that is withdrawn", []string{"gw/d/state", `{"t":1,"u":2}`, "gw/d/state", ""}, "map[d:map[t:<nil> u:<nil>]]", 0},
		{"a document that has less", []string{"gw/d/state", `{"t":1,"u":2}`, "gw/d/x", "3", "gw/d/state", `{"t":2}`, "gw/d/state", `{"t":3}`}, "map[d:map[t:3 u:<nil> x:3]]", 0},
		{"null", []string{"gw/d/state", `{"t":1,"u":2,"":3}`, "gw/d/state", `{"t":null,"u":2}`}, "map[d:map[t:<nil> u:2]]", 0},
		{"withdrawn and never there", []string{"gw/d/t", "", "gw/e/t", "1", "gw/e/u", ""}, "map[e:map[t:1]]", 0},
		{"a number that nobody knows", []string{"gw/d/t", "1.5", "gw/d/t", "NaN", "gw/d/u", "NaN"}, "map[d:map[t:<nil> u:<nil>]]", 0},
		{"a switch both ways", []string{"gw/d/relay", "ON", "gw/d/state", `{"relay":true}`, "gw/d/relay", "OFF", "gw/d/state", `{"relay":false}`}, "map[d:map[relay:false]]", 1},
		{"text that looks like a number", []string{"gw/d/t", "4a", "gw/d/t", "5", "gw/d/t", "OFF"}, "map[d:map[t:OFF]]", 1},
		{"offline", []string{"gw/d/t", "1", "gw/e/t", "1", "gw/d/availability", "offline", "gw/d/t", ""}, "map[e:map[t:1]]", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := sparkplug.NewEdge("plant", "barn", "", slog.New(slog.DiscardHandler))
			host := sparkplugtest.Host{Prefix: "spBv1.0/plant/", Node: "barn"}
			will, _ := e.Will()
			host.Will = will.Payload
			said := e.Births(t.Context())
			for i := 0; i < len(tc.all); i += 2 {
				said = append(said, e.Data(t.Context(), &mqtt.Message{Topic: tc.all[i], Payload: []byte(tc.all[i+1])}, time.Now(), false)...)
			}
			for _, m := range said {
				host.Take(m)
			}
			births := 0
			for _, m := range said {
				if strings.Contains(m.Topic, "/DBIRTH/") {
					births++
				}
			}
			if tc.births > 0 && births != tc.births {
				t.Errorf("%d births of the device", births)
			}
			if got := fmt.Sprint(host.Devices); got != tc.want || len(host.Faults) > 0 {
				t.Errorf("the host sees %s, want %s; faults %q", got, tc.want, host.Faults)
			}
		})
	}
}
