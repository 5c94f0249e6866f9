//go:build clockstep && linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// A program that is told so begins in 1970, as a board without a battery does,
// and has the right time from SIGUSR2 on.
func init() {
	if os.Getenv("DUNLIN_CLOCK") != "1970" {
		return
	}
	time.WallStep = 60 - time.Now().Unix()
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR2)
	go func() { // as long as the process
		<-told
		time.WallStep = 0
	}()
}

// TestClockStepsOfReadings: a gateway begins in 1970, reads its devices while
// the server upstream is away, is told the time, and sends what it has queued:
// at the right times, in order. scripts/clockstep.sh runs it.
func TestClockStepsOfReadings(t *testing.T) {
	const devices, samples = 4, 1000
	cloud, err := cloudtest.New(cloudtest.Options{Faults: cloudtest.Faults{Refuse: true}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	defer ln.Close()
	go cloud.Serve(ln) // until ln closes
	k := &killing{t: t, dir: t.TempDir()}
	k.configure()
	file := filepath.Join(k.dir, "dunlin.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "bridges:\n  cloud: {servers: [\"mqtt://%s\"], status_topic: \"\", out: [{from: \"dunlin/killed/+/v\", while_offline: all}]}\ndevices:\n", ln.Addr())
	for i := range devices {
		text = fmt.Appendf(text, "  - {name: d%d, driver: sim, interval: 10ms, entities: {v: {signal: sine, min: 0, max: 1000, period: 1h}}}\n", i)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DUNLIN_CLOCK", "1970")
	began := time.Now()
	k.start()
	defer k.kill()
	books := k.books()
	if local := firstReading(t, k); local.Year() != 1970 {
		t.Fatalf("the program does not begin in 1970 but at %v: the test shows nothing", local)
	}
	if !cloudtest.WaitFor(time.Minute, func() bool { time.Sleep(50 * time.Millisecond); return books().Waiting >= samples }) {
		t.Fatalf("%d readings wait", books().Waiting)
	}
	if err := k.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	stepped := time.Now()
	right := books().Waiting + 20 // some readings of the right time
	if !cloudtest.WaitFor(time.Minute, func() bool { time.Sleep(50 * time.Millisecond); return books().Waiting >= right }) {
		t.Fatalf("%d readings wait", books().Waiting)
	}
	cloud.Set(func(f *cloudtest.Faults) { f.Refuse = false })
	if !cloudtest.WaitFor(time.Minute, func() bool { return len(cloud.Messages()) >= samples+100 }) {
		t.Fatalf("%d readings arrived", len(cloud.Messages()))
	}
	k.stop()
	judgeReadings(t, cloud.Messages(), began, stepped)
}

// firstReading is the time of a reading that a client of the gateway gets.
func firstReading(t *testing.T, k *killing) time.Time {
	w, err := dialFive(k.address, new(atomic.Bool))
	if err != nil {
		t.Fatal(err)
	}
	defer w.nc.Close()
	w.nc.Write(packet.Append(nil, mqtt.V5, &packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("dunlin/killed/d0/v")}}}))
	for {
		v, err := w.receiveFive()
		if err != nil {
			t.Fatal(err)
		}
		if v.Type == packet.PUBLISH {
			return stamp(t, v.Message(time.Now()).Properties.Get)
		}
	}
}

func stamp(t *testing.T, get func(string) (string, bool)) time.Time {
	t.Helper()
	ts, _ := get("ts")
	at, err := time.Parse(time.RFC3339Nano, ts)
	if err != nil {
		t.Fatalf("a reading of %q", ts)
	}
	return at
}

// judgeReadings: those of each device are in order and without a gap, from the
// time in which they were read; what they say of the clock is what the kernel
// says of it, and that those from before the step are corrected.
func judgeReadings(t *testing.T, all []cloudtest.Message, began, stepped time.Time) {
	type last struct {
		seq int
		at  time.Time
	}
	devices, early, faults := map[string]last{}, 0, 0
	was, is := "unsynced", "unsynced"
	if sensors.ClockSynced() {
		was, is = "corrected", "synced"
	}
	for _, m := range all {
		clock, _ := m.Properties.Get("clock")
		q, _ := m.Properties.Get("q")
		number, _ := m.Properties.Get("seq")
		seq, _ := strconv.Atoi(number)
		at, before := stamp(t, m.Properties.Get), devices[m.Topic]
		if clock == was && at.Before(stepped) {
			early++
		}
		var bad []string
		for fault, there := range map[string]bool{
			"is of another time": at.Before(began.Add(-time.Millisecond)) || at.After(time.Now()),
			"goes back in time":  at.Before(before.at.Add(-20 * time.Millisecond)),
			"leaves a gap":       seq != before.seq+1,
			"has no good value":  q != "good",
			"lies of the clock":  clock != was && clock != is || clock == "synced" && at.Before(stepped.Add(-50*time.Millisecond)),
		} {
			if there {
				bad = append(bad, fault)
			}
		}
		if faults++; len(bad) == 0 {
			faults--
		} else if faults < 10 {
			t.Errorf("%s, reading %d of %v (%s) %s", m.Topic, seq, at, clock, strings.Join(bad, ", "))
		}
		devices[m.Topic] = last{seq, at}
	}
	t.Logf("%d readings of %d devices, %d of them corrected, %d wrong", len(all), len(devices), early, faults)
	if early < 900 || len(all) == early {
		t.Error("the test shows nothing: readings from before and after the step are needed")
	}
}
