package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// transport is what carries MQTT, and a listener of every broker.
type transport int

const (
	plain           transport = iota // TCP
	secure                           // TLS
	mutual                           // TLS with a client certificate
	websocket                        // WebSocket
	secureWebsocket                  // WebSocket over TLS
	transports                       // how many there are
)

func everyTransport() []transport { return []transport{secure, mutual, websocket, secureWebsocket} }

func (t transport) tls() bool       { return t == secure || t == mutual || t == secureWebsocket }
func (t transport) websocket() bool { return t == websocket || t == secureWebsocket }

func (t transport) String() string {
	return [...]string{"TCP", "TLS", "mTLS", "WebSocket", "WSS"}[t]
}

// config is the configuration of a broker with all transports; with a users
// file, only for who is in it.
func (b *broker) config(users string) string {
	var y strings.Builder
	if users != "" {
		fmt.Fprintf(&y, "auth: {users_file: %s}\n", users)
	}
	y.WriteString(`mqtt:
  limits: {queue_messages: 5000, queue_size: 4MiB, connect_rate: 0/s, packet_size: 2MiB}
  listeners:
`)
	for t, addr := range b.addr {
		fmt.Fprintf(&y, "    - {bind: %q, anonymous: %t", addr, users == "")
		if transport(t).websocket() {
			y.WriteString(", protocol: websocket")
		}
		if transport(t).tls() {
			fmt.Fprintf(&y, ", tls: {cert: %s/server.pem, key: %[1]s/server.key", folder)
			if transport(t) == mutual {
				fmt.Fprintf(&y, ", ca: %s, require_client_cert: true", authority())
			}
			y.WriteString("}")
		}
		y.WriteString("}\n")
	}
	return y.String()
}

// url is where clients reach the broker.
func (b *broker) url(t transport) string {
	scheme := [...]string{"mqtt", "mqtts", "mqtts", "ws", "wss"}[t]
	if t.websocket() {
		return scheme + "://" + b.addr[t] + "/mqtt"
	}
	return scheme + "://" + b.addr[t]
}

// dial connects to the broker, not over WebSocket.
func (b *broker) dial(t *testing.T, by transport) (net.Conn, error) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", b.addr[by])
	if err != nil {
		return nil, err
	}
	if !by.tls() {
		return socket{c.(*net.TCPConn)}, nil
	}
	return tls.Client(c, tlsConfig(t, by)), nil
}

func tlsConfig(t *testing.T, by transport) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(authority())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	c := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if by == mutual {
		pair, err := tls.LoadX509KeyPair(clientPair())
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// Every client over everything that carries it: all QoS, 1 MB, retained and
// will.
func TestTransports(t *testing.T) {
	b := start(t)
	for _, v := range clients() {
		t.Run(v.name, func(t *testing.T) {
			for _, by := range v.carriers {
				t.Run(by.String(), func(t *testing.T) { carried(t, b, v, by) })
			}
		})
	}
}

func carried(t *testing.T, b *broker, v client, by transport) {
	topic := "over/" + by.String()
	pub := v.dial(t, b, dialOptions{id: "publisher", transport: by})
	sub := v.dial(t, b, dialOptions{id: "subscriber", transport: by})
	sub.mustSubscribe(t, topic, 2)
	for qos := range byte(3) {
		for _, payload := range []string{"21.5 °C", strings.Repeat("0123456789abcdef", 1<<20/16)} {
			m := message{topic: topic, payload: payload, qos: qos}
			pub.mustPublish(t, m)
			sub.expect(t, m)
		}
	}
	kept := message{topic: topic, payload: "kept", qos: 1, retain: true}
	pub.mustPublish(t, kept)
	sub.expect(t, message{topic: topic, payload: "kept", qos: 1})
	late := v.dial(t, b, dialOptions{id: "late", transport: by})
	late.mustSubscribe(t, topic, 1)
	late.expect(t, kept)
	pub.mustPublish(t, message{topic: topic, qos: 1, retain: true})
	sub.expect(t, message{topic: topic, qos: 1})
	sub.nothing(t)
	for _, p := range []*peer{pub, sub, late} {
		p.disconnect()
	}
}

func TestClientCertificateIsRequired(t *testing.T) {
	b := start(t)
	c, err := tls.Dial("tcp", b.addr[mutual], tlsConfig(t, secure))
	if err == nil { // in TLS 1.3 the refusal comes with the first read
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	if err == nil || os.IsTimeout(err) || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("a client without a certificate: %v", err)
	}
}
