package bridgetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dunlin-mqtt/dunlin/bridge/freeport"
)

// NATS starts a NATS server with JetStream and its MQTT listener, which speaks
// 3.1.1. The end of the test stops it. The program is nats-server in the PATH
// or the one that scripts/nats.sh builds; where neither is the test is skipped.
// Extra are further lines for its block mqtt.
func NATS(t testing.TB, extra ...string) *Server {
	t.Helper()
	s := newNATS(t, "", extra...)
	s.Start()
	return s
}

// NATSCluster starts three of them as one. What a killed one had sent to a
// subscriber unseen, another sends again after ack_wait (30 s unless told).
func NATSCluster(t testing.TB) [3]*Server {
	t.Helper()
	var ports [3]int
	routes := ""
	for i := range ports {
		ports[i] = freeport.Port(t)
		routes += fmt.Sprintf("\"nats-route://127.0.0.1:%d\", ", ports[i])
	}
	var all [3]*Server
	for i, port := range ports {
		all[i] = newNATS(t, fmt.Sprintf("cluster { name: upstream, listen: 127.0.0.1:%d, routes: [ %s ] }\n", port, routes))
	}
	for _, s := range all {
		s.Start()
	}
	return all
}

func newNATS(t testing.TB, cluster string, mqtt ...string) *Server {
	t.Helper()
	binary, err := exec.LookPath("nats-server")
	if err != nil {
		binary, err = exec.LookPath("../build/out/nats-server")
	}
	if err != nil {
		t.Skip("nats-server is not there: scripts/nats.sh builds it")
	}
	s := &Server{t: t, binary: binary, port: freeport.Port(t)}
	dir := t.TempDir()
	s.config = filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("server_name: upstream-%d\nlisten: 127.0.0.1:%d\njetstream { store_dir: %q }\nmqtt { listen: 127.0.0.1:%d, ack_wait: \"3s\"\n%s\n}\n%s",
		s.port, freeport.Port(t), dir, s.port, strings.Join(mqtt, "\n"), cluster)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.end(syscall.SIGTERM)
		if t.Failed() {
			said := s.Output()
			t.Logf("nats-server said, at the end:\n%s", said[max(0, len(said)-4000):])
		}
	})
	return s
}
