package broker_test

import (
	"io"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// FuzzConnection feeds arbitrary bytes to one connection. Whatever they are,
// the broker must not panic, must keep its accounts, and must still serve
// another client; brokertest checks the first two.
func FuzzConnection(f *testing.F) {
	for _, lines := range [][]string{
		{"CONNECT cid=a", "SUBSCRIBE id=1 f=t/#@2 sid=4", "PUBLISH topic=t/1 payload=x qos=2 id=1 ta=1", "PUBREC id=1", "PUBREL id=1", "PUBCOMP id=1"},
		{"CONNECT cid=a se=10 rm=1 tam=1 mps=20 will=w:x wd=1", "SUBSCRIBE id=1 f=$share/g/+@1", "PUBLISH topic=t payload=x qos=1 id=1 retain=1", "PUBACK id=1", "DISCONNECT se=4"},
		{"CONNECT cid=a", "UNSUBSCRIBE id=2 f=t", "PINGREQ", "AUTH rc=0x18 method=x", "DISCONNECT rc=4"},
	} {
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			var all []byte
			for _, l := range lines {
				p, err := brokertest.Parse(l)
				if err != nil {
					f.Fatal(err)
				}
				p.Connect.Version = v
				all = packet.Append(all, v, p)
			}
			f.Add(all)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := brokertest.New(t, func(o *broker.Options) { o.Limits.PacketSize = 4096 })
		nc := b.Dial()
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(io.Discard, nc) // until either side closes
		}()
		nc.Write(data) // the broker may close before it has read all
		nc.Close()
		<-done
		c := b.Client(mqtt.V5)
		c.Connect("cid=witness")
	})
}
