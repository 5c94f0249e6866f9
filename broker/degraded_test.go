package broker_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// While the disk fails nothing of class always is acknowledged, the rest goes
// on in memory, and all is well again a minute after the disk is.
func TestDiskThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		b := newFaultyDisk(t, store.Options{Classes: []store.ClassRule{{Filter: "always/#", Class: store.Always}}}, failsWhile(&broken))
		p := b.Client(mqtt.V5)
		p.Connect("cid=p")
		p.Send("PUBLISH topic=always/x payload=1 qos=1 id=1")
		p.Expect("PUBACK id=1")
		broken.Store(true)
		p.Send("PUBLISH topic=always/x payload=2 qos=1 id=2")
		p.Expect("DISCONNECT rc=0x83 ...") // what waited never will be kept
		p = b.Client(mqtt.V5)
		p.Connect("cid=p")
		p.Send("PUBLISH topic=always/x payload=2 qos=1 id=2")
		p.Expect("PUBACK id=2 rc=0x83 ...")
		p.Send("PUBLISH topic=other payload=3 qos=1 id=3")
		p.Expect("PUBACK id=3")
		old := b.Client(mqtt.V311)
		old.Connect("cid=old")
		old.Send("PUBLISH topic=always/x payload=4 qos=1 id=4")
		old.ExpectClosed() // an acknowledgement would be a lie
		broken.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		p.Send("PUBLISH topic=always/x payload=5 qos=1 id=5")
		p.Expect("PUBACK id=5")
		b.end()
		got := b.payloads(t) // what was acknowledged meanwhile is in the checkpoint that ended it
		if len(got) < 3 || got[0] != "1" || got[len(got)-2] != "3" || got[len(got)-1] != "5" {
			t.Errorf("kept %q", got)
		}
	})
}
