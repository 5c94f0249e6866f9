package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestB21TakenOver(t *testing.T) {
	bubble(t, "two gateways with one Client Identifier do not play ping-pong", func(t *testing.T) {
		c, err := cloudtest.New(cloudtest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		one, other := against(t, c), against(t, c)
		var seen []Class
		for range 60 {
			after(time.Minute)
			seen = append(seen, one.Stats().Class, other.Stats().Class)
		}
		if n := len(c.Connects()); n > 200 {
			t.Errorf("%d connections in an hour", n)
		}
		if !slices.Contains(seen, ClassTakenOver) {
			t.Errorf("classes %v", seen)
		}
		one.stop()
		other.stop()
	})
	bubble(t, "after the third time in 5 min a bridge keeps away for 5 min", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Publish: func(cloudtest.Message) cloudtest.Verdict {
			return cloudtest.Verdict{Goodbye: mqtt.SessionTakenOver}
		}}})
		r.put("out/a", "x", 1)
		after(20 * time.Minute)
		c := r.c.Connects()
		for i := 1; i < len(c); i++ {
			if gap := c[i].At.Sub(c[i-1].At); i < 3 && gap > time.Minute || i == 3 && gap < 5*time.Minute {
				t.Errorf("attempt %d came %v after the one before", i+1, gap)
			}
		}
		want(t, "attempts", len(c) > 3, true)
		want(t, "class, dead", fmt.Sprint(r.Stats().Class, " ", r.Stats().Dead), "taken-over 0")
		r.stop()
	})
}
