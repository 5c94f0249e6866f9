package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// The program is killed again and again while its devices publish and clients
// load it. A subscriber that comes at any moment of any life, and looks at any
// moment, never sees a device online beside a value from before the last kill.
func TestKilledDevices(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	cycles := times(t, "KILL_DEVICES", 4)
	k := &killing{t: t, dir: t.TempDir()}
	k.configure()
	text, err := os.ReadFile(filepath.Join(k.dir, "dunlin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Append(text, "gateway: {defaults: {will_delay: 0s}}\nstore: {min_free: 1MiB, retained_flush: 100ms}\ndevices:\n")
	for i := range 5 {
		text = fmt.Appendf(text, "  - {name: d%d, driver: sim, interval: %dms, entities: {v: {signal: sine, min: 1, max: 100}}}\n", i, 10+7*i)
	}
	text = []byte(strings.Replace(string(text), "store: {min_free: 1MiB, classes: [{filter: \"k/always\", durability: always}]}\n", "", 1))
	if err := os.WriteFile(filepath.Join(k.dir, "dunlin.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, uint64(cycles)))
	var seen looks
	for range cycles {
		k.start()
		var all sync.WaitGroup
		for i := range 2 {
			p := &speaker{name: fmt.Sprint("load", i), qos: mqtt.AtLeastOnce}
			all.Go(func() { p.work(k) })
		}
		for range 3 {
			pause := time.Duration(rng.IntN(60)) * time.Millisecond
			all.Go(func() {
				for !k.dead.Load() {
					seen.look(k, pause)
				}
			})
		}
		time.Sleep(time.Duration(20+rng.IntN(150)) * time.Millisecond) // real: the kill comes at any moment
		k.kill()
		all.Wait()
		seen.mu.Lock()
		seen.killed = time.Now()
		seen.mu.Unlock()
	}
	t.Logf("%d lives: %d looks saw %d devices online and %d offline, %d old values beside the latter", cycles, seen.looks, seen.online, seen.offline, seen.old)
	for i, fault := range seen.faults {
		if i < 10 {
			t.Error(fault)
		}
	}
	if cycles >= 50 && (seen.online == 0 || seen.old == 0) {
		t.Error("the test shows nothing: it must see devices online, and old values of others that are not")
	}
}

// looks are what subscribers have seen.
type looks struct {
	mu                          sync.Mutex
	killed                      time.Time // the last kill
	looks, online, offline, old int
	faults                      []string
}

// look subscribes to everything for a while, as a client that knows nothing.
func (l *looks) look(k *killing, d time.Duration) {
	w, err := dialFive(k.address, &k.dead)
	if err != nil {
		return
	}
	defer w.nc.Close()
	stop := time.AfterFunc(10*time.Millisecond+d, func() { w.nc.Close() })
	defer stop.Stop()
	w.nc.Write(packet.Append(nil, mqtt.V5, &packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("dunlin/killed/+/+")}}}))
	state, captured := map[string]string{}, map[string]time.Time{}
	for {
		v, err := w.receiveFive()
		if err != nil {
			break
		}
		if v.Type != packet.PUBLISH {
			continue
		}
		levels := strings.Split(string(v.Publish.Topic), "/")
		device, what := levels[2], levels[3]
		switch what {
		case "availability":
			state[device] = string(v.Publish.Payload)
		case "v":
			ts, _ := v.Message(time.Now()).Properties.Get("ts")
			if captured[device], err = time.Parse(time.RFC3339Nano, ts); err != nil {
				l.fault("a value says it was captured at %q", ts)
			}
		}
		l.judge(device, state[device], captured[device])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	for _, s := range state {
		if s == "online" {
			l.online++
		} else {
			l.offline++
		}
	}
}

// judge looks at what a subscriber knows now.
func (l *looks) judge(device, state string, captured time.Time) {
	l.mu.Lock()
	killed := l.killed
	isOld := !captured.IsZero() && !captured.After(killed.Truncate(time.Millisecond).Add(-time.Millisecond))
	if isOld && state == "offline" {
		l.old++
	}
	l.mu.Unlock()
	if isOld && state == "online" {
		l.fault("%s is online with a value of %v before the kill", device, killed.Sub(captured))
	}
}

func (l *looks) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// dialFive connects with MQTT 5, for the User Properties.
func dialFive(address string, dead *atomic.Bool) (*mortal, error) {
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) { // a process is waited for
		nc, err := net.Dial("tcp", address)
		if err != nil && time.Now().Before(until) && !dead.Load() {
			continue
		}
		if err != nil {
			return nil, err
		}
		w := &mortal{nc, bufio.NewReader(nc)}
		nc.Write(packet.Append(nil, mqtt.V5, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: mqtt.V5, CleanStart: true}}))
		if v, err := w.receiveFive(); err != nil || v.Type != packet.CONNACK || v.Reason.Failed() {
			nc.Close()
			return nil, fmt.Errorf("not accepted: %v", err)
		}
		return w, nil
	}
}

// receiveFive is receive for MQTT 5.
func (w *mortal) receiveFive() (v packet.View, err error) {
	w.nc.SetReadDeadline(time.Now().Add(time.Minute))
	head := make([]byte, 1, 5)
	if _, err := io.ReadFull(w.r, head); err != nil {
		return v, err
	}
	size := 0
	for shift := 0; ; shift += 7 {
		b, err := w.r.ReadByte()
		if err != nil {
			return v, err
		}
		head = append(head, b)
		if size += int(b&0x7F) << shift; b&0x80 == 0 {
			break
		}
	}
	b := append(head, make([]byte, size)...)
	if _, err := io.ReadFull(w.r, b[len(head):]); err != nil {
		return v, err
	}
	return v, packet.Decode(b, mqtt.V5, &v)
}
