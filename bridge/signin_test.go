package bridge_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// mosquittoPassword is the line of gw with the password "secret", as
// mosquitto_passwd writes it.
const mosquittoPassword = "gw:$7$101$+BqquLVcbO84zCH2$yhHQn9sDn/kKXXNnIDLO4Xd4OJRXWTEZOgHyk6gzgbPCWZW4ChEazXp0XmNjjj2bePrFlQbd+8yWjK2+BjkOAw==\n"

// Signing in to the real mosquitto and a real NATS server, over TLS: who is
// known gets a message through; for everybody else the class names what is
// wrong, since the pace of the attempts and the cure go by it.
func TestSignIn(t *testing.T) {
	id := cloudtest.NewAuthority()
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cert, key := cloudtest.PEM(id.Issue("127.0.0.1", -time.Hour, time.Hour))
	caFile, certFile, keyFile := write("ca.pem", id.PEM()), write("server.pem", cert), write("server.key", key)
	users := write("users", []byte(mosquittoPassword))
	client, stranger := id.Issue("gw", -time.Hour, time.Hour), cloudtest.NewAuthority().Issue("gw", -time.Hour, time.Hour)

	for name, server := range map[string]struct {
		start    func(t *testing.T, known string) *bridgetest.Server
		protocol mqtt.Version
	}{
		"mosquitto": {func(t *testing.T, known string) *bridgetest.Server {
			lines := []string{"certfile " + certFile, "keyfile " + keyFile}
			if known == "password" {
				return bridgetest.Mosquitto(t, append(lines, "allow_anonymous false", "password_file "+users)...)
			}
			return bridgetest.Mosquitto(t, append(lines, "cafile "+caFile, "require_certificate true", "use_identity_as_username true")...)
		}, mqtt.V5},
		"nats": {func(t *testing.T, known string) *bridgetest.Server {
			if known == "password" {
				return bridgetest.NATS(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q }", certFile, keyFile), "authorization { username: gw, password: secret }")
			}
			return bridgetest.NATS(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", certFile, keyFile, caFile))
		}, mqtt.V311},
	} {
		for _, known := range []string{"password", "certificate"} {
			t.Run(name+", "+known, func(t *testing.T) {
				t.Parallel()
				s := server.start(t, known)
				for _, tc := range []struct {
					name     string
					password string
					certs    []tls.Certificate
					trusts   *cloudtest.Authority
					by       string // what the server knows people by; empty: either
					class    bridge.Class
				}{
					{"known", "secret", []tls.Certificate{client}, id, "", ""},
					{"an authority that we do not trust", "secret", []tls.Certificate{client}, cloudtest.NewAuthority(), "", bridge.ClassTLS},
					{"another password", "geheim", nil, id, "password", bridge.ClassAuth},
					{"no certificate", "", nil, id, "certificate", bridge.ClassTLS},
					{"the certificate of an authority that they do not trust", "", []tls.Certificate{stranger}, id, "certificate", bridge.ClassTLS},
				} {
					if tc.by != "" && tc.by != known {
						continue
					}
					q := bridge.NewTestQueue(t)
					b, stop := running(t, bridge.Options{
						Name: "x", Servers: []string{"mqtts://" + s.Addr()}, ClientID: "gw", Protocol: server.protocol, Username: "gw", Password: tc.password,
						TLS: func() (*tls.Config, error) {
							return &tls.Config{RootCAs: tc.trusts.Roots(), Certificates: tc.certs}, nil
						},
						Out: []bridge.Route{{From: "a"}}, Queues: [bridge.LaneCount]bridge.Queue{q}, RetryMax: 100 * time.Millisecond,
					})
					q.Add(mqtt.Message{Topic: "a", Payload: []byte("x"), QoS: 1})
					if tc.class == "" {
						q.WaitEmpty(t, patience)
					} else if !cloudtest.WaitFor(patience, func() bool { return b.Stats().Class == tc.class }) {
						// In TLS 1.3 the server's no comes behind the handshake, and
						// may be overtaken by the end of the connection: once.
						t.Errorf("%s: %s, %s", tc.name, b.Stats().Class, b.Stats().Reason)
					}
					stop()
				}
			})
		}
	}
}
