package main

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Whatever the server upstream does, a local message takes as long as without a
// bridge. The two are measured in turns; the bounds leave room for a busy
// machine, the figures are in the log.
func TestLocalMessagesDoNotWaitForTheServerUpstream(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for name, faults := range map[string]cloudtest.Faults{
		"black hole": {BlackHole: true},
		"stalled":    {DropAcks: true},
		"flapping":   {Flap: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			cloud, err := cloudtest.New(cloudtest.Options{Faults: faults})
			if err != nil {
				t.Fatal(err)
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() { cloud.Serve(ln); close(served) }()
			defer func() { ln.Close(); <-served; cloud.Close() }()

			with, without := localTrips(t, ln.Addr().String()), localTrips(t, "")
			var bridged, plain []time.Duration
			for range 20 {
				plain = append(plain, without(20)...)
				bridged = append(bridged, with(20)...)
			}
			slices.Sort(bridged)
			slices.Sort(plain)
			p99 := func(d []time.Duration) time.Duration { return d[len(d)*99/100] }
			t.Logf("p50 %v and %v without a bridge, p99 %v and %v", bridged[len(bridged)/2], plain[len(plain)/2], p99(bridged), p99(plain))
			if bridged[len(bridged)/2] > 3*plain[len(plain)/2]+2*time.Millisecond || p99(bridged) > 3*p99(plain)+50*time.Millisecond {
				t.Error("local messages wait for the server upstream")
			}
		})
	}
}

// localTrips starts the program, with a bridge if upstream is not empty, and
// returns what measures so many round trips of QoS 1.
func localTrips(t *testing.T, upstream string) func(n int) []time.Duration {
	t.Helper()
	k := &killing{t: t, dir: t.TempDir()}
	k.configure()
	if upstream != "" {
		k.bridgeTo(upstream)
	}
	k.start()
	t.Cleanup(k.kill)
	w := k.dialed(t)
	t.Cleanup(func() { w.nc.Close() })
	w.send(&packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("k/#"), QoS: 1}}})
	await := func(want packet.Type) *packet.View {
		for {
			v, err := w.receive()
			if err != nil {
				t.Fatal(err)
			}
			if v.Type == want {
				return &v
			}
		}
	}
	await(packet.SUBACK)
	return func(n int) (took []time.Duration) {
		for range n {
			began := time.Now()
			w.send(&packet.View{Type: packet.PUBLISH, ID: 9, Publish: packet.Publish{Topic: []byte("k/a"), Payload: []byte("21.5"), QoS: mqtt.AtLeastOnce}})
			v := await(packet.PUBLISH)
			took = append(took, time.Since(began))
			w.send(&packet.View{Type: packet.PUBACK, ID: v.ID})
		}
		return took
	}
}
