package main

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

// The server upstream is away while messages are queued; during the drain
// dunlin is killed three times and the server twice. None is lost, those of a
// topic stay in order, QoS 2 arrives once, and the books balance whenever they
// are looked at. OUTAGE=20000 or more bounds the memory too.
func TestOutage(t *testing.T) {
	t.Parallel() // it waits more than it works
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const usual = 4000
	messages := times(t, "OUTAGE", usual)
	cloud := cloudtest.NewProcess(t)
	cloud.Kill()
	k := &killing{t: t, dir: t.TempDir()}
	k.configure()
	k.bridgeTo(cloud.Address)
	k.start()
	k.dialed(t) // it serves while the server upstream is away
	idle := resident(k.cmd.Process.Pid)
	backlog(t, k, messages)
	full := resident(k.cmd.Process.Pid)

	cloud.Start()
	began := time.Now()
	books := k.books()
	most := full
	arrived := func() int {
		books()
		most = max(most, resident(k.cmd.Process.Pid))
		return len(cloud.Messages())
	}
	for i, kill := range []string{"dunlin", "cloud", "dunlin", "cloud", "dunlin"} {
		goal := messages * (i + 1) / 6
		if !cloudtest.WaitFor(10*time.Minute, func() bool { time.Sleep(20 * time.Millisecond); return arrived() >= goal }) {
			t.Fatalf("%d messages arrived, waiting for %d", arrived(), goal)
		}
		if kill == "cloud" {
			cloud.Kill()
			cloud.Start()
			continue
		}
		k.kill()
		k.start()
		k.dialed(t).nc.Close()
	}
	seen := map[string]int{}
	if !cloudtest.WaitFor(10*time.Minute, func() bool { time.Sleep(100 * time.Millisecond); return different(cloud.Messages(), seen) >= messages }) {
		t.Errorf("%d of %d messages arrived", different(cloud.Messages(), seen), messages)
	}
	books()
	t.Logf("%d messages in %v; resident %d kB idle, %d kB with the backlog, at most %d kB during the drain, %d kB after it",
		messages, time.Since(began).Round(time.Second), idle>>10, full>>10, most>>10, resident(k.cmd.Process.Pid)>>10)
	if messages > usual && max(full, most) > idle+10<<20 { // with the race detector it means nothing
		t.Error("that is more than 10 MB above idle")
	}
	k.stop()
	inOrder(t, cloud.Messages())
}

// books returns what reads the bridge's accounts, and fails the test when they do
// not balance. Nothing may be dropped.
func (k *killing) books() func() api.Bridge {
	socket := overSocket(k.t, filepath.Join(k.dir, "data", "dunlin.sock"))
	return func() (b api.Bridge) {
		k.t.Helper()
		socket.read("/api/v1/bridges/cloud", &b)
		if b.Dropped > 0 || b.Accepted != b.Removed+uint64(b.Waiting) {
			k.t.Errorf("the accounts do not balance: %+v", b)
		}
		return b
	}
}

// TestOutage with a real server, which SIGTERM ends twice in the middle of the
// drain. What arrived is what a subscriber finds that was away meanwhile.
func TestOutageMosquitto(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	messages := times(t, "OUTAGE", 900)
	up := bridgetest.Mosquitto(t)
	dial := func(id string) *mortal {
		w, _, err := dialMortal(up.Addr(), packet.Connect{ClientID: []byte(id)}, new(atomic.Bool))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := dial("observer")
	w.send(&packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("k/#"), QoS: 2}}})
	if v, err := w.receive(); err != nil || v.Type != packet.SUBACK {
		t.Fatal(v.Type, err)
	}
	w.nc.Close()
	up.Stop()
	k := &killing{t: t, dir: t.TempDir()}
	k.configure()
	k.bridgeTo(up.Addr())
	k.start()
	backlog(t, k, messages)
	up.Start()
	books := k.books()
	waiting := func() int { return books().Waiting }
	for i, kill := range []string{"dunlin", "mosquitto", "dunlin", "mosquitto", "dunlin", "nobody"} {
		goal := messages * (5 - i) / 6
		if !cloudtest.WaitFor(10*time.Minute, func() bool { time.Sleep(10 * time.Millisecond); return waiting() <= goal }) {
			t.Fatalf("%d messages wait, not %d", waiting(), goal)
		}
		switch kill {
		case "dunlin":
			k.kill()
			k.start()
			k.dialed(t).nc.Close()
		case "mosquitto":
			up.Stop()
			up.Start()
		}
	}
	k.stop()
	end := dial("end")
	defer end.nc.Close()
	end.send(&packet.View{Type: packet.PUBLISH, ID: 1, Publish: packet.Publish{Topic: []byte("k/end"), Payload: []byte("end"), QoS: 1}})
	all := observed(t, dial("observer"))
	if n := different(all, map[string]int{}); n != messages {
		t.Errorf("%d of %d messages arrived", n, messages)
	}
	inOrder(t, all)
}

// observed takes what waits for a session, up to the message "end".
func observed(t *testing.T, w *mortal) (all []cloudtest.Message) {
	t.Helper()
	defer w.nc.Close()
	for {
		v, err := w.receive()
		if err != nil {
			t.Fatalf("after %d messages: %v", len(all), err)
		}
		switch v.Type {
		case packet.PUBLISH:
			if string(v.Publish.Payload) == "end" {
				return all
			}
			all = append(all, cloudtest.Message{Message: v.Message(time.Now())})
			answer := packet.PUBACK
			if v.Publish.QoS == mqtt.ExactlyOnce {
				answer = packet.PUBREC
			}
			w.send(&packet.View{Type: answer, ID: v.ID})
		case packet.PUBREL:
			w.send(&packet.View{Type: packet.PUBCOMP, ID: v.ID})
		}
	}
}
