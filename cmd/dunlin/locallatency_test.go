package main

import (
	"math/rand/v2"
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
// two are measured in turns of 20 messages. What a busy machine adds falls on
// either: a difference counts if it matters and is more than what chance makes
// of the same turns (noise). With LATENCY=400 turns a quarter and half a
// millisecond matter, for the journal, which has nothing to do without a bridge.
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
			const usual = 30
			turns := times(t, "LATENCY", usual)
			var bridged, plain [][]time.Duration
			for i := range turns {
				if i%2 == 0 {
					plain = append(plain, without(20))
				}
				bridged = append(bridged, with(20))
				if i%2 == 1 {
					plain = append(plain, without(20))
				}
			}
			for _, percent := range []int{50, 99} {
				with, without := quantile(bridged, percent), quantile(plain, percent)
				chance, matters := noise(bridged, plain, percent), without*2+20*time.Millisecond
				if turns > usual {
					matters = without/4 + 500*time.Microsecond
				}
				t.Logf("%d messages: p%d %v with a bridge, %v without, noise %v", 20*turns, percent, with, without, chance)
				if diff := with - without; diff > chance && diff > matters {
					t.Errorf("p%d: local messages wait %v for the server upstream", percent, diff)
				}
			}
			// The first attempt, and then one after 1 s each or more.
			if n, allowed := len(cloud.Connects()), 2+int(time.Since(began).Seconds()); n > allowed {
				t.Errorf("%d connections in %v", n, time.Since(began))
			}
		})
	}
}

// quantile is of all the turns together.
func quantile(turns [][]time.Duration, percent int) time.Duration {
	all := slices.Concat(turns...)
	slices.Sort(all)
	return all[len(all)*percent/100]
}

// noise is the difference of the quantiles that remains when chance swaps the
// two turns of each pair, as they could have been if nothing set them apart:
// only one of 200 such draws has a larger one.
func noise(a, b [][]time.Duration, percent int) time.Duration {
	const draws = 200
	r := rand.New(rand.NewPCG(1, 2))
	a, b = slices.Clone(a), slices.Clone(b)
	var diffs []time.Duration
	for range draws {
		for i := range a {
			if r.IntN(2) == 0 {
				a[i], b[i] = b[i], a[i]
			}
		}
		diffs = append(diffs, quantile(a, percent)-quantile(b, percent))
	}
	slices.Sort(diffs)
	return diffs[draws-2]
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
