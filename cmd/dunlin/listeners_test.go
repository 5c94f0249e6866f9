//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
)

// serverAuthority has server.pem for localhost and client.pem for "me".
func serverAuthority(t *testing.T) *authority {
	t.Helper()
	a := newAuthority(t)
	a.issue(t, "server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	a.issue(t, "client", &x509.Certificate{
		Subject: pkix.Name{CommonName: "me"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return a
}

func (a *authority) clientConfig(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path("client.pem"), a.path("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair}}
}

func portText(t *testing.T, address net.Addr) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address.String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestListenersOfMosquittosClients(t *testing.T) {
	t.Parallel()
	needClients(t)
	a := serverAuthority(t)
	socket := filepath.Join(t.TempDir(), "mqtt.sock")
	_, g, _ := startGateway(t, fmt.Sprintf(`
mqtt:
  listeners:
    - {bind: "127.0.0.1:0", anonymous: true, tls: {cert: %[1]s/server.pem, key: %[1]s/server.key}}
    - {bind: "127.0.0.1:0", tls: {cert: %[1]s/server.pem, key: %[1]s/server.key, ca: %[1]s/ca.pem, require_client_cert: true}}
    - {bind: "unix:%[2]s", anonymous: true}
auth:
  rules:
    - {user: me, publish: ["devices/{user}/#"]}
    - {user: anonymous, publish: ["open/#"], subscribe: ["#"]}
`, a.dir, socket), deps{})
	plain := []string{"-h", "localhost", "-p", portText(t, g.addresses[0]), "--cafile", a.path("ca.pem")}
	mutual := []string{"-h", "localhost", "-p", portText(t, g.addresses[1]), "--cafile", a.path("ca.pem")}
	me := append(mutual[:len(mutual):len(mutual)], "--cert", a.path("client.pem"), "--key", a.path("client.key"))
	unix := []string{"--unix", socket}
	pub := func(where []string, topic string, more ...string) result {
		return mosquitto(t, "pub", "", append(append(where[:len(where):len(where)], "-t", topic, "-m", "x", "-q", "1", "-r", "-V", "5"), more...)...)
	}
	for _, tc := range []struct {
		name  string
		where []string
		topic string
		more  []string
		ok    bool
	}{
		{"TLS 1.3", plain, "open/13", []string{"--tls-version", "tlsv1.3"}, true},
		{"TLS 1.2", plain, "open/12", []string{"--tls-version", "tlsv1.2"}, true},
		{"TLS, not a user's topic", plain, "devices/me/a", nil, false},
		{"client certificate", me, "devices/me/b", nil, true},
		{"client certificate, TLS 1.2", me, "devices/me/c", []string{"--tls-version", "tlsv1.2"}, true},
		{"client certificate, another user's topic", me, "devices/you/a", nil, false},
		{"no client certificate", mutual, "open/none", nil, false},
		{"Unix socket", unix, "open/unix", nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := pub(tc.where, tc.topic, tc.more...)
			if ok := r.code == 0 && r.err == ""; ok != tc.ok {
				t.Errorf("%+v", r)
			}
			if got := mosquitto(t, "sub", "", append(unix[:2:2], "-t", tc.topic, "-C", "1", "-W", "1", "-F", "%p")...); tc.ok != (got.out == "x\n") {
				t.Errorf("retained: %+v", got)
			}
		})
	}
	t.Run("the mode of the Unix socket", func(t *testing.T) {
		if fi, err := os.Stat(socket); err != nil || fi.Mode().Perm() != 0o660 {
			t.Errorf("%v, %v", fi, err)
		}
	})
}

// webSocketConn is a client's end: one frame for each write, masked.
type webSocketConn struct {
	net.Conn
	r    *bufio.Reader
	left int
}

// dialWebSocket upgrades nc as a client does.
func dialWebSocket(t *testing.T, nc net.Conn) *webSocketConn {
	t.Helper()
	fmt.Fprint(nc, "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")
	w := &webSocketConn{Conn: nc, r: bufio.NewReader(nc)}
	for i := 0; ; i++ {
		line, err := w.r.ReadString('\n')
		if err != nil || i == 0 && line != "HTTP/1.1 101 Switching Protocols\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if line == "\r\n" {
			return w
		}
	}
}

func (w *webSocketConn) Write(p []byte) (int, error) {
	head := []byte{0x82, 0x80 | byte(len(p)), 0, 0, 0, 0} // the mask is zero
	if len(p) > 125 {
		head = []byte{0x82, 0x80 | 126, byte(len(p) >> 8), byte(len(p)), 0, 0, 0, 0}
	}
	_, err := w.Conn.Write(append(head, p...))
	return len(p), err
}

func (w *webSocketConn) Read(p []byte) (int, error) {
	if w.left == 0 {
		var head [2]byte
		if _, err := io.ReadFull(w.r, head[:]); err != nil {
			return 0, err
		}
		switch {
		case head[0] == 0x88:
			return 0, io.EOF
		case head[0] != 0x82 || head[1] > 125:
			return 0, fmt.Errorf("frame %x", head)
		}
		w.left = int(head[1])
	}
	n, err := w.r.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

func TestWebSocketListeners(t *testing.T) {
	a := serverAuthority(t)
	_, g, _ := startGateway(t, fmt.Sprintf(`
mqtt:
  listeners:
    - {bind: "127.0.0.1:0", protocol: websocket}
    - {bind: "127.0.0.1:0", protocol: websocket, anonymous: true, tls: {cert: %[1]s/server.pem, key: %[1]s/server.key, ca: %[1]s/ca.pem}}
    - {bind: "127.0.0.1:0", protocol: websocket, anonymous: true, proxy_protocol: [127.0.0.0/8]}
`, a.dir), deps{})
	dial := func(i int) net.Conn {
		nc, err := net.Dial("tcp", g.addresses[i].String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	for name, open := range map[string]func() net.Conn{
		"WebSocket":             func() net.Conn { return dial(0) },
		"WebSocket over TLS":    func() net.Conn { return tls.Client(dial(1), a.clientConfig(t)) },
		"WebSocket after PROXY": func() net.Conn { nc := dial(2); fmt.Fprint(nc, "PROXY UNKNOWN\r\n"); return nc },
	} {
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			t.Run(fmt.Sprintf("%s, %s", name, v), func(t *testing.T) {
				c := brokertest.NewClient(t, dialWebSocket(t, open()), v)
				c.Connect("cid=w")
				c.Send("SUBSCRIBE id=1 f=a/#@1")
				c.Expect("SUBACK id=1 rcs=0x01")
				c.Send("PUBLISH topic=a/b qos=1 id=2 payload=hello")
				for range 2 {
					if got := c.Receive(); !strings.HasPrefix(got, "PUBACK") && !strings.Contains(got, "hello") {
						t.Errorf("got %s", got)
					}
				}
				c.Send("DISCONNECT")
				c.ExpectClosed()
			})
		}
	}
}

func TestListenersThatCannotBe(t *testing.T) {
	a := serverAuthority(t)
	if err := os.Chmod(a.path("client.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ listener, place, msg, hint string }{
		"no certificate":             {`{bind: "127.0.0.1:0", anonymous: true, tls: {cert: %[1]s/none.pem, key: %[1]s/server.key}}`, "mqtt.listeners[1].tls.cert", "no such file", "put the PEM file there, or correct the path"},
		"a key that all can read":    {`{bind: "127.0.0.1:0", anonymous: true, tls: {cert: %[1]s/client.pem, key: %[1]s/client.key}}`, "mqtt.listeners[1].tls.key", "can be read by others", "chmod 600 " + a.path("client.key")},
		"not the key":                {`{bind: "127.0.0.1:0", anonymous: true, tls: {cert: %[1]s/client.pem, key: %[1]s/server.key}}`, "mqtt.listeners[1].tls.cert", "does not match", ""},
		"nothing passed by systemd":  {`{bind: "systemd:mqtt", anonymous: true}`, "", `mqtt.listeners[1]: systemd passed no socket named "mqtt" (it passed none)`, ""},
		"no directory of the socket": {`{bind: "unix:%[1]s/none/s", anonymous: true}`, "", "make the directory first", ""},
	} {
		t.Run(name, func(t *testing.T) {
			listener := tc.listener
			if strings.Contains(listener, "%") {
				listener = fmt.Sprintf(listener, a.dir)
			}
			socket := filepath.Join(t.TempDir(), "s")
			_, err := wire(load(t, fmt.Sprintf("mqtt:\n  listeners:\n    - {bind: \"unix:%s\", anonymous: true}\n    - %s\n", socket, listener)), deps{log: slog.New(slog.DiscardHandler), volatile: true})
			var errs config.Errors
			switch {
			case err == nil || !strings.Contains(err.Error(), tc.msg):
				t.Errorf("%v", err)
			case errors.As(err, &errs) != (tc.place != "") || tc.place != "" && (errs[0].Path != tc.place || errs[0].Line != 4 || errs[0].Hint != tc.hint):
				t.Errorf("%#v", errs)
			}
			if _, err := os.Lstat(socket); err == nil {
				t.Error("the listener before it stays open")
			}
		})
	}
}

// After a power cut all devices come at once: none is sent away.
func TestManyTLSClientsAtOnce(t *testing.T) {
	a := serverAuthority(t)
	address, _, _ := startGateway(t, fmt.Sprintf(`mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true, tls: {cert: %[1]s/server.pem, key: %[1]s/server.key}}]}`, a.dir),
		deps{log: slog.New(slog.DiscardHandler)})
	me := a.clientConfig(t)
	var clients sync.WaitGroup
	for i := range 100 {
		clients.Go(func() {
			nc, err := tls.Dial("tcp", address, me)
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			defer nc.Close()
			id := fmt.Sprintf("c%03d", i)
			nc.Write([]byte("\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04" + id))
			if _, err := io.ReadFull(nc, make([]byte, 4)); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	clients.Wait()
}

// A client whose certificate was revoked is sent away and stays out: at once
// after what SIGHUP does, else when a handshake finds the new list.
func TestReloadOfTLS(t *testing.T) {
	a := serverAuthority(t)
	me := a.clientConfig(t)
	revoke := func(serials ...*big.Int) {
		t.Helper()
		list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
		for _, n := range serials {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: time.Now()})
		}
		der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
		if err != nil {
			t.Fatal(err)
		}
		writePEM(t, a.path("crl.pem"), "X509 CRL", der)
	}
	revoke()
	text := fmt.Sprintf(`mqtt: {listeners: [{bind: "127.0.0.1:0", tls: {cert: %[1]s/server.pem, key: %[1]s/server.key, ca: %[1]s/ca.pem, crl: %[1]s/crl.pem, require_client_cert: true}}]}`, a.dir)
	address, g, _ := startGateway(t, text, deps{})
	connect := func(id string) (net.Conn, error) {
		nc, err := tls.Dial("tcp", address, me)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(time.Minute))
		if _, err := nc.Write([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01" + id)); err != nil {
			return nil, err
		}
		_, err = io.ReadFull(nc, make([]byte, 4))
		return nc, err
	}
	for _, tc := range []struct {
		name string
		do   func()
	}{
		{"reload", func() { g.reload(load(t, text), slog.New(slog.DiscardHandler)) }},
		{"handshake", func() {
			for until := time.Now().Add(30 * time.Second); time.Now().Before(until); {
				nc, err := connect("b")
				switch {
				case err == nil:
					nc.Close()
				case strings.Contains(err.Error(), "bad certificate"):
					return
				default:
					t.Log(err) // of too many at once: not what is waited for
				}
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			revoke()
			g.reload(load(t, text), slog.New(slog.DiscardHandler))
			before, err := connect("a")
			if err != nil {
				t.Fatal(err)
			}
			revoke(me.Certificates[0].Leaf.SerialNumber)
			tc.do()
			if _, err := before.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the connection of a revoked client goes on: %v", err)
			}
			if _, err := connect("a"); err == nil {
				t.Error("a revoked client is let in")
			}
		})
	}
}

// systemd starts the program with a socket; the program serves it.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	if err := os.WriteFile(file, []byte("mqtt: {listeners: [{bind: \"systemd:mqtt\", anonymous: true}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// The shell knows the process's number before the program starts.
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" run -c "$1"`, os.Args[0], file)
	cmd.Env = append(os.Environ(), "DUNLIN_AS_PROGRAM=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=mqtt:other")
	cmd.ExtraFiles = []*os.File{f, f}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", ln.Addr().String()) // it waits in the socket until the program is there
	if err != nil {
		t.Fatal(err)
	}
	c := brokertest.NewClient(t, nc, mqtt.V5)
	c.Connect("cid=a")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.Expect("DISCONNECT rc=0x8b ...")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
	if !regexp.MustCompile(`"WARN",.*no listener names.*"names":"other"`).MatchString(log.String()) {
		t.Errorf("no word of the other socket:\n%s", log.String())
	}
}

// A board whose cable is out when it starts has to read its devices all the
// same. Who reloads is told instead.
func TestAddressThatIsNotThereYet(t *testing.T) {
	const listener = `    - {bind: "198.51.100.1:0", anonymous: true}`
	f := startFromFile(t, `
http: {bind: "[2001:db8::1]:0"}
mqtt:
  listeners:
    - {bind: "127.0.0.1:0", anonymous: true}
`+listener+"\n")
	if got := f.gateway.addresses[1].String(); !strings.HasPrefix(got, "198.51.100.1:") {
		t.Errorf("the second listener is at %s", got)
	}
	if got := f.gateway.page.String(); !strings.HasPrefix(got, "[2001:db8::1]:") {
		t.Errorf("the page is at %s", got)
	}
	code, _, stderr := f.reload(listener, strings.ReplaceAll(listener, "198.51.100.1", "198.51.100.2"))
	if code == exitDone || !strings.Contains(stderr, "mqtt.listeners[1]: ") || !strings.Contains(stderr, "'ip address'") {
		t.Errorf("a reload to an address that is not there: exit code %d, %s", code, stderr)
	}
}
