package broker_test

import (
	"fmt"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What a destination may have is sent again as such by the next process, and
// nothing gives it up; what it cannot have is neither in flight nor kept back.
func TestHandedOutBeforeTheProcessBegan(t *testing.T) {
	const messages, handed = 2000, 900
	for _, tc := range []struct {
		name   string
		rewind bool // before the process is killed
		again  int  // how many are taken to have been handed out, at most
	}{
		{"killed with a connection", false, 1000 + 512},
		{"killed after the connection has ended", true, handed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			b, q := queueIn(t, dir)
			c := attach(t, b, broker.ClientOptions{ID: "c"})
			for n := range messages {
				publish(t, c, mqtt.Message{Topic: "t", Payload: fmt.Append(nil, n), QoS: 1})
			}
			for range handed {
				if _, ok, err := q.Take(t.Context()); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			if tc.rewind {
				q.Rewind()
			}
			publish(t, c, mqtt.Message{Topic: "t", QoS: 1}) // all before it is recorded
			dir = kill(t, dir)
			b.Stop()

			b, q = queueIn(t, dir)
			if s := q.Stats(); s.InFlight != 0 || s.Messages != messages+1 {
				t.Errorf("%+v", s)
			}
			before := 0
			q.Each(0, func(e *mqtt.Queued) bool {
				switch gone, err := q.Withdraw(t.Context(), e.Seq, mqtt.DropUnwanted); {
				case err != nil:
					t.Fatal(err)
				case e.Sent > 0 && gone:
					t.Fatalf("message %s was given up", e.Message.Payload)
				case e.Sent > 0:
					before++
				}
				return e.Sent > 0
			})
			if before < handed || before > tc.again {
				t.Errorf("%d were handed out, want %d to %d", before, handed, tc.again)
			}
			for n := range handed {
				if e, ok, err := q.Take(t.Context()); !ok || err != nil || e.Sent == 0 || string(e.Message.Payload) != fmt.Sprint(n) {
					t.Fatalf("entry %d: %+v, %v, %v", n, e, ok, err)
				}
			}
			if s := q.Stats(); s.InFlight != handed {
				t.Errorf("%+v", s)
			}
			b.Stop()
		})
	}
}
