package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What waits on disk of a topic that a client may not receive any more is not
// sent: it is judged when it is read.
func TestRightLostBehindTheHead(t *testing.T) {
	const n = 1500
	for _, tc := range []struct {
		filters string
		restart bool
	}{{"a@1 b@1", false}, {"#@1", false}, {"a@1 b@1", true}, {"#@1", true}} {
		t.Run(fmt.Sprint(tc.filters, ", restart ", tc.restart), func(t *testing.T) {
			auth := newForbidding("")
			dir := t.TempDir()
			start := func() *brokertest.Broker {
				return brokertest.New(t, func(o *broker.Options) {
					roomy(dir, broker.DropOldest)(o)
					o.Auth = auth
				})
			}
			b := start()
			away(t, b, strings.Fields(tc.filters)...)
			p := attach(t, b, broker.ClientOptions{ID: "p"})
			for i := range n {
				for _, topic := range []string{"a", "b"} {
					publish(t, p, mqtt.Message{Topic: topic, QoS: 1, Payload: words(i, 200)})
				}
			}
			if _, spills := onDiskNow(t, dir); spills == 0 {
				t.Fatal("nothing is on disk")
			}
			if tc.restart {
				b.Stop()
			}
			if auth.forbid("a"); tc.restart {
				b = start()
			} else {
				b.RightsChanged()
			}
			s := b.Client(mqtt.V5)
			s.Connect("cid=s clean=0 se=1000000 sp=1")
			for i := range n {
				got := s.Receive()
				var id int
				if _, err := fmt.Sscanf(got, "PUBLISH id=%d", &id); err != nil || !strings.Contains(got, "topic=b ") || !strings.Contains(got, string(words(i, 200))) {
					t.Fatalf("message %d is %.60q", i, got)
				}
				s.Send(fmt.Sprintf("PUBACK id=%d", id))
			}
			s.Send("PINGREQ")
			s.Expect("PINGRESP")
			if got := b.Stats(); got.Waiting != 0 || got.Drops.Refused != n {
				t.Errorf("%d wait, %+v", got.Waiting, got.Drops)
			}
		})
	}
}
