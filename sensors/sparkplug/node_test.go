package sparkplug_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug/sparkplugtest"
)

// world is a broker with one node in it and one host that follows it.
type world struct {
	mu      sync.Mutex
	host    sparkplugtest.Host
	session *session
	wills   []string       // payloads, one a connection
	sets    []mqtt.Message // what was published outside Sparkplug
	refuse  error          // what Publish answers
	said    map[string]int // messages by kind
	log     []mqtt.Message // all of the node's
}

type session struct {
	w     *world
	will  mqtt.Message
	inbox chan mqtt.Message
	gone  chan struct{}
	subs  []string
}

var errGone = errors.New("gone")

func (w *world) attach(_ string, will *mqtt.Will) (sensors.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session != nil {
		w.session.end()
	}
	w.session = &session{w: w, will: will.Message, inbox: make(chan mqtt.Message, 16), gone: make(chan struct{})}
	w.host.Will = will.Message.Payload
	w.wills = append(w.wills, string(will.Message.Payload))
	return w.session, nil
}

func (s *session) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

func (s *session) end() {
	if s.ended() {
		return
	}
	close(s.gone)
	s.w.take(s.will)
}

func (w *world) take(m mqtt.Message) {
	if !strings.HasPrefix(m.Topic, "spBv1.0/") {
		w.sets = append(w.sets, m)
		return
	}
	w.said[strings.Split(m.Topic, "/")[2]]++
	w.log = append(w.log, m)
	w.host.Take(m)
}

func (s *session) Publish(_ context.Context, m mqtt.Message) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	switch {
	case s.ended():
		return errGone
	case s.w.refuse != nil:
		return s.w.refuse
	}
	s.w.take(m)
	return nil
}

func (s *session) Subscribe(_ context.Context, subs ...mqtt.Subscription) error {
	for _, sub := range subs {
		s.subs = append(s.subs, sub.Filter)
	}
	return nil
}

func (s *session) Next(ctx context.Context) (mqtt.Message, error) {
	select {
	case m := <-s.inbox:
		return m, nil
	case <-s.gone:
		return mqtt.Message{}, errGone
	case <-ctx.Done():
		return mqtt.Message{}, ctx.Err()
	}
}

func (s *session) Abort() error              { return s.quit() }
func (s *session) DisconnectWithWill() error { return s.quit() }

func (s *session) quit() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.end()
	return nil
}

// start runs a node in a bubble; stop ends it cleanly.
func start(t *testing.T, file string) (w *world, n *sparkplug.Node, stop func()) {
	t.Helper()
	w = &world{host: sparkplugtest.Host{Prefix: "spBv1.0/plant/", Node: "barn"}, said: map[string]int{}}
	n = sparkplug.New(sparkplug.Options{Group: "plant", Node: "barn", Attach: w.attach, File: file, AtOnce: true, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	synctest.Wait()
	return w, n, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, fault := range w.host.Faults[:min(len(w.host.Faults), 10)] {
			t.Error(fault)
		}
	})
}

func profile(name string, values map[string]any) *sensors.Profile {
	p := &sensors.Profile{Device: name, Topic: "dunlin/barn/" + name}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		p.Features = append(p.Features, sensors.Feature{Name: key, Value: values[key], At: time.Now(), Unit: "V"})
	}
	return p
}

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, stop := start(t, "")
		if subs := fmt.Sprint(w.session.subs); subs != "[spBv1.0/plant/NCMD/barn spBv1.0/plant/DCMD/barn/+]" {
			t.Errorf("subscribed to %s", subs)
		}
		if !w.host.Online || w.said["NBIRTH"] != 1 {
			t.Errorf("no NBIRTH at the start: %v", w.said)
		}
		n.Born(t.Context(), profile("climate", map[string]any{"t": 21.5, "n": int64(-7), "u": uint64(1<<63 + 1), "b": true, "s": "ü"}))
		n.Changed(t.Context(), "climate", []sensors.Feature{{Name: "t", Value: 22.5, At: time.Now()}, {Name: "b", Value: nil}})
		if got := fmt.Sprint(w.host.Devices["climate"]); got != "map[b:<nil> n:-7 s:ü t:22.5 u:9223372036854775809]" {
			t.Errorf("the host sees %s", got)
		}
		n.Changed(t.Context(), "nobody", []sensors.Feature{{Name: "t", Value: 1.0}})
		n.Died(t.Context(), "climate")
		n.Died(t.Context(), "climate")
		n.Changed(t.Context(), "climate", []sensors.Feature{{Name: "t", Value: 1.0}})
		if fmt.Sprint(w.said) != "map[DBIRTH:1 DDATA:1 DDEATH:1 NBIRTH:1]" {
			t.Errorf("said %v", w.said)
		}
		stop()
		if w.host.Online || w.said["NDEATH"] != 1 {
			t.Errorf("after a clean stop the host sees the node online: %v", w.said)
		}
	})
}

// A random life: whatever happens, the host sees what the devices have.
func TestHostFollows(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			w, n, stop := start(t, "")
			defer stop()
			r := rand.New(rand.NewPCG(seed, 1))
			want := map[string]map[string]any{}
			devices := []string{"a", "b", "c"}
			for range 600 {
				name := devices[r.IntN(len(devices))]
				switch k := r.IntN(20); {
				case k == 0:
					w.mu.Lock()
					w.session.end()
					w.mu.Unlock()
					time.Sleep(2 * time.Second)
				case k == 1:
					w.session.inbox <- mqtt.Message{Topic: "spBv1.0/plant/NCMD/barn", Payload: rebirth()}
				case k == 2:
					n.Died(t.Context(), name)
					delete(want, name)
				case k < 5 || want[name] == nil:
					values := map[string]any{"x": random(r, "x")}
					if r.IntN(2) == 0 {
						values["y"] = random(r, "y")
					}
					n.Born(t.Context(), profile(name, values))
					want[name] = values
				default:
					entity := []string{"x", "y", "z"}[r.IntN(3)]
					v := random(r, entity)
					n.Changed(t.Context(), name, []sensors.Feature{{Name: entity, Value: v, At: time.Now()}})
					want[name][entity] = v
				}
				synctest.Wait()
				compare(t, &w.host, want)
				if t.Failed() || len(w.host.Faults) > 0 {
					return
				}
			}
			if w.said["DDATA"] < 200 || w.said["NBIRTH"] < 10 {
				t.Errorf("a quiet life: %v", w.said)
			}
		})
	}
}

// compare holds the host's view against the model: metrics that the host has
// beside the model's are null.
func compare(t *testing.T, h *sparkplugtest.Host, want map[string]map[string]any) {
	t.Helper()
	if len(h.Devices) != len(want) {
		t.Errorf("the host sees %v, want %v", h.Devices, want)
	}
	for device, values := range want {
		for name, v := range values {
			got := h.Devices[device][name]
			if n, ok := v.(int64); ok && got == float64(n) {
				continue
			}
			if got != v {
				t.Errorf("the host sees %s/%s = %v, want %v", device, name, got, v)
			}
		}
		for name, v := range h.Devices[device] {
			if _, ok := values[name]; !ok && v != nil {
				t.Errorf("the host sees %s/%s = %v, which is gone", device, name, v)
			}
		}
	}
}

// random is a value of an entity: x changes its type, y and z do not, any may
// be withdrawn.
func random(r *rand.Rand, entity string) any {
	switch k := r.IntN(10); {
	case k == 0:
		return nil
	case entity == "y" || k < 4:
		return r.NormFloat64()
	case entity == "z":
		return r.IntN(2) == 0
	case k < 6:
		return int64(r.Uint64()) >> 20
	case k < 8:
		return fmt.Sprint(r.IntN(1000))
	}
	return r.IntN(2) == 0
}

// rebirth is the command, written by hand: timestamp, one metric with a name,
// datatype Boolean, true.
func rebirth() []byte {
	m := append([]byte{0x0a, 20}, "Node Control/Rebirth"...)
	m = append(m, 0x20, 11, 0x70, 1)
	return append([]byte{0x08, 1, 0x12, byte(len(m))}, m...)
}

func TestSequenceWraps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, stop := start(t, "")
		n.Born(t.Context(), profile("d", map[string]any{"t": 0.0}))
		for i := range 600 {
			n.Changed(t.Context(), "d", []sensors.Feature{{Name: "t", Value: float64(i), At: time.Now()}})
		}
		if w.said["DDATA"] != 600 {
			t.Errorf("said %v", w.said)
		}
		stop()
	})
}

// A device whose driver was changed by a reload has none of the metrics of the
// one before.
func TestAnotherDeviceOfTheName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, stop := start(t, "")
		defer stop()
		p := profile("d", map[string]any{"temperature": 1.0, "humidity": 2.0})
		p.Model = "bme280"
		n.Born(t.Context(), p)
		n.Died(t.Context(), "d")
		p = profile("d", map[string]any{"temperature": 3.0})
		p.Model = "lm75"
		n.Born(t.Context(), p)
		w.mu.Lock()
		defer w.mu.Unlock()
		if d := w.host.Devices["d"]; len(d) != 1 || d["temperature"] != 3.0 || len(w.host.Faults) > 0 {
			t.Errorf("the host knows %v; %q", d, w.host.Faults)
		}
	})
}

// The number of births goes up by one with each connection, over restarts.
func TestBirthDeathSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "sparkplug")
		var seen []string
		number := func(will string) string {
			p, err := sparkplugtest.Decode([]byte(will))
			if err != nil || len(p.Metrics) != 1 || *p.Metrics[0].Name != "bdSeq" {
				t.Fatalf("will: %v, %v", p, err)
			}
			return fmt.Sprint(p.Metrics[0].Value)
		}
		for range 130 {
			w, _, stop := start(t, file)
			w.mu.Lock()
			w.session.end()
			w.mu.Unlock()
			time.Sleep(2 * time.Second)
			stop()
			for _, will := range w.wills {
				seen = append(seen, number(will))
			}
		}
		for i, s := range seen {
			if s != fmt.Sprint(i%256) {
				t.Fatalf("connection %d has bdSeq %s", i, s)
			}
		}
		if len(seen) != 260 {
			t.Errorf("%d connections", len(seen))
		}
	})
}

// What a host commands arrives on the command topics of the device, if it is
// an output; nothing else does.
func TestDeviceCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, stop := start(t, "")
		defer stop()
		p := profile("d", map[string]any{"relay": false, "level": 1.5, "input": 2.5, "text": "x"})
		for i := range p.Features {
			if p.Features[i].Name != "input" {
				p.Features[i].Control = &sensors.Control{Platform: "number"}
			}
		}
		n.Born(t.Context(), p)
		var alias uint64
		birth, err := sparkplugtest.Decode(w.log[len(w.log)-1].Payload)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range birth.Metrics {
			if *m.Name == "level" {
				alias = *m.Alias
			}
		}
		field := func(number byte, text string) []byte { return append([]byte{number<<3 | 2, byte(len(text))}, text...) }
		metric := func(parts ...[]byte) []byte { return field(2, string(slices.Concat(parts...))) }
		name := func(s string) []byte { return field(1, s) }
		send := func(device string, metrics ...[]byte) {
			w.session.inbox <- mqtt.Message{Topic: "spBv1.0/plant/DCMD/barn/" + device, Payload: slices.Concat(metrics...)}
			synctest.Wait()
		}
		send("d", metric(name("relay"), []byte{14 << 3, 1}), metric([]byte{2 << 3, byte(alias)}, []byte{13<<3 | 1, 0, 0, 0, 0, 0, 0, 4, 64}))
		send("d", metric(name("level"), []byte{4 << 3, 9, 12<<3 | 5, 0, 0, 128, 63}))                                         // Float 1
		send("d", metric(name("level"), []byte{4 << 3, 3, 10 << 3, 0xff, 0xff, 0xff, 0xff, 0x0f}))                            // Int32 -1
		send("d", metric(name("level"), []byte{4 << 3, 7, 10 << 3, 0xff, 0xff, 0xff, 0xff, 0x0f}))                            // UInt32
		send("d", metric(name("level"), []byte{4 << 3, 1, 10 << 3, 0xfb, 1}))                                                 // Int8 -5
		send("d", metric(name("level"), []byte{4 << 3, 2, 10 << 3, 0xfe, 0xff, 3}))                                           // Int16 -2
		send("d", metric(name("level"), []byte{4 << 3, 8, 11 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})) // UInt64
		send("d", metric(name("text"), field(15, "hello")), metric(name("relay"), []byte{14 << 3, 0}))                        // String, false
		send("d", metric(name("input"), []byte{14 << 3, 1}), metric(name("nothing"), []byte{14 << 3, 1}))                     // no outputs
		send("d", metric(name("relay"), []byte{7 << 3, 1}))                                                                   // null
		send("other", metric(name("relay"), []byte{14 << 3, 1}))                                                              // nobody
		send("d", []byte{0x12, 200})                                                                                          // cut short
		send("d", []byte("hello"))                                                                                            // no payload
		w.session.inbox <- mqtt.Message{Topic: "spBv1.0/plant/DCMD/barn/d", Retain: true, Payload: metric(name("relay"), []byte{14 << 3, 1})}
		synctest.Wait()
		var got []string
		for _, m := range w.sets {
			got = append(got, m.Topic+"="+string(m.Payload))
			if m.Retain || m.QoS != mqtt.AtLeastOnce {
				t.Errorf("%+v", m)
			}
		}
		const set = "dunlin/barn/d/"
		want := []string{set + "relay/set=ON", set + "level/set=2.5", set + "level/set=1", set + "level/set=-1", set + "level/set=4294967295",
			set + "level/set=-5", set + "level/set=-2", set + "level/set=18446744073709551615",
			set + "text/set=hello", set + "relay/set=OFF"}
		if !slices.Equal(got, want) {
			t.Errorf("commands\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A node whose broker refuses says it all again when it is taken back.
func TestRefusedPublishIsMadeGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, stop := start(t, "")
		n.Born(t.Context(), profile("d", map[string]any{"t": 1.0}))
		w.mu.Lock()
		w.refuse = errors.New("full")
		w.mu.Unlock()
		if err := n.Changed(t.Context(), "d", []sensors.Feature{{Name: "t", Value: 2.0, At: time.Now()}}); err == nil {
			t.Error("a refused publish is no error")
		}
		w.mu.Lock()
		w.refuse = nil
		w.mu.Unlock()
		n.Changed(t.Context(), "d", []sensors.Feature{{Name: "t", Value: 3.0, At: time.Now()}})
		if len(w.host.Faults) == 0 {
			t.Error("the host does not see the gap, by which it would ask for a rebirth")
		}
		w.host.Faults = nil
		w.session.inbox <- mqtt.Message{Topic: "spBv1.0/plant/NCMD/barn", Payload: rebirth()}
		synctest.Wait()
		compare(t, &w.host, map[string]map[string]any{"d": {"t": 3.0}})
		stop()
	})
}
