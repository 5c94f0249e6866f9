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
// bridge, and one that flaps sees no more of us than the back-off allows. The
// two are measured in turns, and the one without a bridge twice, which tells the
// noise; the bounds leave room for a busy machine, the figures are in the log.
// With LATENCY=400 rounds the bound is the noise, a quarter, and half a
// millisecond for the journal, which has nothing to do without a bridge.
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

			began := time.Now()
			with, without := localTrips(t, ln.Addr().String()), localTrips(t, "")
			const usual = 20
			rounds := times(t, "LATENCY", usual)
			var bridged, plain, again []time.Duration
			for i := range rounds {
				plain = append(plain, without(20)...)
				bridged = append(bridged, with(20)...)
				if i%2 == 0 || rounds > usual {
					again = append(again, without(20)...)
				}
			}
			at := func(d []time.Duration, percent int) time.Duration { slices.Sort(d); return d[len(d)*percent/100] }
			p50, p99 := at(bridged, 50), at(bridged, 99)
			least, most := min(at(plain, 99), at(again, 99)), max(at(plain, 99), at(again, 99))
			t.Logf("%d messages: p50 %v and %v without a bridge, p99 %v and %v to %v", len(bridged), p50, at(plain, 50), p99, least, most)
			if p50 > 3*at(plain, 50)+2*time.Millisecond || p99 > 3*most+50*time.Millisecond || rounds > usual && p99 > most+most/4+500*time.Microsecond {
				t.Error("local messages wait for the server upstream")
			}
			// The first attempt, and then one after 1 s each or more.
			if n, allowed := len(cloud.Connects()), 2+int(time.Since(began).Seconds()); n > allowed {
				t.Errorf("%d connections in %v", n, time.Since(began))
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
