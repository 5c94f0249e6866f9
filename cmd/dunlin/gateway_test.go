//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
)

// TestMain lets the test binary be the program: a test that kills dunlin runs
// itself again with DUNLIN_AS_PROGRAM=1.
func TestMain(m *testing.M) {
	cloudtest.Child()
	if os.Getenv("DUNLIN_AS_PROGRAM") == "1" {
		main()
		return
	}
	var err error
	if programs, err = os.MkdirTemp("", "dunlin-programs-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(programs)
	os.Exit(code)
}

// programs is the folder of what tests build and share.
var programs string

// load parses a configuration that must be right.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, errs := config.Load("test.yaml", []byte(text), tables(), os.LookupEnv)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return cfg
}

// startGateway runs the gateway of a configuration until stop is called or
// the test ends, and returns its first listener's address.
func startGateway(t *testing.T, text string, d deps) (address string, g *gateway, stop func()) {
	t.Helper()
	if d.log == nil {
		d.log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	cfg := load(t, text)
	if !cfg.IsSet("data_dir") {
		cfg.DataDir = config.Path(t.TempDir())
	}
	g, err := wire(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("gateway ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return g.addresses[0].String(), g, stop
}

// viewer runs mosquitto_sub and hands out its lines, "topic payload" each.
type viewer struct {
	t     *testing.T
	lines chan string
	seen  []string
}

func startViewer(t *testing.T, port int, args ...string) *viewer {
	t.Helper()
	args = append([]string{"-h", "127.0.0.1", "-p", fmt.Sprint(port), "-v"}, args...)
	cmd := exec.Command("mosquitto_sub", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &viewer{t: t, lines: make(chan string, 65536)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			w.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() // our own child; it has nothing to lose
		<-read
		if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Error(err)
		}
	})
	return w
}

// until returns the first line for which ok holds.
func (w *viewer) until(what string, limit time.Duration, ok func(line string) bool) string {
	w.t.Helper()
	timeout := time.After(limit)
	for {
		select {
		case line := <-w.lines:
			w.seen = append(w.seen, line)
			if ok(line) {
				return line
			}
		case <-timeout:
			w.t.Fatalf("no %s within %s; seen:\n%s", what, limit, strings.Join(w.seen[max(0, len(w.seen)-30):], "\n"))
		}
	}
}

// line waits for a line that is want, or that starts with it if it ends in a
// space.
func (w *viewer) line(want string) {
	w.t.Helper()
	w.until(fmt.Sprintf("line %q", want), patience, func(line string) bool {
		return line == want || strings.HasSuffix(want, " ") && strings.HasPrefix(line, want)
	})
}

// fakeBuses are the real buses with GPIO lines of ours.
type fakeBuses struct {
	*bus.Buses
	gpio gpioLine
}

func newFakeBuses(t *testing.T) *fakeBuses {
	t.Helper()
	b, err := bus.New(nil, "/")
	if err != nil {
		t.Fatal(err)
	}
	return &fakeBuses{Buses: b}
}

// Line implements sensors.Buses.
func (b *fakeBuses) Line(o sensors.LineOptions) (sensors.Line, error) {
	b.gpio.Write(o.Initial)
	return &b.gpio, nil
}

// gpioLine is an output that remembers its levels.
type gpioLine struct {
	mu     sync.Mutex
	levels []bool
}

func (l *gpioLine) Read() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.levels[len(l.levels)-1], nil
}

func (l *gpioLine) Write(active bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.levels = append(l.levels, active)
	return nil
}

func (l *gpioLine) Event(ctx context.Context) (sensors.LineEvent, error) {
	<-ctx.Done()
	return sensors.LineEvent{}, ctx.Err()
}

func (l *gpioLine) Close() error { return nil }

// tap is a TCP proxy between a bridge and its server. It reads the bridge's
// packets and can swallow the server's acknowledgements.
type tap struct {
	t        *testing.T
	listener net.Listener
	server   string
	wg       sync.WaitGroup

	mu      sync.Mutex
	swallow bool
	first   map[string]bool // topic and payload of PUBLISH seen with DUP=0
	again   []string        // of those with DUP=1
}

func startTap(t *testing.T, server string) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{t: t, listener: ln, server: server, first: map[string]bool{}}
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.relay(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); p.wg.Wait() })
	return p
}

func (p *tap) addr() string { return p.listener.Addr().String() }

func (p *tap) swallowAcks(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = on
}

// resent returns what was sent with DUP=1, and which of that had never been
// sent before.
func (p *tap) resent() (again, wrong []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range p.again {
		if !p.first[key] {
			wrong = append(wrong, key)
		}
	}
	return slices.Clone(p.again), wrong
}

func (p *tap) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer client.Close()
		p.packets(client, server, func(v *packet.View) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return !(p.swallow && v.Type == packet.PUBACK)
		})
	}()
	aliases := map[uint16]string{}
	p.packets(server, client, func(v *packet.View) bool {
		if v.Type == packet.PUBLISH {
			p.mu.Lock()
			defer p.mu.Unlock()
			topic := string(v.Publish.Topic)
			if alias := v.Properties.TopicAlias; topic == "" {
				topic = aliases[alias]
			} else {
				aliases[alias] = topic
			}
			key := topic + " " + string(v.Publish.Payload)
			if v.Publish.Dup {
				p.again = append(p.again, key)
			} else {
				p.first[key] = true
			}
		}
		return true
	})
	server.Close()
	<-done
}

// packets copies whole packets for which pass holds.
func (p *tap) packets(dst io.Writer, src io.Reader, pass func(*packet.View) bool) {
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := src.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
		for {
			size, err := packet.Frame(buf, 0)
			if err != nil {
				p.t.Errorf("on the wire: %v", err)
				return
			}
			if size == 0 {
				break
			}
			var v packet.View
			if err := packet.Decode(buf[:size], mqtt.V5, &v); err != nil {
				p.t.Errorf("on the wire: %v", err)
				return
			}
			if pass(&v) {
				if _, err := dst.Write(buf[:size]); err != nil {
					return
				}
			}
			buf = buf[size:]
		}
	}
}
