package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// The program is killed again and again while three publishers and a
// subscriber with a session are at work, as a power switch or the kernel would
// kill it. What was acknowledged arrives, in order, and at QoS 2 once. The
// clients do what the standard asks of clients: they come back with their
// session, and send again what was not acknowledged.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	cycles := times(t, "KILL_CYCLES", 8)
	k := &killing{t: t, dir: t.TempDir(), sub: &hearer{open: map[uint16]bool{}, seen: map[string]int{}}}
	k.configure()
	k.start()
	k.subscribe(50 * time.Millisecond)
	pubs := []*speaker{{name: "a", qos: 1}, {name: "b", qos: 2}, {name: "always", qos: 2}}
	rng := rand.New(rand.NewPCG(1, uint64(cycles)))
	for i := range cycles {
		k.turn(pubs, i%3 == 1, time.Duration(5+rng.IntN(80))*time.Millisecond)
	}
	for range 60 { // seconds, ten times what is needed
		if k.subscribe(300 * time.Millisecond); k.drained(pubs) {
			break
		}
	}
	k.stop()
	for _, p := range pubs {
		t.Logf("publisher %s: %d acknowledged", p.name, p.acked)
		if got := k.sub.seen[p.name]; got < p.acked {
			t.Errorf("publisher %s: %d of %d acknowledged messages arrived", p.name, got, p.acked)
		}
	}
	for _, fault := range k.sub.faults {
		t.Error(fault)
	}
}

// killing is one run of the test.
type killing struct {
	t       *testing.T
	dir     string
	address string
	cmd     *exec.Cmd
	sub     *hearer
}

func (k *killing) configure() {
	k.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		k.t.Fatal(err)
	}
	k.address = ln.Addr().String()
	ln.Close()
	text := fmt.Sprintf(`
node: killed
data_dir: data
store: {min_free: 1MiB, classes: [{filter: "k/always", durability: always}]}
mqtt:
  listeners: [{bind: %q, anonymous: true}]
  limits: {connect_rate: 0/s, queue_messages: 1000000, queue_size: 256MiB}
log: {level: warn}
`, k.address)
	if err := os.WriteFile(filepath.Join(k.dir, "dunlin.yaml"), []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *killing) start() {
	k.t.Helper()
	k.cmd = exec.Command(os.Args[0], "run", "-c", filepath.Join(k.dir, "dunlin.yaml"))
	k.cmd.Env = append(os.Environ(), "DUNLIN_AS_PROGRAM=1")
	k.cmd.Stderr = k.t.Output()
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *killing) kill() {
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
func (k *killing) turn(pubs []*speaker, online bool, d time.Duration) {
	var all sync.WaitGroup
	for _, p := range pubs {
		all.Go(func() { p.work(k) })
	}
	if online {
		all.Go(func() { k.subscribe(time.Minute) })
	}
	time.Sleep(d) // real: the kill comes at any moment
	k.kill()
	all.Wait()
	k.start()
}

func (k *killing) drained(pubs []*speaker) bool {
	for _, p := range pubs {
		if k.sub.seen[p.name] < p.acked {
			return false
		}
	}
	return true
}

// mortal is one connection to a program that will be killed.
type mortal struct {
	nc net.Conn
	r  *bufio.Reader
}

// dial waits for the program and connects with a session that is kept.
func (k *killing) dial(id string) (*mortal, error) {
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) { // a process is waited for
		nc, err := net.Dial("tcp", k.address)
		if err != nil && time.Now().Before(until) {
			continue
		}
		if err != nil {
			return nil, err
		}
		w := &mortal{nc, bufio.NewReader(nc)}
		w.send(&packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: mqtt.V311, ClientID: []byte(id)}})
		if v, err := w.receive(); err != nil || v.Type != packet.CONNACK || v.Reason.Failed() {
			nc.Close()
			return nil, errors.New("not accepted")
		}
		return w, nil
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
			w.send(&packet.View{Type: packet.PUBLISH, ID: id, Publish: packet.Publish{
				Topic: []byte("k/" + p.name), Payload: fmt.Appendf(nil, "%s %d", p.name, n), QoS: p.qos, Dup: p.started,
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

// hearer keeps what a client must keep of QoS 2.
type hearer struct {
	open   map[uint16]bool // Packet Identifiers received and not released
	seen   map[string]int  // the last message of each publisher
	faults []string
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
	for {
		v, err := w.receive()
		if err != nil {
			return
		}
		switch {
		case v.Type == packet.PUBREL:
			delete(k.sub.open, v.ID)
			w.send(&packet.View{Type: packet.PUBCOMP, ID: v.ID})
		case v.Type != packet.PUBLISH:
		case v.Publish.QoS == mqtt.AtLeastOnce:
			k.sub.take(&v.Publish, true)
			w.send(&packet.View{Type: packet.PUBACK, ID: v.ID})
		default:
			if !k.sub.open[v.ID] {
				k.sub.open[v.ID] = true
				k.sub.take(&v.Publish, false)
			}
			w.send(&packet.View{Type: packet.PUBREC, ID: v.ID})
		}
	}
}

// take checks one message against what came before.
func (s *hearer) take(p *packet.Publish, again bool) {
	var name string
	var n int
	if _, err := fmt.Sscanf(string(p.Payload), "%s %d", &name, &n); err != nil || "k/"+name != string(p.Topic) {
		s.faults = append(s.faults, fmt.Sprintf("nobody sent %q on %s", p.Payload, p.Topic))
		return
	}
	switch last := s.seen[name]; {
	case n == last+1:
		s.seen[name] = n
	case n <= last && again:
	case n <= last:
		s.faults = append(s.faults, fmt.Sprintf("%q came twice at QoS 2", p.Payload))
	default:
		s.faults = append(s.faults, fmt.Sprintf("%q came after %d", p.Payload, last))
		s.seen[name] = n
	}
}
