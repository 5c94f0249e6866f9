//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// The page and a WebSocket listener at one address: each has its paths.
func TestPageSharesItsAddress(t *testing.T) {
	address := freeAddress(t)
	listener := `    - {bind: "` + address + `", protocol: websocket, path: /mqtt, anonymous: true}` + "\n"
	f := startFromFile(t, "mqtt:\n  listeners:\n    - {bind: \"127.0.0.1:0\", anonymous: true}\n"+listener+`http: {bind: "`+address+`"}`+"\n")
	dial := func() net.Conn {
		nc := dialTCP(t, address)
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(time.Minute))
		return nc
	}
	get := func(nc net.Conn, path, more string) string {
		fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, more)
		status := make([]byte, len("HTTP/1.1 200"))
		if _, err := io.ReadFull(nc, status); err != nil {
			t.Fatal(err)
		}
		return string(status[len("HTTP/1.1 "):])
	}
	upgrade := "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"

	c := brokertest.NewClient(t, dialWebSocket(t, dial()), mqtt.V5)
	c.Connect("cid=w")
	c.Send("PINGREQ")
	c.Expect("PINGRESP")
	for _, tc := range []struct{ name, path, more, want string }{
		{"the page", "/", "", "200"},
		{"the listener's path without an upgrade", "/mqtt", "", "404"},
		{"another path", "/other", upgrade, "404"},
		{"a page from elsewhere", "/mqtt", upgrade + "Origin: https://elsewhere.example\r\n", "403"},
		{"another protocol", "/mqtt", strings.ReplaceAll(upgrade, ": mqtt", ": chat"), "400"},
	} {
		if got := get(dial(), tc.path, tc.more); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	used := dial()
	fmt.Fprint(used, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for head := ""; !strings.HasSuffix(head, "\r\n\r\n"); {
		var b [1]byte
		if _, err := io.ReadFull(used, b[:]); err != nil {
			t.Fatal(err)
		}
		head += string(b[:])
	}
	brokertest.NewClient(t, dialWebSocket(t, used), mqtt.V311).Connect("cid=second")

	if code, out, stderr := f.reload(listener, ""); code != exitDone {
		t.Fatal(out, stderr)
	}
	c.Expect("DISCONNECT rc=0x98 ...")
	if got := get(dial(), "/mqtt", upgrade); got != "404" {
		t.Errorf("a listener that is gone answers %s", got)
	}
	if code, out, stderr := f.reload("http:", listener+"http:"); code != exitDone {
		t.Fatal(out, stderr)
	}
	brokertest.NewClient(t, dialWebSocket(t, dial()), mqtt.V5).Connect("cid=again")
	if code, _, stderr := f.reload("protocol: websocket, path: /mqtt, ", ""); code == exitDone || !strings.Contains(stderr, "is the page's") {
		t.Errorf("a listener of plain MQTT at the page's address: %d %s", code, stderr)
	}
}
