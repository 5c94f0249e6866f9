package bridge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Whatever goes wrong on the way, what the queue accepted arrives: at least
// once for QoS 1, exactly once for QoS 2, and, as long as the server does not
// pick and choose itself, in order of first arrival. More than 1000 faults.
func TestModelRandomFaults(t *testing.T) {
	total := 0
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { total += modelRun(t, seed) })
	}
	if total < 1000 {
		t.Errorf("only %d faults happened", total)
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// faulty makes a quarter of the server's steps go wrong, up to a limit. The
// end of one connection and the beginning of the next overlap.
type faulty struct {
	mu      sync.Mutex
	rand    *rand.Rand
	left    int
	orderly bool // only faults that keep the order
	version mqtt.Version
}

func (f *faulty) intn(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rand.IntN(n)
}

func (f *faulty) happens(oneIn int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 || f.rand.IntN(oneIn) != 0 {
		return false
	}
	f.left--
	return true
}

func (f *faulty) publish(int, *packet.View) verdict {
	if !f.happens(4) {
		return verdict{}
	}
	kinds := []verdict{
		{kill: true}, {after: true}, {goodbye: mqtt.ServerShuttingDown},
		{ignore: true}, {code: mqtt.QuotaExceeded},
	}
	if f.version != mqtt.V5 { // a server of 3.x has no reasons to give
		kinds = []verdict{{kill: true}, {after: true}, {kill: true}, {ignore: true}}
	}
	if f.orderly {
		kinds = kinds[:3]
	}
	return kinds[f.intn(len(kinds))]
}

func (f *faulty) pubrel(int) verdict {
	if !f.happens(4) {
		return verdict{}
	}
	first := f.intn(2) == 0
	return verdict{kill: first, after: !first}
}

func (f *faulty) plan(int) plan {
	return plan{
		receiveMax: uint16(1 + f.intn(8)), publish: f.publish, pubrel: f.pubrel, closes: f.happens(8),
	}
}

func modelRun(t *testing.T, seed uint64) (faults int) {
	const messages, most = 80, 30
	f := &faulty{rand: newRand(seed), left: most, orderly: seed%2 == 0, version: mqtt.V31 + mqtt.Version(seed/2%3)}
	pace := newRand(seed + 1000)
	s := newServer(t, f.plan)
	dead := newQueue(t) // a server that always closes over a message looks as if it refused it
	r := start(t, s, speaking(f.version), func(o *Options) { o.RetryMax, o.Dead = 5*time.Second, dead })
	for i := range messages {
		r.put("out/a", strconv.Itoa(i), mqtt.QoS(1+i%2))
		if pace.IntN(5) == 0 {
			after(time.Duration(pace.IntN(3000)) * time.Millisecond)
		}
	}
	after(3 * time.Hour)
	r.stop()
	count := make([]int, messages)
	var first []int
	for _, p := range s.payloads() {
		i, err := strconv.Atoi(p)
		if err != nil {
			t.Fatal(err)
		}
		if count[i]++; count[i] == 1 {
			first = append(first, i)
		}
	}
	for _, e := range dead.mu.entries {
		i, _ := strconv.Atoi(string(e.Message.Payload))
		count[i] = max(count[i], 1)
	}
	for i, n := range count {
		if qos := 1 + i%2; n == 0 || qos == 2 && n != 1 {
			t.Errorf("seed %d: message %d, QoS %d, arrived %d times", seed, i, qos, n)
		}
	}
	if f.orderly && !slices.IsSorted(first) {
		t.Errorf("seed %d: order of first arrival %v", seed, first)
	}
	want(t, fmt.Sprintf("seed %d: queue", seed), r.q.Stats().Messages, 0)
	return most - f.left
}
