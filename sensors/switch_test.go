package sensors_test

import (
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func FuzzParseSwitch(f *testing.F) {
	for _, s := range []string{"ON", "off", "TOGGLE", "1", `{"state":"ON","on_for":"5s"}`, `{"state":0}`, "{", "", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := sensors.ParseSwitch(payload)
		if err == nil && (c.OnFor < 0 || c.OnFor > 24*time.Hour || c.OnFor > 0 && !c.On || c.Toggle && c.On) {
			t.Errorf("%q gives %+v", payload, c)
		}
	})
}
