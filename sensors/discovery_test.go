package sensors_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// describer announces a device as the list of its parts; "-name" is one that
// is gone.
func describer(prefix string) *sensors.Discovery {
	return &sensors.Discovery{
		Describe: func(p *sensors.Profile, gone []sensors.Part) (string, []byte, []sensors.Part) {
			var words []string
			var parts []sensors.Part
			for _, f := range p.Features {
				words = append(words, f.Name)
				parts = append(parts, sensors.Part{Name: f.Name, Platform: "sensor", Listed: f.Listed})
			}
			for _, g := range gone {
				words = append(words, "-"+g.Platform+"."+g.Name)
			}
			return prefix + "/" + p.Device, []byte(strings.Join(words, " ")), parts
		},
		Gateway:  mqtt.Message{Topic: prefix + "/gateway", Payload: []byte("here")},
		Listener: prefix + "/status",
	}
}

// life runs one life of a gateway in a bubble for a time; within is called
// before its end.
func life(t *testing.T, b *fakeBroker, o sensors.Options, within func()) {
	t.Helper()
	o.Attach, o.ClockSynced = b.attach, func() bool { return true }
	if o.Base == "" {
		o.Base = base
	}
	m, err := sensors.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	after(3 * time.Second)
	if within != nil {
		within()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	synctest.Wait()
}

// reads is a device whose driver reads the entities named.
func reads(name, model string, entities ...string) sensors.Device {
	return sensors.Device{Name: name, Model: model, Interval: time.Second, Driver: &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) {
		var list []sensors.Reading
		for _, e := range entities {
			list = append(list, sensors.Reading{Entity: e, Value: 1.0})
		}
		return list, nil
	}}}
}

// selector is a driver that is told what to read.
type selector struct {
	sensors.Driver
	told string
}

func (s selector) Selection() any { return s.told }

func selects(d sensors.Device, told string) sensors.Device {
	d.Driver = selector{d.Driver, told}
	return d
}

func listed(d sensors.Device, entities ...string) sensors.Device {
	for _, e := range entities {
		d.Entities = append(d.Entities, sensors.Entity{Name: e})
	}
	return d
}

// kept is what a broker would have retained now: the newest payload of each
// topic, without the empty ones.
func (b *fakeBroker) kept() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]string{}
	for _, e := range b.log {
		if all[e.Topic] = string(e.Payload); !e.Retain || len(e.Payload) == 0 {
			delete(all, e.Topic)
		}
	}
	return all
}

// below counts the retained topics that start with prefix.
func (b *fakeBroker) below(prefix string) (topics []string) {
	for topic := range b.kept() {
		if strings.HasPrefix(topic, prefix) {
			topics = append(topics, topic)
		}
	}
	slices.Sort(topics)
	return topics
}

// published are the payloads of a topic, in order.
func (b *fakeBroker) published(topic string) (payloads []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.log {
		if e.Topic == topic {
			payloads = append(payloads, string(e.Payload))
		}
	}
	return payloads
}

// An entity that is disabled is not seen, what it left is removed, and its
// faults are nobody's.
func TestDisabled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		o := sensors.Options{Devices: []sensors.Device{reads("climate", "bme280", "t", "h")}, Discovery: describer("ha"), Registry: filepath.Join(t.TempDir(), "devices")}
		life(t, b, o, nil)
		d := reads("climate", "bme280", "t", "h")
		d.Entities = []sensors.Entity{{Name: "h", Disabled: true}}
		o.Devices = []sensors.Device{d}
		life(t, b, o, nil)
		if got := b.kept()["ha/climate"]; got != "t" {
			t.Errorf("announced %q", got)
		}
		if got := b.published("ha/climate"); !slices.Contains(got, "t -sensor.h") {
			t.Errorf("the component was not taken back: %q", got)
		}
		if v, there := b.kept()[base+"/climate/h"]; there {
			t.Errorf("the value of an earlier life is still there: %s", v)
		}
		good := d.Driver.(*fakeDriver).read
		d.Driver = &fakeDriver{read: func(ctx context.Context, n int) ([]sensors.Reading, error) {
			list, err := good(ctx, n)
			list[1].Err = &sensors.Fault{Reason: sensors.WireBreak, Err: errors.New("open")}
			return list, err
		}}
		d.Strict = true
		o.Devices = []sensors.Device{d}
		life(t, b, o, func() {
			if h := b.kept()[base+"/climate/health"]; !strings.Contains(h, `"state":"online"`) || strings.Contains(h, "wire_break") {
				t.Errorf("health %s", h)
			}
		})
	})
}

func TestDeviceIsAnnouncedBeforeItsValues(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		life(t, b, sensors.Options{Devices: []sensors.Device{reads("climate", "bme280", "t", "h")}, Discovery: describer("ha")}, nil)
		if got := b.published("ha/climate"); len(got) != 1 || got[0] != "t h" {
			t.Errorf("announced %q", got)
		}
		if got := b.kept()["ha/gateway"]; got != "here" {
			t.Errorf("the gateway is announced as %q", got)
		}
		for _, e := range b.log {
			if e.Topic == "ha/climate" {
				if !e.Retain || e.Properties.ContentType != "application/json" {
					t.Errorf("announced as %+v", e.Message)
				}
				break
			}
			if strings.HasPrefix(e.Topic, base+"/climate/") {
				t.Errorf("%s before the announcement", e.Topic)
			}
		}
	})
}

// An entity that comes later is announced then, with the others.
func TestLateEntityIsAnnounced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		d := sensors.Device{Name: "adc", Interval: time.Second, Driver: &fakeDriver{read: func(_ context.Context, n int) ([]sensors.Reading, error) {
			list := []sensors.Reading{{Entity: "a", Value: n}}
			if n >= 3 {
				list = append(list, sensors.Reading{Entity: "late", Value: n})
			}
			return list, nil
		}}}
		life(t, b, sensors.Options{Devices: []sensors.Device{d}, Discovery: describer("ha")}, nil)
		if got := fmt.Sprintf("%q", b.published("ha/adc")); got != `["a" "a late"]` {
			t.Errorf("announced %s", got)
		}
	})
}

// Nothing is left of a device that was removed while the gateway was down,
// not even after the file was written by an earlier life of an earlier one.
func TestRemovedDeviceLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		file := filepath.Join(t.TempDir(), "devices")
		o := sensors.Options{Registry: file, Discovery: describer("ha"), Payload: sensors.Both}
		o.Devices = []sensors.Device{reads("stays", "m", "t"), reads("goes", "m", "t", "h"), reads("goes soon", "m", "t")}
		life(t, b, o, nil)
		if got := len(b.below(base + "/goes/")); got != 5 {
			t.Fatalf("before: %q", b.below(base+"/goes/"))
		}
		o.Devices = o.Devices[:2]
		o.Devices = []sensors.Device{reads("stays", "m", "t"), reads("goes", "m", "t", "h")}
		life(t, b, o, nil)
		o.Devices = []sensors.Device{reads("stays", "m", "t")}
		life(t, b, o, nil)
		if left := append(b.below(base+"/goes"), b.below("ha/goes")...); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
		if got := len(b.below(base + "/stays/")); got != 4 || b.kept()["ha/stays"] == "" {
			t.Errorf("of the device that stays there is %q", b.below(""))
		}
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), "goes") {
			t.Errorf("the file still says %s (%v)", text, err)
		}
	})
}

// A device that is removed while the gateway runs leaves nothing either.
func TestDeviceRemovedByAChangeLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		var m *sensors.Manager
		o := sensors.Options{Devices: []sensors.Device{reads("stays", "m", "t"), reads("goes", "m", "t")}, Discovery: describer("ha"), Attach: b.attach, Base: base}
		m, err := sensors.New(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		after(time.Second)
		if err := m.Change([]string{"goes"}, nil); err != nil {
			t.Error(err)
		}
		if left := append(b.below(base+"/goes"), b.below("ha/goes")...); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
		cancel()
		<-done
	})
}

// Which entities of an earlier life are taken back: those that the
// configuration named, and all when the device has become another one. One
// that is merely rare (a count of lost events) is not.
func TestEntitiesThatAreGone(t *testing.T) {
	for _, tc := range []struct {
		name          string
		first, second sensors.Device
		announced     string // in the second life
	}{
		{"rare", reads("d", "m", "t", "rare"), reads("d", "m", "t"), `["t"]`},
		{"listed", listed(reads("d", "m", "t", "rare"), "t", "rare"), listed(reads("d", "m", "t"), "t"), `["t -sensor.rare" "t"]`},
		{"listed and not read yet", listed(reads("d", "m", "t", "rare"), "rare"), listed(reads("d", "m", "t"), "rare"), `["t"]`},
		{"told to read the same", selects(reads("d", "m", "t", "rare"), "*"), selects(reads("d", "m", "t"), "*"), `["t"]`},
		{"told to read others", selects(reads("d", "m", "t", "rare"), "*"), selects(reads("d", "m", "t"), "t"), `["t -sensor.rare" "t"]`},
		{"a list of before there were selections", reads("d", "m", "t", "rare"), selects(reads("d", "m", "t"), "*"), `["t"]`},
		{"another model", reads("d", "m", "t", "rare"), reads("d", "n", "t"), `["t -sensor.rare" "t"]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newFakeBroker()
				o := sensors.Options{Registry: filepath.Join(t.TempDir(), "devices"), Discovery: describer("ha"), Devices: []sensors.Device{tc.first}}
				life(t, b, o, nil)
				before := len(b.published("ha/d"))
				o.Devices = []sensors.Device{tc.second}
				life(t, b, o, nil)
				if got := fmt.Sprintf("%q", b.published("ha/d")[before:]); got != tc.announced {
					t.Errorf("announced %s, want %s", got, tc.announced)
				}
				if v, there := b.kept()[base+"/d/rare"]; there {
					t.Errorf("its value of the first life is there: %s", v)
				}
				// A third life takes back what the second still had on its list.
				o.Devices = nil
				life(t, b, o, nil)
				if left := append(b.below(base+"/d/"), b.below("ha/d")...); len(left) != 0 {
					t.Errorf("left: %q", left)
				}
			})
		})
	}
}

// An entity that was announced as another kind of component is removed as that
// first.
func TestEntityThatBecomesAnotherKind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		o := sensors.Options{Registry: filepath.Join(t.TempDir(), "devices"), Discovery: describer("ha"), Devices: []sensors.Device{reads("d", "m", "position")}}
		life(t, b, o, nil)
		before := len(b.published("ha/d"))
		describe := o.Discovery.Describe
		o.Discovery.Describe = func(p *sensors.Profile, gone []sensors.Part) (string, []byte, []sensors.Part) {
			topic, payload, parts := describe(p, gone)
			for i := range parts {
				parts[i].Platform = "device_tracker"
			}
			return topic, payload, parts
		}
		for range 2 {
			life(t, b, o, nil)
		}
		if got, want := fmt.Sprintf("%q", b.published("ha/d")[before:]), `["position -sensor.position" "position" "position"]`; got != want {
			t.Errorf("announced %s, want %s", got, want)
		}
	})
}

// No value of an earlier life, in whatever form it was, stands beside online.
func TestValuesOfAnEarlierLife(t *testing.T) {
	all := []sensors.Payload{sensors.Plain, sensors.JSON, sensors.Both, sensors.SenML}
	for _, was := range all {
		for _, is := range all {
			t.Run(string(was+" "+is), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					b := newFakeBroker()
					o := sensors.Options{Registry: filepath.Join(t.TempDir(), "devices"), Payload: was, Devices: []sensors.Device{reads("d", "m", "t", "rare")}}
					life(t, b, o, nil)
					begin := len(b.log)
					o.Payload, o.Devices = is, []sensors.Device{reads("d", "m", "t")}
					life(t, b, o, nil)
					retained := map[string]bool{} // by topic: of this life
					for i, e := range b.log {
						name := strings.TrimPrefix(e.Topic, base+"/d/")
						if delete(retained, name); len(e.Payload) > 0 {
							retained[name] = i >= begin
						}
						if i < begin || name != "availability" || string(e.Payload) != "online" {
							continue
						}
						for _, value := range []string{"t", "rare", "state"} {
							if now, there := retained[value]; there && !now {
								t.Errorf("%s is there beside online", value)
							}
						}
					}
				})
			})
		}
	}
}

// Another prefix, another base, no discovery: the old announcements go.
func TestRenamedAnnouncementsAreTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		o := sensors.Options{Registry: filepath.Join(t.TempDir(), "devices"), Discovery: describer("ha")}
		again := func() { o.Devices = []sensors.Device{reads("d", "m", "t")}; life(t, b, o, nil) }
		again()
		o.Discovery = describer("other")
		again()
		if left := b.below("ha/"); len(left) != 0 || len(b.below("other/")) != 2 {
			t.Errorf("after another prefix: %q", b.below(""))
		}
		o.Base = "dunlin/barn2"
		b.route(mqtt.Message{Topic: base + "/status", Payload: []byte("offline"), Retain: true})
		again()
		if left := b.below("dunlin/barn/"); len(left) != 0 || len(b.below("dunlin/barn2/d/")) != 3 {
			t.Errorf("after another base: %q", b.below(""))
		}
		o.Discovery = nil
		again()
		if left := b.below("other/"); len(left) != 0 {
			t.Errorf("without discovery: %q", left)
		}
	})
}

// Whoever comes online hears everything again; other words on the topic, and
// what was retained there, mean nothing.
func TestAnnouncementsAreRepeated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		o := sensors.Options{Discovery: describer("ha"), Devices: []sensors.Device{reads("a", "m", "t"), reads("b", "m", "t")}}
		life(t, b, o, func() {
			s := b.sessions["sensors"]
			if len(s.subs) != 1 || s.subs[0].Filter != "ha/status" || s.subs[0].RetainHandling != mqtt.DoNotSendRetained {
				t.Fatalf("subscribed to %+v", s.subs)
			}
			b.send("sensors", mqtt.Message{Topic: "ha/status", Payload: []byte("offline")})
			after(5 * time.Second)
			if n := len(b.published("ha/a")); n != 1 {
				t.Errorf("offline made it %d announcements", n)
			}
			b.send("sensors", mqtt.Message{Topic: "ha/status", Payload: []byte("online")})
			after(5 * time.Second)
			for _, topic := range []string{"ha/a", "ha/b", "ha/gateway"} {
				if n := len(b.published(topic)); n != 2 {
					t.Errorf("%s: %d announcements after online, want 2", topic, n)
				}
			}
		})
	})
}

// A list that is damaged costs nothing but what was on it.
func TestDamagedRegistry(t *testing.T) {
	for _, text := range []string{"", "x", "dunlin-devices 2\n", "dunlin-devices 1\na\tb", "dunlin-devices 1\na\tb\tc\td\te\n", "dunlin-devices 1\n\n", "\xff\x00"} {
		bubble(t, func(t *testing.T) {
			b := newFakeBroker()
			file := filepath.Join(t.TempDir(), "devices")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			o := sensors.Options{Registry: file, Discovery: describer("ha"), Devices: []sensors.Device{reads("d", "m", "t")}}
			life(t, b, o, nil)
			o.Devices = nil
			life(t, b, o, nil)
			if left := append(b.below(base+"/d/"), b.below("ha/d")...); len(left) != 0 {
				t.Errorf("%q: left: %q", text, left)
			}
		})
	}
}

// A line that is damaged costs its own device only.
func TestDamagedLineOfTheRegistry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		o := sensors.Options{Registry: filepath.Join(t.TempDir(), "devices"), Discovery: describer("ha"), Devices: []sensors.Device{reads("a", "m", "t"), reads("b", "m", "t"), reads("c", "m", "t")}}
		life(t, b, o, nil)
		text, err := os.ReadFile(o.Registry)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(o.Registry, []byte(strings.Replace(string(text), "\t", " ", 2)), 0o600); err != nil {
			t.Fatal(err)
		}
		o.Devices = nil
		life(t, b, o, nil)
		if left := append(b.below(base+"/b"), b.below("ha/c")...); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// A list that could not be written is written when the disk takes it again.
func TestRegistryIsWrittenLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		o := sensors.Options{Registry: filepath.Join(t.TempDir(), "devices"), Discovery: describer("ha"), Devices: []sensors.Device{reads("d", "m", "t")}}
		if err := os.Mkdir(o.Registry+".new", 0o700); err != nil {
			t.Fatal(err)
		}
		life(t, b, o, func() {
			if err := os.Remove(o.Registry + ".new"); err != nil {
				t.Fatal(err)
			}
			after(2 * time.Minute)
		})
		o.Devices = nil
		life(t, b, o, nil)
		if left := append(b.below(base+"/d"), b.below("ha/d")...); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

func FuzzRegistry(f *testing.F) {
	f.Add("dunlin-devices 1\nclimate\tdunlin/b/climate\tha/device/x/config\tbme280\tsensor:t\tsensor!h\t:q\nstatus\tdunlin/b\tha/g\t\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "devices")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := sensors.Options{Registry: file, Base: base, Attach: newFakeBroker().attach}
		if _, err := sensors.New(o); err != nil {
			t.Fatal(err)
		}
	})
}

// What is to be taken back is taken back in the end, wherever the gateway was
// killed, or its broker full, while it did so.
func TestCutShortLeavesNothing(t *testing.T) {
	again := sensors.Options{Devices: []sensors.Device{listed(reads("d", "m", "t"), "t"), reads("e", "m", "t")}, Base: "site", Payload: sensors.JSON, Discovery: describer("ha2")}
	entities := again
	entities.Base, entities.Discovery = base, describer("ha")
	silent := again
	silent.Discovery = nil
	for name, next := range map[string]sensors.Options{"another base and prefix": again, "fewer entities": entities, "no discovery": silent} {
		for _, killed := range []bool{true, false} {
			for n := range 24 {
				t.Run(fmt.Sprintf("%s, killed %t after %d", name, killed, n), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						b, next := newFakeBroker(), next
						file := filepath.Join(t.TempDir(), "devices")
						life(t, b, sensors.Options{Registry: file, Discovery: describer("ha"), Devices: []sensors.Device{listed(reads("d", "m", "t", "h"), "t", "h"), reads("e", "m", "t")}}, nil)
						var list []byte
						count := 0
						b.before = func(*mqtt.Message) error {
							if count++; count <= n {
								return nil
							}
							if count == n+1 {
								list, _ = os.ReadFile(file)
							}
							return errors.New("full")
						}
						next.Registry = file
						life(t, b, next, nil)
						if b.before = nil; killed && list != nil {
							if err := os.WriteFile(file, list, 0o600); err != nil {
								t.Fatal(err)
							}
						}
						life(t, b, next, nil)
						if got := b.published("ha/d"); next.Base == base && !slices.Contains(got, "t -sensor.h") {
							t.Errorf("the component was not taken back: %q", got)
						}
						kept := b.kept()
						for topic := range kept {
							if next.Base != base && strings.HasPrefix(topic, base+"/") || next.Base != base && strings.HasPrefix(topic, "ha/") || strings.HasSuffix(topic, "/h") {
								t.Errorf("left: %s %s", topic, kept[topic])
							}
						}
						next.Devices = nil
						life(t, b, next, nil)
						if left := append(b.below("site/"), b.below("ha2/d")...); len(left) != 0 {
							t.Errorf("left without devices: %q", left)
						}
					})
				})
			}
		}
	}
}

// What a device that says nothing any more announced elsewhere is taken back too.
func TestSilentDeviceIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		o := sensors.Options{Registry: filepath.Join(t.TempDir(), "devices"), Discovery: describer("ha"), Devices: []sensors.Device{reads("d", "m", "t")}}
		life(t, b, o, nil)
		dead := sensors.Device{Name: "d", Model: "m", Interval: time.Second, Driver: &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) {
			return nil, errors.New("dead")
		}}}
		o.Devices, o.Discovery = []sensors.Device{dead}, describer("ha2")
		life(t, b, o, nil)
		if left := b.below("ha/"); len(left) != 0 {
			t.Errorf("left under the old prefix: %q", left)
		}
		o.Devices, o.Base = []sensors.Device{reads("d", "m", "t")}, "site"
		life(t, b, o, nil)
		if left := b.below(base + "/d"); len(left) != 0 || b.kept()["ha2/d"] != "t" {
			t.Errorf("left below the old base: %q", left)
		}
		o.Devices, o.Base, o.Discovery = []sensors.Device{dead}, "", nil
		life(t, b, o, nil)
		if left := append(b.below("ha2/"), b.below("site/")...); len(left) != 0 {
			t.Errorf("left without discovery: %q", left)
		}
	})
}

// counter is a driver whose entity t counts.
type counter struct{ fakeDriver }

func (*counter) Counts(entity string) bool { return entity == "t" }

// What a driver counts is announced as what only grows, unless the configuration
// says otherwise or a filter makes something else of it.
func TestCountsAreAnnounced(t *testing.T) {
	filter := func(name string, o any) []sensors.Filter {
		f, err := newFilter(name, o)
		if err != nil {
			t.Fatal(err)
		}
		return []sensors.Filter{f}
	}
	for _, tc := range []struct {
		entity sensors.Entity
		want   string
	}{
		{sensors.Entity{Name: "t"}, "total_increasing"},
		{sensors.Entity{Name: "t", StateClass: "total"}, "total"},
		{sensors.Entity{Name: "t", Filters: filter("multiply", "2")}, "total_increasing"},
		{sensors.Entity{Name: "t", Filters: filter("derivative", nil)}, ""},
	} {
		bubble(t, func(t *testing.T) {
			var got []string
			discovery := describer("ha")
			describe := discovery.Describe
			discovery.Describe = func(p *sensors.Profile, gone []sensors.Part) (string, []byte, []sensors.Part) {
				for _, f := range p.Features {
					got = append(got, f.Name+" "+f.StateClass)
				}
				return describe(p, gone)
			}
			d := &counter{}
			d.read = func(_ context.Context, n int) ([]sensors.Reading, error) {
				list, err := one(float64(n))
				return append(list, sensors.Reading{Entity: "other", Value: 1.0}), err
			}
			life(t, newFakeBroker(), sensors.Options{Discovery: discovery, Devices: []sensors.Device{
				{Name: "d", Driver: d, Interval: time.Second, Entities: []sensors.Entity{tc.entity}},
			}}, nil)
			if !slices.Contains(got, "t "+tc.want) || !slices.Contains(got, "other ") {
				t.Errorf("%+v is announced as %q", tc.entity, got)
			}
		})
	}
}
