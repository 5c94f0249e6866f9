//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// What is in flight, the bytes of a bridge, the time of a read and of the last
// good reload are counted.
func TestMetricsOfTraffic(t *testing.T) {
	cloud, _, _ := startGateway(t, `mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}`, deps{})
	socket, _, address := startAPI(t, "mqtt://127.0.0.1:1", "mqtt://"+cloud, `out: [{from: "sensors/#"}]`, `status_topic: s, out: [{from: "sensors/#"}], in: [{from: "down/#"}]`)
	publish := func(to, topic, payload string) {
		t.Helper()
		if code, _, stderr := runTool(t, "pub", "-L", "mqtt://"+to, "-q", "1", "-t", topic, "-m", payload); code != exitDone {
			t.Fatalf("pub %s: %d %s", topic, code, stderr)
		}
	}
	says := func(line string) bool { return strings.Contains(socket.do("GET", "/metrics", "").body, "\n"+line) }

	until(t, "the link", func() bool { return says(`dunlin_bridge_up{bridge="cloud"} 1`) })
	publish(address, "sensors/x", "seven b")
	want := len("online") + len("seven b")
	until(t, "bytes that went up", func() bool {
		return says(fmt.Sprintf("dunlin_bridge_bytes_total{bridge=\"cloud\",direction=\"out\"} %d\n", want))
	})
	publish(cloud, "down/x", "four")
	until(t, "bytes that came down", func() bool { return says("dunlin_bridge_bytes_total{bridge=\"cloud\",direction=\"in\"} 4\n") })
	until(t, "the time of a read", func() bool { return says(`dunlin_sensor_read_duration_seconds{sensor="tank"} `) })

	// A client that subscribes to q with QoS 1 and acknowledges nothing.
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(nc, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01r\x82\x06\x00\x01\x00\x01q\x01")
	if _, err := io.ReadFull(nc, make([]byte, 4+5)); err != nil {
		t.Fatal(err)
	}
	publish(address, "q", "x")
	until(t, "what is in flight", func() bool { return says("dunlin_mqtt_inflight_messages 1\n") })
}
