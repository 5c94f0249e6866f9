package broker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// While the disk fails nothing of class always is acknowledged, the rest goes
// on in memory, and all is well again a minute after the disk is.
func TestDiskThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1 << 30)
		var broken atomic.Bool
		d.Fail(func(op, _ string) error {
			if broken.Load() && op != "read" && op != "names" {
				return errors.New("input/output error")
			}
			return nil
		})
		s, _, _, err := store.Open(d, store.Options{Classes: []store.ClassRule{{Filter: "always/#", Class: store.Always}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		b := brokertest.New(t, func(o *broker.Options) { o.Store = s })
		away := b.Client(mqtt.V5)
		away.Connect("cid=away clean=0 se=100000")
		away.Send("SUBSCRIBE id=1 f=#@1")
		away.Expect("SUBACK id=1 rcs=0x01")
		away.Close()
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
		b.Stop()
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		// What was acknowledged meanwhile is in the checkpoint that ended it.
		_, state, _, err := store.Open(d, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range state.Lines["away"].Entries {
			got = append(got, string(e.Message.Payload))
		}
		if len(got) < 3 || got[0] != "1" || got[len(got)-2] != "3" || got[len(got)-1] != "5" {
			t.Errorf("kept %q", got)
		}
	})
}
