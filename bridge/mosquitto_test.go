package bridge_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
	"github.com/dunlin-mqtt/dunlin/bridge/freeport"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// patience is how long a test waits for something on a real connection.
const patience = 30 * time.Second

// observer is a persistent subscriber of the real server.
type observer struct {
	version mqtt.Version
	c       net.Conn
	got     chan mqtt.Message
	done    sync.WaitGroup
}

func observe(t *testing.T, addr, id, filter string) *observer {
	t.Helper()
	return observeIn(t, mqtt.V5, addr, id, filter)
}

func observeIn(t *testing.T, version mqtt.Version, addr, id, filter string) *observer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	o := &observer{version: version, c: c, got: make(chan mqtt.Message, 10000)}
	write := func(v *packet.View) { _, _ = c.Write(packet.Append(nil, version, v)) }
	write(&packet.View{Type: packet.CONNECT,
		Connect:    packet.Connect{Version: version, ClientID: []byte(id)},
		Properties: packet.Properties{Has: packet.HasSessionExpiry, SessionExpiry: 3600}})
	write(&packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte(filter), QoS: 2, RetainAsPublished: true}}})
	ready := make(chan struct{})
	o.done.Go(func() { o.read(write, ready) })
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatal("no SUBACK")
	}
	t.Cleanup(o.close)
	return o
}

func (o *observer) read(write func(*packet.View), ready chan struct{}) {
	var buf []byte
	chunk := make([]byte, 64<<10)
	held := map[uint16]bool{} // of QoS 2, up to PUBREL [MQTT-4.3.3-2]
	for {
		n, err := packet.Frame(buf, 0)
		if err != nil {
			return
		}
		if n == 0 {
			m, err := o.c.Read(chunk)
			buf = append(buf, chunk[:m]...)
			if err != nil {
				return
			}
			continue
		}
		var v packet.View
		if packet.Decode(buf[:n], o.version, &v) != nil {
			return
		}
		switch v.Type {
		case packet.SUBACK:
			close(ready)
		case packet.PUBLISH:
			if !held[v.ID] {
				o.got <- v.Message(time.Now())
			}
			switch v.Publish.QoS {
			case 1:
				write(&packet.View{Type: packet.PUBACK, ID: v.ID})
			case 2:
				held[v.ID] = true
				write(&packet.View{Type: packet.PUBREC, ID: v.ID})
			}
		case packet.PUBREL:
			delete(held, v.ID)
			write(&packet.View{Type: packet.PUBCOMP, ID: v.ID})
		}
		buf = buf[n:]
	}
}

func (o *observer) close() {
	_ = o.c.Close()
	o.done.Wait()
}

func (o *observer) next(t *testing.T) mqtt.Message {
	t.Helper()
	select {
	case m := <-o.got:
		return m
	case <-time.After(patience):
		t.Fatal("no message")
	}
	return mqtt.Message{}
}

// running starts a bridge; stop ends it and waits.
func running(t *testing.T, o bridge.Options) (b *bridge.Bridge, stop func()) {
	t.Helper()
	b, err := bridge.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	sampled := bridge.Sample(t, b, 20*time.Millisecond)
	stop = sync.OnceFunc(func() {
		sampled()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return b, stop
}

func TestMosquittoOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a few seconds of real time")
	}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run("MQTT "+v.String(), func(t *testing.T) { mosquittoOutage(t, v) })
	}
}

func mosquittoOutage(t *testing.T, version mqtt.Version) {
	m := bridgetest.Mosquitto(t)
	observe(t, m.Addr(), "observer", "site/#").close()
	q := bridge.NewTestQueue(t)
	drained := make(chan bridge.Event, 100)
	tap := tap{version: version}
	b, stop := running(t, bridge.Options{
		Name: "cloud", Servers: []string{m.URL()}, ClientID: "gw", StatusTopic: "gw/status", Protocol: version,
		Out: []bridge.Route{{From: "dunlin/#", To: "site/#"}}, Queues: [bridge.LaneCount]bridge.Queue{q}, RetryMax: time.Second,
		Dial: tap.dial,
		OnEvent: func(e bridge.Event) {
			if e.Kind == bridge.EventDrained {
				drained <- e
			}
		},
	})
	const each = 300
	put := func(n int) {
		for i := range each {
			q.Add(mqtt.Message{Topic: "dunlin/a", Payload: []byte(fmt.Sprint(n*each + i)), QoS: mqtt.QoS(1 + i%2)})
		}
	}
	put(0)
	q.WaitEmpty(t, patience)
	m.Save()
	m.Freeze() // what is sent now stays without an acknowledgement
	put(1)
	q.WaitInFlight(t, 20, patience)
	m.Kill()
	put(2)
	m.Start()
	select {
	case <-drained:
	case <-time.After(patience):
		t.Fatalf("not drained: %+v", b.Stats())
	}
	q.WaitEmpty(t, patience)
	o := observe(t, m.Addr(), "observer", "site/#")
	count := make([]int, 3*each)
	last := [3]int{-1, -1, -1} // by QoS; a server may route QoS 2 later than QoS 1 [MQTT-4.6.0-5]
	for distinct := 0; distinct < len(count); {
		m := o.next(t)
		n, err := strconv.Atoi(string(m.Payload))
		if err != nil {
			t.Fatal(err)
		}
		if count[n]++; count[n] > 1 {
			continue
		}
		distinct++
		if n < last[m.QoS] {
			t.Fatalf("message %d arrived after %d", n, last[m.QoS])
		}
		last[m.QoS] = n
	}
	for n, times := range count {
		if n%2 == 1 && times != 1 {
			t.Errorf("message %d, QoS 2, arrived %d times", n, times)
		}
	}
	stop()
	st := b.Stats()
	t.Logf("sent %d, resent with DUP=1 %d, anew %d", st.Sent, st.Resent, st.Again)
	if dup := tap.dups(); dup < 20 || uint64(dup) != st.Resent {
		t.Errorf("%d PUBLISH packets with DUP=1 on the wire, counted %d, want at least 20", dup, st.Resent)
	}
}

func TestMosquittoStatus(t *testing.T) {
	m := bridgetest.Mosquitto(t)
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run("MQTT "+v.String(), func(t *testing.T) { mosquittoStatus(t, m.Addr(), m.URL(), v) })
	}
}

func mosquittoStatus(t *testing.T, addr, url string, v mqtt.Version) {
	o := observe(t, addr, "observer"+v.String(), "gw/status/"+v.String())
	_, stop := running(t, bridge.Options{Name: "cloud", Servers: []string{url}, ClientID: "gw", StatusTopic: "gw/status/" + v.String(), Protocol: v})
	if p := o.next(t).Payload; string(p) != "online" {
		t.Fatalf("after connect: %s", p)
	}
	stop()
	if p := o.next(t).Payload; string(p) != "offline" {
		t.Fatalf("after stop: %s", p)
	}
	late := observe(t, addr, "late"+v.String(), "gw/status/"+v.String()).next(t)
	if string(late.Payload) != "offline" || !late.Retain {
		t.Errorf("retained: %s, %v", late.Payload, late.Retain)
	}
}

func TestMosquittoCommands(t *testing.T) {
	m := bridgetest.Mosquitto(t)
	local := &bridge.TestLocal{Messages: make(chan mqtt.Message, 10)}
	up := make(chan struct{}, 10)
	running(t, bridge.Options{
		Name: "cloud", Servers: []string{m.URL()}, ClientID: "gw", Local: local,
		In: []bridge.Route{{From: "site/cmd/#", To: "cmd/#"}},
		OnEvent: func(e bridge.Event) {
			if e.Kind == bridge.EventUp {
				up <- struct{}{}
			}
		},
	})
	<-up
	// A second bridge publishes: what comes down went up elsewhere.
	q := bridge.NewTestQueue(t)
	running(t, bridge.Options{
		Name: "other", Servers: []string{m.URL()}, ClientID: "other", Queues: [bridge.LaneCount]bridge.Queue{q},
		Out: []bridge.Route{{From: "site/cmd/#"}},
	})
	for i := range 3 {
		q.Add(mqtt.Message{Topic: "site/cmd/relay", Payload: []byte{byte('0' + i)}, QoS: mqtt.QoS(i), Retain: true,
			Properties: &mqtt.Properties{ContentType: "text/plain", CorrelationData: []byte("c"), ResponseTopic: "r", HasFormat: true, PayloadFormat: 1}})
	}
	q.WaitEmpty(t, patience)
	select {
	case got := <-local.Messages:
		p := got.Properties
		if got.Topic != "cmd/relay" || !got.Retain || p.ContentType != "text/plain" || string(p.CorrelationData) != "c" || p.ResponseTopic != "r" || p.PayloadFormat != 1 {
			t.Errorf("got %+v %+v", got, p)
		}
		if n, _ := p.Get("dunlin-via"); n == "" || strings.Contains(n, ",") {
			t.Errorf("via %q", n)
		}
	case <-time.After(patience):
		t.Fatal("no command")
	}
}

func TestClassesOfRealFailures(t *testing.T) {
	closed := freeport.Address(t)
	for _, tc := range []struct {
		name   string
		server string
		class  bridge.Class
	}{
		{"nobody listens", "mqtt://" + closed, bridge.ClassTCP},
		{"the name does not exist", "mqtt://upstream.invalid", bridge.ClassDNS},
		{"certificate has expired", tlsServer(t, -48*time.Hour, -24*time.Hour), bridge.ClassTLSExpired},
		{"certificate is not yet valid", tlsServer(t, 24*time.Hour, 48*time.Hour), bridge.ClassTLSNotYetValid},
		{"certificate of nobody we know", tlsServer(t, -time.Hour, time.Hour, "unknown"), bridge.ClassTLS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			down := make(chan bridge.Event, 10)
			running(t, bridge.Options{
				Name: "x", Servers: []string{tc.server}, ClientID: "x",
				TLS: func() (*tls.Config, error) { return &tls.Config{RootCAs: roots(t)}, nil },
				OnEvent: func(e bridge.Event) {
					select {
					case down <- e:
					default:
					}
				},
			})
			select {
			case e := <-down:
				if e.Class != tc.class {
					t.Errorf("%s: %s, want %s", e.Class, e.Reason, tc.class)
				}
			case <-time.After(patience):
				t.Fatal("no failure")
			}
		})
	}
}

// tap looks at what the bridge writes.
type tap struct {
	version mqtt.Version

	mu  sync.Mutex
	all []*tapConn
}

type tapConn struct {
	net.Conn
	t   *tap
	out []byte
}

func (t *tap) dial(ctx context.Context, server string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	tc := &tapConn{Conn: c, t: t}
	t.all = append(t.all, tc)
	return tc, nil
}

func (c *tapConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.out = append(c.out, p[:n]...)
	return n, err
}

// dups counts the PUBLISH packets with DUP=1.
func (t *tap) dups() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range slices.Values(t.all) {
		buf := c.out
		for {
			size, err := packet.Frame(buf, 0)
			if err != nil || size == 0 {
				break
			}
			var v packet.View
			if packet.Decode(buf[:size], t.version, &v) == nil && v.Type == packet.PUBLISH && v.Publish.Dup {
				n++
			}
			buf = buf[size:]
		}
	}
	return n
}

// mosquitto knows the bridge bit: what goes up does not come down again.
func TestMosquittoBridgeBit(t *testing.T) {
	m := bridgetest.Mosquitto(t)
	local := &bridge.TestLocal{Messages: make(chan mqtt.Message, 10)}
	q := bridge.NewTestQueue(t)
	up := make(chan struct{}, 10)
	running(t, bridge.Options{
		Name: "cloud", Servers: []string{m.URL()}, ClientID: "gw", Local: local, Protocol: mqtt.V311,
		Out: []bridge.Route{{From: "site/#"}}, In: []bridge.Route{{From: "site/#"}}, Queues: [bridge.LaneCount]bridge.Queue{q},
		OnEvent: func(e bridge.Event) {
			if e.Kind == bridge.EventUp {
				up <- struct{}{}
			}
		},
	})
	<-up
	o := observe(t, m.Addr(), "observer", "site/#")
	q.Add(mqtt.Message{Topic: "site/own", Payload: []byte("x"), QoS: 1})
	o.next(t) // it has been routed
	write := func(v *packet.View) { _, _ = o.c.Write(packet.Append(nil, mqtt.V5, v)) }
	write(&packet.View{Type: packet.PUBLISH, Publish: packet.Publish{Topic: []byte("site/theirs"), Payload: []byte("y"), Retain: true}})
	select {
	case got := <-local.Messages:
		if got.Topic != "site/theirs" || !got.Retain {
			t.Errorf("got %s, retained %v", got.Topic, got.Retain)
		}
	case <-time.After(patience):
		t.Fatal("nothing came down")
	}
}
