//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// H. Logs, files and what is shown.
func attacksOnFiles() []attack {
	return []attack{
		{number: 76, name: "Client Identifiers that forge log lines", run: forgedLogLines},
		{number: 77, name: "a flood of log lines", run: logFlood},
		{number: 78, name: "Client Identifiers that are paths", run: pathsAsIDs},
		{number: 79, name: "store files torn, flipped, swapped and linked", run: wrongStoreFiles},
		{number: 80, name: "modes of files under any umask", run: fileModes},
		{number: 81, name: "the control socket and the page", elsewhere: "cmd/dunlin TestAPIErrorsAreProblems"},
		{number: 82, name: "ports that nobody asked for", run: hiddenPorts},
		{number: 83, name: "secrets where they do not belong", run: canaries},
	}
}

func forgedLogLines(t *testing.T) {
	s := attackOpen(t)
	for i, id := range []string{
		"a\n{\"level\":\"ERROR\",\"msg\":\"forged\"}", "b\x1b[2J", "<script>alert(1)</script>", strings.Repeat("\u202e", 80), "c\u009b31m", "d\r", "\"},{\"msg\":\"forged",
	} {
		for _, v := range versions {
			level, name, p := byte(v), "MQTT", []byte(nil)
			switch v {
			case mqtt.V31:
				name = "MQIsdp"
			case mqtt.V5:
				p = props()
			}
			a := s.dial(v)
			a.write(frame(0x10, field(name), []byte{level, 0x82, 0, 60}, p, field(id), field(id)))
			a.receive()
			a.write(frame(0x30, field(id), p), frame(0x32, field(fmt.Sprint(i)), u16(0), p)) // identifier 0: an error that is logged
			a.gone()
		}
	}
	s.stop()
	for line := range strings.Lines(s.logged()) {
		var entry map[string]any
		if !strings.HasPrefix(line, "{") {
			continue // warnings about the configuration, before the log
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["msg"] == "forged" || strings.ContainsAny(line, "\x1b\u202e\u009b\r") {
			t.Errorf("%v: %q", err, line)
		}
	}
}

func logFlood(t *testing.T) {
	s := attackOn(t, victimOptions{config: open + "\nlog: {level: info, format: json}\n"})
	stop := time.Now().Add(3 * time.Second)
	var failed atomic.Int64
	var flooding sync.WaitGroup
	for i := range 4 {
		flooding.Go(func() {
			for time.Now().Before(stop) {
				nc, err := net.Dial("tcp", s.addresses[0])
				if err != nil {
					continue
				}
				fmt.Fprintf(nc, "\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02f%d\x62\x02\x00\x00", i) // and PUBREL 0
				nc.SetReadDeadline(time.Now().Add(time.Second))
				for r := bufio.NewReader(nc); err == nil; _, err = r.ReadByte() {
				}
				nc.Close()
				failed.Add(1)
			}
		})
	}
	flooding.Wait()
	s.stop()
	text := s.logged()
	if len(text) > 100_000 || !strings.Contains(text, `"msg":"log lines left out"`) || !strings.Contains(text, `"suppressed":`) {
		t.Errorf("%d failing connections made %d bytes of log:\n%s", failed.Load(), len(text), s.tail())
	}
	t.Logf("%d failing connections in 3 s made %d bytes of log", failed.Load(), len(text))
}

func pathsAsIDs(t *testing.T) {
	s := attackOpen(t)
	files := func() (all []string) {
		err := filepath.WalkDir(filepath.Dir(s.dir), func(path string, _ fs.DirEntry, err error) error {
			all = append(all, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := files()
	for _, id := range []string{"../../etc/x", "CON", ".hidden", strings.Repeat("l", 255), "/tmp/x", "a/../../b", "%2e%2e%2f", "dunlin.yaml"} {
		a := s.dial(mqtt.V5)
		a.connect("cid=" + id + " se=1000 will=w:x")
		a.send("SUBSCRIBE id=1 f=t/#@1")
		a.until("SUBACK")
		a.send("PUBLISH topic=t/../x retain=1 qos=1 id=2 payload=x")
		a.until("PUBACK")
		a.nc.Close()
	}
	s.stop()
	for _, path := range files() {
		if !slices.Contains(before, path) && !strings.HasPrefix(path, filepath.Join(s.dir, "data")) {
			t.Errorf("%s was made", path)
		}
	}
}

// What is torn and flipped is TestDamage. Here files of the store have become
// something else: nothing beyond the directory is read or written through them.
func wrongStoreFiles(t *testing.T) {
	for what, put := range map[string]func(name, outside string) error{
		"a symbolic link":   func(name, outside string) error { return os.Symlink(outside, name) },
		"a link to nothing": func(name, outside string) error { return os.Symlink(outside+".missing", name) },
		"a directory":       func(name, _ string) error { return os.Mkdir(name, 0o700) },
		"a FIFO":            func(name, _ string) error { return syscall.Mkfifo(name, 0o600) },
	} {
		dir, outside := t.TempDir(), t.TempDir()
		retain := func() (before []string) {
			s := startVictim(t, victimOptions{config: open, dir: dir})
			defer s.stop()
			a := s.dial(mqtt.V5)
			a.connect("cid=a")
			a.send("SUBSCRIBE id=1 f=kept@0")
			a.until("SUBACK")
			a.send("PINGREQ")
			before = a.until("PINGRESP")
			a.send("PUBLISH id=1 qos=1 retain=1 topic=kept payload=x")
			a.until("PUBACK id=1")
			return before
		}
		retain()
		segments, err := filepath.Glob(filepath.Join(dir, "data", "*.seg"))
		if err != nil || len(segments) == 0 {
			t.Fatalf("%d segments, %v", len(segments), err)
		}
		was := map[string][]byte{}
		for _, name := range segments {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			there := filepath.Join(outside, filepath.Base(name))
			was[there] = b
			if err := errors.Join(os.WriteFile(there, b, 0o600), os.Remove(name), put(name, there)); err != nil {
				t.Fatal(err)
			}
		}
		if got := retain(); len(got) > 0 {
			t.Errorf("%s: %q was read from elsewhere", what, got)
		}
		for there, b := range was {
			if now, err := os.ReadFile(there); err != nil || !bytes.Equal(now, b) {
				t.Errorf("%s: %s was written: %v", what, there, err)
			}
		}
		if made, err := filepath.Glob(filepath.Join(outside, "*.missing")); err != nil || len(made) > 0 {
			t.Errorf("%s: %q were made: %v", what, made, err)
		}
	}
}

func fileModes(t *testing.T) {
	for _, umask := range []string{"0", "0777"} {
		t.Run("umask "+umask, func(t *testing.T) {
			s := attackOn(t, victimOptions{config: open, shell: "umask " + umask})
			err := filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, e fs.DirEntry, err error) error {
				if err != nil || path == filepath.Join(s.dir, "data") && os.IsNotExist(err) {
					return nil // nothing is kept there yet
				}
				private := fs.FileMode(0o077)
				if e.Type() == fs.ModeSocket {
					private = 0o007 // the group of the gateway may operate it
				}
				if info, err := e.Info(); err == nil && info.Mode().Perm()&private != 0 {
					t.Errorf("%s has mode %s", path, info.Mode())
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	a := newAuthority(t)
	a.issue(t, "server", &x509.Certificate{DNSNames: []string{"localhost"}})
	if err := os.Chmod(a.path("server.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	o := victimOptions{config: fmt.Sprintf("mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true, tls: {cert: %q, key: %q}}]}\n", a.path("server.pem"), a.path("server.key"))}
	out, err := programCommand(t, o, "run", "-c", layOut(t, &o)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "chmod") {
		t.Errorf("a key that a group may read: %v\n%s", err, out)
	}
	for mode, warned := range map[fs.FileMode]bool{0o604: true, 0o640: false} { // of a bridge, which goes on
		if err := os.Chmod(a.path("server.key"), mode); err != nil {
			t.Fatal(err)
		}
		o := victimOptions{config: open + fmt.Sprintf("bridges: {up: {servers: [\"mqtts://localhost:1\"], client_id: c, credentials: {cert: %q, key: %q}, out: [{from: x}]}}\n", a.path("server.pem"), a.path("server.key"))}
		out, err := programCommand(t, o, "check", layOut(t, &o)).CombinedOutput()
		if err != nil || strings.Contains(string(out), "chmod 600 ") != warned {
			t.Errorf("a bridge's key with mode %s: %v\n%s", mode, err, out)
		}
	}
}

// listeningSockets are the TCP sockets that the program listens on.
func (s *victim) listeningSockets() (n int) {
	folder := fmt.Sprintf("/proc/%d/fd", s.process.Pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		s.t.Fatal(err)
	}
	own := map[string]bool{}
	for _, e := range entries {
		link, _ := os.Readlink(filepath.Join(folder, e.Name())) // closed meanwhile is no listener
		if inode, ok := strings.CutPrefix(link, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", s.process.Pid, table))
		if err != nil {
			continue // no IPv6 here
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && own[f[9]] {
				own[f[9]] = false // the table may show a socket twice while others come and go
				n++
			}
		}
	}
	return n
}

func hiddenPorts(t *testing.T) {
	s := attackOpen(t)
	if n := s.listeningSockets(); n != 1 {
		t.Errorf("the program listens on %d ports, the configuration has one", n)
	}
	a := s.dial(mqtt.V5)
	a.write([]byte("GET /debug/pprof/ HTTP/1.1\r\nHost: x\r\n\r\n"))
	if last := a.last(); last != "closed" {
		t.Errorf("HTTP on the port of MQTT: %s", last)
	}
}

func canaries(t *testing.T) {
	s := attackOn(t, victimOptions{config: strings.Replace(open, "sys_interval: 0s", "sys_interval: 1s", 1) + `
bridges:
  cloud:
    servers: ["mqtt://127.0.0.1:1"]
    client_id: c
    credentials: {username: u, password: "${CANARY_BRIDGE}"}
    out: [{from: "canary/up/#"}]
`, env: []string{"CANARY_BRIDGE=canary-bridge-secret"}})
	watch := s.dial(mqtt.V5)
	watch.connect("cid=watch")
	watch.send("SUBSCRIBE id=1 f=$SYS/#@0 f=dunlin/#@0")
	watch.until("SUBACK")
	for _, v := range versions {
		a := s.dial(v)
		a.send("CONNECT cid=c user=canary-user pass=canary-client-secret will=canary/will:canary-will-payload")
		a.receive()
		a.send("PUBLISH topic=canary/up/x qos=1 id=1 payload=canary-payload-secret")
		a.receive()
		a.write(frame(0x32, field("t"), u16(0)), []byte("canary-payload-secret"))
		a.gone()
	}
	time.Sleep(1500 * time.Millisecond)
	watch.patient = 200 * time.Millisecond
	shown := strings.Builder{}
	for got := ""; got != "silence" && got != "closed"; got = watch.receive() {
		shown.WriteString(got + "\n")
	}
	cmd := programCommand(t, victimOptions{env: []string{"CANARY_BRIDGE=canary-bridge-secret"}}, "check", filepath.Join(s.dir, "dunlin.yaml"))
	checked, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("check: %v\n%s", err, checked)
	}
	s.stop()
	for place, text := range map[string]string{"the log": s.logged(), "$SYS": shown.String(), "check": string(checked)} {
		for _, secret := range []string{"canary-bridge-secret", "canary-client-secret", "canary-payload-secret", "canary-will-payload"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s", place, secret)
			}
		}
	}
}

// Pipes under the names of the gateway's files keep neither a start nor a stop
// waiting.
func TestPipesInTheDataDirectory(t *testing.T) {
	dir := t.TempDir()
	names := []string{"devices", "devices.new", "sparkplug", "bridge-cloud.day", "bridge-cloud.day.new", "bridge-cloud.in", "bridge-cloud.in.new", "dunlin.sock"}
	others := []string{"somebody's", "bridge-cloud.day.odd"}
	for _, name := range append(others, names...) {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, g, stop := startGateway(t, `mqtt: {listeners: [{bind: "127.0.0.1:0"}]}
http: {bind: ""}
data_dir: `+dir+`
devices: [{name: tank, driver: sim, interval: 50ms, entities: {level: {signal: sine, min: 1, max: 2}}}]
bridges: {cloud: {servers: ["mqtt://127.0.0.1:1"], client_id: c, pace: {daily: 1MiB}, out: [{from: a}], in: [{from: b}]}}
`, deps{control: true})
	until(t, "the device has a value", func() bool { return len(g.api.Status().Devices[0].Values) == 1 })
	stop()
	for _, name := range names {
		if fi, err := os.Lstat(filepath.Join(dir, name)); err == nil && fi.Mode()&os.ModeNamedPipe != 0 {
			t.Errorf("%s is a pipe still", name)
		}
	}
	for _, name := range others {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("what is not the gateway's was touched: %v", err)
		}
	}
}
