package broker_test

import (
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A session that is ended from outside is gone with what waits in it, there or
// away, and its will is published as if it had expired.
func TestEndSession(t *testing.T) {
	for _, connected := range []bool{false, true} {
		bubble(t, func(t *testing.T, b *brokertest.Broker, s *slowStore) {
			other := b.Client(mqtt.V5)
			other.Connect("cid=other")
			other.Send("SUBSCRIBE id=1 f=w@0")
			other.Expect("SUBACK id=1 rcs=0x00")
			c := b.Client(mqtt.V5)
			c.Connect("cid=phone clean=0 se=3600 will=w:x wd=600")
			c.Send("SUBSCRIBE id=1 f=t@1")
			c.Expect("SUBACK id=1 rcs=0x01")
			if !connected {
				c.Send("DISCONNECT rc=0x04")
				c.ExpectClosed()
				other.Send("PUBLISH topic=t payload=waits qos=1 id=2")
				other.Expect("PUBACK id=2 ...")
			}
			there, err := b.EndSession(t.Context(), "phone")
			if err != nil || !there {
				t.Errorf("%t, %v", there, err)
			}
			if connected {
				c.Expect("DISCONNECT rc=0x98 ...")
				c.ExpectClosed()
			}
			other.Expect("PUBLISH topic=w payload=x ...")
			synctest.Wait()
			s.mu.Lock()
			if last := s.kinds[len(s.kinds)-1]; last != store.SessionEnded && s.kinds[len(s.kinds)-2] != store.SessionEnded {
				t.Errorf("the last records are of kinds %v, want SessionEnded", s.kinds[len(s.kinds)-2:])
			}
			s.mu.Unlock()
			if there, err := b.EndSession(t.Context(), "phone"); err != nil || there {
				t.Errorf("once more: %t, %v", there, err)
			}
			c = b.Client(mqtt.V5)
			c.Send("CONNECT cid=phone clean=0 se=3600")
			c.Expect("CONNACK sp=0 ...")
		})
	}
}
