package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
	"github.com/dunlin-mqtt/dunlin/bridge/freeport"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// The program is killed again and again while publishers, subscribers and a
// bridge to a real mosquitto are at work, as a power switch or the kernel would
// kill it. The clients do what the standard asks of clients: they come back
// with their session, and send again what was not acknowledged. What each of
// them sees is held to the invariants of history_test.go.
func TestKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	if testing.Short() {
		t.Skip("takes seconds")
	}
	cycles := times(t, "KILL_CYCLES", 8)
	k := &killing{t: t, dir: t.TempDir(), upstream: bridgetest.Mosquitto(t), sub: newHearer("k/"), far: newHearer("up/")}
	k.configure()
	far := k.listenFar()
	k.start()
	k.subscribe(50 * time.Millisecond)
	h := &history{killing: k}
	pubs := []*speaker{{name: "a", qos: 1}, {name: "b", qos: 2}, {name: "always", qos: 2}}
	rng := rand.New(rand.NewPCG(1, uint64(cycles)))
	for i := range cycles {
		k.turn(pubs, i%3 == 1, time.Duration(5+rng.IntN(80))*time.Millisecond, h)
		if i%5 == 4 { // killed while it recovers
			time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
			k.kill()
			k.start()
		}
		h.between(i)
	}
	for range 60 { // seconds, ten times what is needed
		if k.subscribe(300 * time.Millisecond); k.drained(pubs, h.wills) {
			break
		}
	}
	k.stop()
	far()
	h.end(pubs)
	for _, p := range pubs {
		t.Logf("publisher %s: %d acknowledged", p.name, p.acked)
		if got := k.sub.last(p.name); got < p.acked {
			t.Errorf("I1 publisher %s: %d of %d acknowledged messages arrived", p.name, got, p.acked)
		}
		if got := k.far.last(p.name); got < p.acked {
			t.Errorf("I1 publisher %s: %d of %d acknowledged messages crossed the bridge", p.name, got, p.acked)
		}
	}
	t.Logf("%d doubles at QoS 1, %d of them over the bridge; the slowest start took %s", k.sub.doubles+k.far.doubles, k.far.doubles, k.slowest.Round(time.Millisecond))
	for _, fault := range append(append(k.sub.faults, k.far.faults...), k.faults...) {
		t.Error(fault)
	}
}

// killing is one run of the test.
type killing struct {
	t        *testing.T
	dir      string
	address  string
	upstream *bridgetest.Server
	cmd      *exec.Cmd
	dead     atomic.Bool
	said     bytes.Buffer
	sub, far *hearer

	mu      sync.Mutex
	started time.Time       // zero once somebody was served
	known   map[string]bool // clients that have a session
	faults  []string
	slowest time.Duration // from a start to a connection
}

func (k *killing) configure() {
	k.t.Helper()
	k.address = freeport.Address(k.t)
	text := fmt.Sprintf(`
node: killed
data_dir: data
store: {min_free: 1MiB, classes: [{filter: "k/always", durability: always}]}
mqtt:
  listeners: [{bind: %q, anonymous: true}]
  limits: {connect_rate: 0/s, queue_messages: 1000000, queue_size: 256MiB}
log: {level: warn}
`, k.address)
	if k.upstream != nil {
		text += fmt.Sprintf("bridges: {cloud: {servers: [\"mqtt://%s\"], client_id: killed, out: [{from: \"k/#\", to: \"up/#\", qos: 2}]}}\n", k.upstream.Addr())
	}
	if err := os.WriteFile(filepath.Join(k.dir, "dunlin.yaml"), []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *killing) start() {
	k.t.Helper()
	k.cmd = exec.Command(os.Args[0], "run", "-c", filepath.Join(k.dir, "dunlin.yaml"))
	k.cmd.Env = append(os.Environ(), "DUNLIN_AS_PROGRAM=1")
	k.cmd.Stderr = io.MultiWriter(&k.said, k.t.Output())
	k.mu.Lock()
	k.started = time.Now()
	k.mu.Unlock()
	k.dead.Store(false)
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *killing) kill() {
	k.dead.Store(true)
	k.cmd.Process.Kill()
	k.cmd.Wait() // "signal: killed"
}

func (k *killing) stop() {
	k.t.Helper()
	k.cmd.Process.Signal(os.Interrupt)
	if err := k.cmd.Wait(); err != nil {
		k.t.Errorf("the program ended with %v", err)
	}
}

// turn lets everybody work for a while, kills the program, and starts it.
func (k *killing) turn(pubs []*speaker, online bool, d time.Duration, h *history) {
	var all sync.WaitGroup
	for _, p := range pubs {
		all.Go(func() { p.work(k) })
	}
	if online {
		all.Go(func() { k.subscribe(time.Minute) })
	}
	all.Go(h.during)
	if w, err := k.dialAs(packet.Connect{CleanStart: true}); err == nil { // it serves
		w.nc.Close()
	}
	time.Sleep(d) // real: the kill comes at any moment
	k.kill()
	all.Wait()
	k.start()
}

func (k *killing) drained(pubs []*speaker, wills []int) bool {
	for _, p := range pubs {
		if k.sub.last(p.name) < p.acked || k.far.last(p.name) < p.acked {
			return false
		}
	}
	for _, n := range wills {
		if k.sub.heard(fmt.Sprint("will ", n)) == 0 {
			return false
		}
	}
	return true
}

// listenFar keeps a client at mosquitto, which sees what crosses the bridge.
func (k *killing) listenFar() (stop func()) {
	k.t.Helper()
	w, _, err := dialMortal(k.upstream.Addr(), packet.Connect{ClientID: []byte("far")}, new(atomic.Bool))
	if err != nil {
		k.t.Fatal(err)
	}
	w.send(&packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("up/#"), QoS: 2}}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.far.hear(w)
	}()
	return func() { w.nc.Close(); <-done }
}

// mortal is one connection to a program that will be killed.
type mortal struct {
	nc net.Conn
	r  *bufio.Reader
}

// dial waits for the program and connects with a session that is kept.
func (k *killing) dial(id string) (*mortal, error) {
	return k.dialAs(packet.Connect{ClientID: []byte(id)})
}

// dialAs is dial with all of a CONNECT. It is given up when the program is
// killed before it listens.
func (k *killing) dialAs(c packet.Connect) (*mortal, error) {
	w, present, err := dialMortal(k.address, c, &k.dead)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.started.IsZero() {
		k.slowest, k.started = max(k.slowest, time.Since(k.started)), time.Time{}
	}
	if c.CleanStart {
		return w, nil
	}
	if k.known[string(c.ClientID)] && !present {
		k.faults = append(k.faults, fmt.Sprintf("I10 the session of %s is gone", c.ClientID))
	}
	if k.known == nil {
		k.known = map[string]bool{}
	}
	k.known[string(c.ClientID)] = true
	return w, nil
}

func dialMortal(address string, c packet.Connect, dead *atomic.Bool) (w *mortal, present bool, err error) {
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) { // a process is waited for
		nc, err := net.Dial("tcp", address)
		if err != nil && time.Now().Before(until) && !dead.Load() {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		w := &mortal{nc, bufio.NewReader(nc)}
		c.Version = mqtt.V311
		w.send(&packet.View{Type: packet.CONNECT, Connect: c})
		v, err := w.receive()
		if err != nil || v.Type != packet.CONNACK || v.Reason.Failed() {
			nc.Close()
			return nil, false, errors.New("not accepted")
		}
		return w, v.SessionPresent, nil
	}
}

// send writes a packet; a failure shows when the answer is read.
func (w *mortal) send(v *packet.View) { w.nc.Write(packet.Append(nil, mqtt.V311, v)) }

func (w *mortal) receive() (v packet.View, err error) {
	w.nc.SetReadDeadline(time.Now().Add(time.Minute))
	for n := 2; ; n++ {
		head, err := w.r.Peek(n)
		if err != nil {
			return v, err
		}
		size, err := packet.Frame(head, 1<<20)
		if size == 0 && err == nil && head[n-1]&0x80 == 0 {
			size = n
			for shift, i := 0, 1; i < n; shift, i = shift+7, i+1 {
				size += int(head[i]&0x7F) << shift
			}
		}
		if err != nil {
			return v, err
		}
		if size == 0 {
			continue
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(w.r, b); err != nil {
			return v, err
		}
		return v, packet.Decode(b, mqtt.V311, &v)
	}
}

// speaker sends one message after the other.
type speaker struct {
	name     string
	qos      mqtt.QoS
	acked    int  // messages 1 to acked are acknowledged
	started  bool // acked+1 was sent before
	received bool // its PUBREC came
	resent   int
}

// payload follows from who sends it as what, so that no part of it can be
// another's.
func payload(name string, n int) []byte {
	b := fmt.Appendf(nil, "%s %d", name, n)
	return fmt.Appendf(b, " %08x", crc32.ChecksumIEEE(b))
}

// work publishes until the connection is lost.
func (p *speaker) work(k *killing) {
	w, err := k.dial("pub-" + p.name)
	if err != nil {
		return
	}
	defer w.nc.Close()
	for {
		n := p.acked + 1
		id := uint16(n%65535 + 1)
		if !p.received {
			if p.started {
				p.resent++
			}
			w.send(&packet.View{Type: packet.PUBLISH, ID: id, Publish: packet.Publish{
				Topic: []byte("k/" + p.name), Payload: payload(p.name, n), QoS: p.qos, Dup: p.started,
			}})
			p.started = true
			if !p.answered(w, id) {
				return
			}
		}
		if p.qos == mqtt.ExactlyOnce {
			p.received = true
			w.send(&packet.View{Type: packet.PUBREL, ID: id})
			if v, err := w.receive(); err != nil || v.Type != packet.PUBCOMP || v.ID != id {
				return
			}
		}
		p.acked, p.started, p.received = n, false, false
	}
}

func (p *speaker) answered(w *mortal, id uint16) bool {
	want := packet.PUBACK
	if p.qos == mqtt.ExactlyOnce {
		want = packet.PUBREC
	}
	v, err := w.receive()
	return err == nil && v.Type == want && v.ID == id
}

// subscribe takes what comes for d, or until the connection is lost.
func (k *killing) subscribe(d time.Duration) {
	w, err := k.dial("sub")
	if err != nil {
		return
	}
	defer w.nc.Close()
	stop := time.AfterFunc(d, func() { w.nc.Close() })
	defer stop.Stop()
	w.send(&packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("k/#"), QoS: 2}}})
	k.sub.hear(w)
}
