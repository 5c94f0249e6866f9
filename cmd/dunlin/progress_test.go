package main

import (
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

// What takes long shows how far it is, at which rate, and how long it will
// take; not more often than people look.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m := newMeter(streams{err: &out}, size, 40e6)
		m.add(1)
		if out.Len() > 0 {
			t.Error("it writes to what is no terminal")
		}
		m.w = &out
		for range 10 {
			time.Sleep(100 * time.Millisecond)
			m.Write(make([]byte, 1e6))
		}
		lines := strings.Split(out.String(), "\r")[1:]
		if last := lines[len(lines)-1]; len(lines) != 5 || last != "9.0 MB of 40.0 MB, 10.0 MB/s, 3 s left\x1b[K\x1b[?7h" {
			t.Errorf("%q", lines)
		}
		m.all = 0
		time.Sleep(time.Second)
		m.add(1)
		m.end()
		if !strings.HasSuffix(out.String(), "\r10.0 MB, 5.0 MB/s\x1b[K\x1b[?7h\r\x1b[K") {
			t.Errorf("%q", out.String())
		}
	})
}

// Without a word about the server it is the service's socket, if one may use
// it, and the port of this machine otherwise.
func TestServerOfThisMachine(t *testing.T) {
	t.Setenv("DUNLIN_URL", "")
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, tc := range []struct{ service, args, env, want string }{
		{socket, "", "", socket}, {socket + "0", "", "", "localhost:1883"}, {socket, "-u me", "", socket},
		{socket, "-h localhost", "", "localhost:1883"}, {socket, "-p 1884", "", "localhost:1884"}, {socket, "-L mqtt://x", "", "x:1883"},
		{socket, "--unix /other", "", "/other"}, {socket, "--tls-use-os-certs", "", "localhost:8883"}, {socket, "", "mqtt://y", "y:1883"},
	} {
		t.Setenv("DUNLIN_URL", tc.env)
		fs, m := flags.New("x"), &mqttFlags{}
		m.register(fs)
		m.service = tc.service
		if err := fs.Parse(strings.Fields(tc.args)); err != nil {
			t.Fatal(err)
		}
		if o, err := m.options(); err != nil || o.Target.Address != tc.want {
			t.Errorf("%q, DUNLIN_URL=%s: %s, %v; want %s", tc.args, tc.env, o.Target.Address, err, tc.want)
		}
	}
}
