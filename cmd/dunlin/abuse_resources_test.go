//go:build linux

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// I. Resources and the system.
func attacksOnResources() []attack {
	return []attack{
		{number: 84, name: "a hundred subscribers that never read", run: slowConsumers},
		{number: 85, name: "a full disk", run: fullDisk},
		{number: 86, name: "upstream certificates that are not right", run: wrongUpstreams},
		{number: 87, name: "a hostile upstream", elsewhere: "bridge TestBadServers"},
		{number: 88, name: "routes that map to what is no topic", elsewhere: "bridge TestRouteErrors"},
		{number: 89, name: "no descriptor left", run: noDescriptors},
		{number: 90, name: "a panic in a handler", elsewhere: "broker/internal/conn TestAPanicEndsItsConnectionOnly"},
		{number: 91, name: "signals under load, and restarts", run: signalStorms},
		{number: 92, name: "hostile sensors", elsewhere: "sensors/drivers TestLinesPartialAndGarbage"},
	}
}

func slowConsumers(t *testing.T) {
	s := attackOn(t, victimOptions{config: open, budget: 56 << 20})
	for n := range 100 {
		nc := s.open()
		nc.(*net.TCPConn).SetReadBuffer(4096)
		a := newAttacker(t, nc, mqtt.V5)
		a.connect(fmt.Sprintf("cid=deaf-%d", n))
		a.send(fmt.Sprintf("SUBSCRIBE id=1 f=slow/#@%d", n%2))
		a.expect("SUBACK ...")
	}
	p := s.dial(mqtt.V5)
	p.connect("cid=publisher")
	payload := strings.Repeat("x", 1000)
	p.patient = 30 * time.Second
	begin := time.Now()
	p.flood(scale(20_000, 200_000), func(i int) string { return fmt.Sprintf("PUBLISH topic=slow/x payload=%d.%s", i, payload) })
	t.Logf("published in %s, RSS is %d MiB, its peak was %d MiB", time.Since(begin).Round(time.Millisecond), s.status("VmRSS")>>20, s.status("VmHWM")>>20)
}

// The disk is full, which for a process is a limit of 0 on the sizes of files,
// while a client hoards retained messages and sessions.
func fullDisk(t *testing.T) {
	s := attackOn(t, victimOptions{config: open, budget: 64 << 20, shell: "ulimit -f 0"})
	a := s.dial(mqtt.V5)
	a.connect("cid=hoarder")
	a.flood(scale(3_000, 30_000), func(i int) string {
		return fmt.Sprintf("PUBLISH topic=hoard/%d retain=1 payload=value", i)
	})
	for i := range scale(300, 10_000) {
		a := s.dial(mqtt.V5)
		a.send(fmt.Sprintf("CONNECT cid=eternal-%d clean=0 se=100000", i))
		if got := a.receive(); !strings.HasPrefix(got, "CONNACK") {
			t.Fatalf("session %d: %s", i, got)
		}
		a.send("SUBSCRIBE id=1 f=eternal@1")
		a.receive()
		a.nc.Close()
	}
	a.alive()
	s.says("disk")
}

// wrongUpstreams are servers that a bridge must not speak to, however often it
// tries. The last one is right, and shows that the test would notice.
func wrongUpstreams(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	server := func(by *authority, change func(*x509.Certificate)) tls.Certificate {
		return by.certificate(t, func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{"localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			change(c)
		})
	}
	bridges := "bridges:\n"
	var upstreams []*tlsUpstream
	for i, cert := range []tls.Certificate{
		server(stranger, func(*x509.Certificate) {}),
		server(a, func(c *x509.Certificate) { c.DNSNames = []string{"elsewhere.example"} }),
		server(a, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }),
		server(a, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
		{Certificate: [][]byte{stranger.cert.Raw}, PrivateKey: stranger.key}, // signed by itself
		server(a, func(*x509.Certificate) {}),
	} {
		u := startTLSUpstream(t, cert)
		upstreams = append(upstreams, u)
		bridges += fmt.Sprintf("  up%d: {servers: [\"mqtts://localhost:%d\"], client_id: c, tls: {ca: %q}, credentials: {username: u, password: secret}, out: [{from: \"x/#\"}]}\n", i, u.port, a.path("ca.pem"))
	}
	startVictim(t, victimOptions{config: open + "\n" + bridges})
	good := len(upstreams) - 1
	tries := int64(scale(1, 2)) // the second one comes after 5 to 7 minutes
	eventually(t, time.Duration(scale(1, 12))*time.Minute, "try of every bridge", func() bool {
		for i, u := range upstreams {
			if i != good && u.tries.Load() < tries {
				return false
			}
		}
		return upstreams[good].bytes.Load() > 0
	})
	for i, u := range upstreams[:good] {
		if n := u.bytes.Load(); n > 0 {
			t.Errorf("bridge %d sent %d bytes", i, n)
		}
	}
	empty := victimOptions{config: open + "\nbridges: {up: {servers: [\"mqtts://localhost:1\"], client_id: c, tls: {ca: empty.pem}, out: [{from: \"x/#\"}]}}\n",
		files: map[string]string{"empty.pem": "\n"}}
	out, err := programCommand(t, empty, "run", "-c", layOut(t, &empty)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "empty.pem") {
		t.Errorf("an empty file of authorities: %v\n%s", err, out)
	}
}

// tlsUpstream counts what comes to it.
type tlsUpstream struct {
	port  int
	tries atomic.Int64
	bytes atomic.Int64 // inside TLS
}

func startTLSUpstream(t *testing.T, cert tls.Certificate) *tlsUpstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &tlsUpstream{port: ln.Addr().(*net.TCPAddr).Port}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				u.tries.Add(1)
				nc.SetDeadline(time.Now().Add(2 * time.Second))
				n, _ := io.Copy(io.Discard, tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}})) // the count is what matters
				u.bytes.Add(n)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); serving.Wait() })
	return u
}

func noDescriptors(t *testing.T) {
	t.Run("the store has some", descriptorsOfTheStore)
	s := attackOn(t, victimOptions{config: open, shell: "ulimit -n 48"})
	stuck := s.dial(mqtt.V5)
	stuck.connect("cid=before")
	var crowd []net.Conn
	for range 300 {
		nc, err := net.DialTimeout("tcp", s.addresses[0], time.Second)
		if err == nil {
			crowd = append(crowd, nc)
		}
	}
	time.Sleep(300 * time.Millisecond)
	stuck.alive()
	for _, nc := range crowd {
		nc.Close()
	}
	begin := time.Now()
	for got := "closed"; got == "closed"; { // until the server has read that the crowd is gone
		if took := time.Since(begin); took > time.Duration(scale(60, 15))*time.Second {
			t.Fatalf("no client was served %s after it", took)
		}
		fresh := s.dial(mqtt.V5)
		fresh.send("CONNECT cid=fresh")
		if got = fresh.receive(); got != "closed" && !hasCode(got, mqtt.Success) {
			t.Errorf("the first client after it got %s", got)
		}
	}
}

// What clients may not have is there for the store: it has not opened a file
// before the first message.
func descriptorsOfTheStore(t *testing.T) {
	s := attackOn(t, victimOptions{config: open + "store: {durability: always}\n", shell: "ulimit -n 128"})
	a := s.dial(mqtt.V5)
	a.connect("cid=a")
	for range 200 {
		if nc, err := net.DialTimeout("tcp", s.addresses[0], time.Second); err == nil {
			defer nc.Close()
			io.WriteString(nc, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00") // CONNECT
		}
	}
	a.send("PUBLISH id=1 qos=1 retain=1 topic=kept payload=x")
	a.expect("PUBACK id=1 rc=0x10")
}

func signalStorms(t *testing.T) {
	o := victimOptions{config: open, noProbe: true}
	for n := range scale(10, 100) {
		s := attackOn(t, o)
		o.dir = s.dir // the next one starts where this one ended, on the same port
		o.config = strings.Replace(o.config, "127.0.0.1:0", s.addresses[0], 1)
		a, old := s.dial(mqtt.V5), s.dial(mqtt.V311)
		a.connect("cid=load")
		old.connect("cid=old")
		a.send("SUBSCRIBE id=1 f=load@1")
		a.expect("SUBACK ...")
		for i := range 50 {
			a.send(fmt.Sprintf("PUBLISH topic=load qos=1 id=%d payload=x", i+1))
			s.process.Signal(syscall.SIGHUP)
			a.until("PUBACK")
		}
		s.process.Signal(syscall.SIGTERM)
		for i := range 10 {
			a.send(fmt.Sprintf("PUBLISH topic=load qos=0 payload=%d", i))
		}
		a.closedWith(mqtt.ServerShuttingDown)
		old.gone()
		a.nc.Close()
		old.nc.Close()
		if state := s.wait(); state.ExitCode() != exitDone {
			t.Fatalf("round %d: %v", n, state)
		}
	}
}
