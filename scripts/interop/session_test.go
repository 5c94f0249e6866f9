package interop

import (
	"fmt"
	"strconv"
	"testing"
)

func TestSessionResume(t *testing.T) {
	const n = 20
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		keep := dialOptions{id: "sleeper", keep: true}
		sub := v.dial(t, b, keep)
		sub.mustSubscribe(t, "queue/+", 2)
		if sub.present {
			t.Error("Session Present without a session")
		}
		sub.disconnect()
		pub := v.dial(t, b, dialOptions{id: "publisher"})
		for _, qos := range []byte{1, 2} {
			if err := pub.stream("queue/"+strconv.Itoa(int(qos)), n, qos); err != nil {
				t.Fatal(err)
			}
		}
		t.Run("MQTT-3.1.2-5 the session goes on with what was queued", func(t *testing.T) {
			sub := v.dial(t, b, keep)
			wantPresent(t, v, sub, true)
			for _, qos := range []byte{1, 2} {
				for i := range n {
					sub.expect(t, message{topic: fmt.Sprintf("queue/%d", qos), payload: strconv.Itoa(i), qos: qos})
				}
			}
			pub.mustPublish(t, message{topic: "queue/live", payload: "now", qos: 1})
			sub.expect(t, message{topic: "queue/live", payload: "now", qos: 1})
			sub.nothing(t)
			sub.disconnect()
		})
		t.Run("MQTT-3.1.2-4 a clean start ends it", func(t *testing.T) {
			pub.mustPublish(t, message{topic: "queue/lost", payload: "x", qos: 1})
			sub := v.dial(t, b, dialOptions{id: "sleeper"})
			wantPresent(t, v, sub, false)
			pub.mustPublish(t, message{topic: "queue/lost", payload: "y", qos: 1})
			sub.nothing(t)
			sub.disconnect()
		})
		t.Run("MQTT-3.1.2-6 a session of one connection is not kept", func(t *testing.T) {
			wantPresent(t, v, v.dial(t, b, keep), false)
		})
	})
}

// wantPresent looks at Session Present, which 3.1 does not have.
func wantPresent(t *testing.T, v client, p *peer, want bool) {
	t.Helper()
	if want = want && v.mqtt != "3.1"; p.present != want {
		t.Errorf("%s: Session Present is %t, want %t", p.id, p.present, want)
	}
}

func TestRedelivery(t *testing.T) {
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("MQTT-4.4.0-1 unacknowledged QoS %d comes again with DUP", qos), func(t *testing.T) {
				if qos > v.silentTo {
					t.Skip("this client acknowledges it in any case")
				}
				id := fmt.Sprintf("forgetful-%d", qos)
				sub := v.dial(t, b, dialOptions{id: id, keep: true, silent: true})
				sub.mustSubscribe(t, "again", qos)
				pub := v.dial(t, b, dialOptions{id: "publisher"})
				m := message{topic: "again", payload: "once more", qos: qos}
				pub.mustPublish(t, m)
				sub.expect(t, m)
				sub.cut()

				sub = v.dial(t, b, dialOptions{id: id, keep: true})
				m.dup = true
				sub.expect(t, m)
				sub.nothing(t)
				sub.disconnect()

				sub = v.dial(t, b, dialOptions{id: id, keep: true})
				sub.nothing(t)
			})
		}
	})
}

func TestWill(t *testing.T) {
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		watch := v.dial(t, b, dialOptions{id: "watch"})
		watch.mustSubscribe(t, "status/+", 2)
		for qos := range byte(3) {
			will := message{topic: fmt.Sprintf("status/%d", qos), payload: "offline", qos: qos, retain: true}
			t.Run(fmt.Sprintf("MQTT-3.1.2-8 QoS %d published when the connection drops", qos), func(t *testing.T) {
				v.dial(t, b, dialOptions{id: "device", will: &will}).cut()
				live := will
				live.retain = false
				watch.expect(t, live)
				late := v.dial(t, b, dialOptions{id: "late"})
				late.mustSubscribe(t, will.topic, 2)
				late.expect(t, will)
			})
			t.Run(fmt.Sprintf("MQTT-3.1.2-10 QoS %d forgotten after DISCONNECT", qos), func(t *testing.T) {
				v.dial(t, b, dialOptions{id: "device", will: &will}).leave(t, b)
				watch.nothing(t)
			})
		}
	})
}

func TestTakeOver(t *testing.T) {
	statements := map[string]string{"3.1": "3.1", "3.1.1": "MQTT-3.1.4-2", "5.0": "MQTT-3.1.4-3"}
	const sessionTakenOver = 0x8E
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		t.Run(statements[v.mqtt]+" take-over", func(t *testing.T) {
			first := v.dial(t, b, dialOptions{id: "twin", keep: true})
			first.mustSubscribe(t, "to/twin", 1)
			second := v.dial(t, b, dialOptions{id: "twin", keep: true})
			if reason := first.end(t); v.mqtt == "5.0" && reason != sessionTakenOver {
				t.Errorf("DISCONNECT with %#x, want %#x", reason, sessionTakenOver)
			}
			wantPresent(t, v, second, true)
			m := message{topic: "to/twin", payload: "for the second", qos: 1}
			second.mustPublish(t, m)
			second.expect(t, m)
			second.nothing(t)
			if len(first.inbox) > 0 {
				t.Errorf("the first received %s", <-first.inbox)
			}
		})
	})
}

func TestShutdown(t *testing.T) {
	const serverShuttingDown = 0x8B
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		p := v.dial(t, b, dialOptions{id: "connected"})
		b.terminate(t)
		if reason := p.end(t); v.mqtt == "5.0" && reason != serverShuttingDown {
			t.Errorf("DISCONNECT with %#x, want %#x", reason, serverShuttingDown)
		}
	})
}
