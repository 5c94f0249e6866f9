package broker_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A QoS 2 message that was taken is acknowledged when it comes again, though
// its topic is forbidden by now: with a refusal the client would use the
// identifier for another message, which would not be routed [MQTT-4.3.3-10].
func TestResentAfterTheRightIsLost(t *testing.T) {
	auth := newForbidding("")
	b := brokertest.New(t, func(o *broker.Options) { o.Auth = auth })
	s := b.Client(mqtt.V5)
	s.Connect("cid=s")
	s.Send("SUBSCRIBE id=1 f=#@0")
	s.Expect("SUBACK id=1 rcs=0x00")
	p := b.Client(mqtt.V5)
	p.Connect("cid=p clean=0 se=1000")
	p.Send("PUBLISH topic=a payload=1 qos=2 id=7")
	p.Expect("PUBREC id=7")
	s.Expect("PUBLISH topic=a payload=1 qos=0")
	p.Close()
	auth.forbid("a")
	p = b.Client(mqtt.V5)
	p.Send("CONNECT cid=p clean=0 se=1000")
	p.Expect("CONNACK sp=1 rc=0x00 ...")
	p.Send("PUBLISH topic=a payload=1 qos=2 id=7 dup=1")
	p.Expect("PUBREC id=7")
	p.Send("PUBREL id=7")
	p.Expect("PUBCOMP id=7")
	p.Send("PUBLISH topic=a payload=2 qos=2 id=8")
	p.Expect("PUBREC id=8 rc=0x87 ...")
	p.Send("PUBLISH topic=b payload=3 qos=2 id=7")
	p.Expect("PUBREC id=7")
	s.Expect("PUBLISH topic=b payload=3 qos=0")
}

// While the disk fails there is no promise for it either.
func TestResentWhileTheDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		b := newFaultyDisk(t, store.Options{Classes: []store.ClassRule{{Filter: "#", Class: store.Always}}}, failsWhile(&broken))
		publish := func(want string) {
			p := b.Client(mqtt.V5)
			p.Send("CONNECT cid=p clean=0 se=100000")
			p.Expect("CONNACK ...")
			p.Send("PUBLISH topic=a payload=1 qos=2 id=7")
			p.Expect(want)
			p.Close()
		}
		publish("PUBREC id=7")
		broken.Store(true)
		other := b.Client(mqtt.V5)
		other.Connect("cid=other")
		other.Send("PUBLISH topic=a payload=2 qos=1 id=1")
		other.Expect("DISCONNECT rc=0x83 ...")
		publish("DISCONNECT rc=0x83 ...")
		broken.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		publish("PUBREC id=7")
		b.end()
		if got := strings.Join(b.payloads(t), ""); got != "12" {
			t.Errorf("kept %s, want each once", got)
		}
	})
}

// QoS 2 messages that clients never release have a sixteenth of memory, beside
// what the Receive Maximum lets each of them have.
func TestIdentifiersHaveAShare(t *testing.T) {
	for receiveMaximum, always := range map[uint16]int{20: 20, 65535: 100} {
		t.Run(fmt.Sprint("Receive Maximum ", receiveMaximum), func(t *testing.T) { holdIdentifiers(t, receiveMaximum, always) })
	}
}

func holdIdentifiers(t *testing.T, receiveMaximum uint16, always int) {
	const share = 1 << 20 / 16 / 16
	b := brokertest.New(t, func(o *broker.Options) {
		o.MemoryBudget = 1 << 20
		o.Limits.ReceiveMaximum = receiveMaximum
	})
	held := func() (n int64) {
		for _, c := range b.Stats().Memory.By {
			if c.Name == "identifiers" {
				n = c.Bytes / 16
			}
		}
		return n
	}
	greedy := b.Client(mqtt.V311)
	greedy.Connect("cid=greedy clean=0")
	for id := 1; id <= share; id++ {
		greedy.Send(fmt.Sprintf("PUBLISH topic=q qos=2 payload=x id=%d", id))
		greedy.Expect(fmt.Sprintf("PUBREC id=%d", id))
	}
	if n := held(); n < share-64 || n > share {
		t.Errorf("%d identifiers are in the account, want about %d", n, share)
	}
	for id := share + 1; id <= share+64; id++ { // they are booked 64 at a time
		greedy.Send(fmt.Sprintf("PUBLISH topic=q qos=2 payload=x id=%d", id))
	}
	greedy.ExpectClosed()

	fair := b.Client(mqtt.V5)
	fair.Connect("cid=fair clean=0 se=1000")
	for id := 1; id <= always; id++ {
		fair.Send(fmt.Sprintf("PUBLISH topic=q qos=2 payload=x id=%d", id))
		fair.Expect(fmt.Sprintf("PUBREC id=%d ...", id))
	}
	fair.Close()
	fair = b.Client(mqtt.V5) // which may have as many open again
	fair.Send("CONNECT cid=fair clean=0 se=1000")
	fair.Expect("CONNACK sp=1 rc=0x00 ...")
	fair.Send("PUBLISH topic=q qos=2 payload=x id=1000")
	fair.Expect("PUBREC id=1000 rc=0x97 ...")
	fair.Send("PUBLISH topic=q qos=2 payload=x id=20 dup=1")
	fair.Expect("PUBREC id=20 ...")

	again := b.Client(mqtt.V311)
	again.Send("CONNECT cid=greedy clean=1")
	again.Expect("CONNACK sp=0 rc=0x00")
	if n := held(); n > int64(always) {
		t.Errorf("%d identifiers are in the account after the session", n)
	}
	fair.Send("PUBLISH topic=q qos=2 payload=x id=1000")
	fair.Expect("PUBREC id=1000 ...")
}
