package drivers

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestSim(t *testing.T) {
	t.Run("without entities there is a room with a door and a relay", func(t *testing.T) {
		all, err := mustBuild(t, "sim", nil, nil).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		units := map[string]string{}
		for _, r := range all {
			units[r.Entity] = r.Unit
			if v, number := r.Value.(float64); number && (v < 18 || v > 65) {
				t.Errorf("%s is %v", r.Entity, v)
			}
		}
		if len(units) != 4 || units["temperature"] != "°C" || units["humidity"] != "%" {
			t.Errorf("entities are %v", units)
		}
	})
	t.Run("the same seed gives the same values at the same time", func(t *testing.T) {
		at := time.Unix(1700000000, 0)
		differ := 0
		for signal, want := range map[string][2]float64{"sine": {0, 10}, "random_walk": {0, 10}, "step": {0, 10}, "square": {0, 10}} {
			e := simEntity{Signal: signal, Max: 10, Period: time.Minute}
			for i := range 1000 {
				now := at.Add(time.Duration(i) * time.Second)
				v := e.at(now, 1, "x").(float64)
				if v < want[0] || v > want[1] {
					t.Fatalf("%s gives %v", signal, v)
				}
				if v != e.at(now, 1, "x") {
					t.Fatalf("%s is not repeatable", signal)
				}
				if v != e.at(now, 2, "x") {
					differ++
				}
			}
		}
		if differ < 1000 {
			t.Errorf("another seed differs %d times of 4000", differ)
		}
	})
	t.Run("an output confirms commands and is off after Stop", func(t *testing.T) {
		d := mustBuild(t, "sim", nil, map[string]any{"lamp": &simEntity{Signal: "output"}}).(sensors.Commander)
		for _, tc := range []struct {
			command string
			want    bool
		}{{"ON", true}, {"toggle", false}, {" on\n", true}} {
			got, err := d.Do(t.Context(), "lamp", []byte(tc.command))
			if err != nil || len(got) != 1 || got[0].Value != tc.want {
				t.Errorf("%q: %v, %v", tc.command, got, err)
			}
		}
		if _, err := d.Do(t.Context(), "lamp", []byte("maybe")); err == nil {
			t.Error("maybe was carried out")
		}
		if _, err := d.Do(t.Context(), "relay", []byte("ON")); err == nil {
			t.Error("an entity that is not there was switched")
		}
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantShown(t, shows(t, d), "lamp=false")
	})
	t.Run("faults come as ordered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := mustBuild(t, "sim", func(o any) {
				*o.(*simOptions) = simOptions{FailEvery: 3, OfflineEvery: time.Minute, OfflineFor: 10 * time.Second}
			}, nil)
			failed, unplugged := 0, 0
			for range 120 {
				_, err := d.Read(t.Context())
				switch sensors.ReasonOf(err) {
				case sensors.Timeout:
					failed++
				case sensors.Unplugged:
					unplugged++
					if d.Open(t.Context(), nil) == nil {
						t.Error("opened while unplugged")
					}
				}
				time.Sleep(time.Second)
			}
			if unplugged != 20 || failed != 33 {
				t.Errorf("%d unplugged, %d failed of 120", unplugged, failed)
			}
		})
	})
	t.Run("an entity without a signal keeps the standard one", func(t *testing.T) {
		all, err := mustBuild(t, "sim", nil, map[string]any{"door": &simEntity{}, "extra": &simEntity{}}).Read(t.Context())
		if err != nil || len(all) != 5 {
			t.Errorf("%v, %v", all, err)
		}
	})
}

func TestSimSafety(t *testing.T) {
	lamp := &simEntity{Signal: "output", Safety: sensors.Safety{MaxOn: time.Hour, Require: "tank.level > 10"}}
	d := mustBuild(t, "sim", nil, map[string]any{"lamp": lamp, "heat": &simEntity{Signal: "sine"}}).(sensors.Guarded)
	got := d.Outputs()
	if len(got) != 1 || got[0].Entity != "lamp" || got[0].Off != "OFF" || !got[0].Timed || got[0].MaxOn != time.Hour || got[0].Require == "" || got[0].Path != "." {
		t.Errorf("outputs obey %+v", got)
	}
	for path, e := range map[string]*simEntity{
		"signal":         {Signal: "sine", Safety: sensors.Safety{MaxOn: time.Hour}},
		"require":        {Signal: "output", Safety: sensors.Safety{Require: "tank is full"}},
		"failsafe.state": {Signal: "output", Safety: sensors.Safety{Failsafe: sensors.Failsafe{State: "5", After: 1, Without: "client x"}}},
	} {
		var found []string
		e.Validate(func(path, _ string) { found = append(found, path) })
		if len(found) != 1 || found[0] != path {
			t.Errorf("%+v is faulted at %v, want %s", e, found, path)
		}
	}
}
