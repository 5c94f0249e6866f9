package bridge_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// The server is killed with SIGKILL in the middle of a drain, over real
// sockets, and comes back with what its journal holds.
func TestServerKilled(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run("MQTT "+v.String(), func(t *testing.T) {
			p := cloudtest.NewProcess(t)
			q := bridge.NewTestQueue(t)
			b, stop := running(t, bridge.Options{
				Name: "cloud", Servers: []string{"mqtt://" + p.Address}, ClientID: "gw", Protocol: v, RetryMax: 50 * time.Millisecond,
				Out: []bridge.Route{{From: "a/#"}}, Queues: [bridge.LaneCount]bridge.Queue{q},
			})
			const messages, kills = 3000, 3
			for i := range messages {
				q.Add(mqtt.Message{Topic: fmt.Sprint("a/", i%5), Payload: []byte(fmt.Sprint(i)), QoS: mqtt.QoS(1 + i%2)})
			}
			for k := range kills {
				if !cloudtest.WaitFor(patience, func() bool { return q.Stats().Messages < messages-(k+1)*messages/(kills+2) }) {
					t.Fatalf("nothing moves: %+v", b.Stats())
				}
				p.Kill()
				p.Start()
			}
			q.WaitEmpty(t, patience)
			stop()
			times := make([]int, messages)
			next := make([]int, 5)
			for _, m := range p.Messages() {
				var i int
				if _, err := fmt.Sscan(string(m.Payload), &i); err != nil {
					t.Fatal(err)
				}
				if times[i]++; times[i] > 1 {
					continue
				}
				if i/5 != next[i%5] {
					t.Fatalf("%s: message %d arrived in place %d", m.Topic, i, next[i%5]*5+i%5)
				}
				next[i%5]++
			}
			for i, n := range times {
				if n == 0 || i%2 == 1 && n != 1 {
					t.Errorf("message %d, QoS %d, arrived %d times", i, 1+i%2, n)
				}
			}
			if st := b.Stats(); st.Dead > 0 || st.Unaccounted() != 0 {
				t.Errorf("dead %d, unaccounted %d", st.Dead, st.Unaccounted())
			}
		})
	}
}
