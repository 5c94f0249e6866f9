package bridge

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

var (
	simSeeds = flag.Int("sim.seeds", 500, "how many random histories TestSimulation lives through")
	simSeed  = flag.Uint64("sim.seed", 0, "replay this one history of TestSimulation; 0: all")
)

// Random links, servers and power cuts: whatever happens, what the queue took
// arrives, QoS 2 messages once, in the order of their topic; only what the
// server seems to close the connection over is given up, and counted. A seed decides all
// that happens and when; the scheduler decides between goroutines at the same
// instant, so that a replay repeats the history and most often the failure.
func TestSimulation(t *testing.T) {
	seeds := *simSeeds
	if testing.Short() {
		seeds = min(seeds, 60)
	}
	first, last := uint64(1), uint64(seeds)
	if *simSeed > 0 {
		first, last = *simSeed, *simSeed
	}
	faults := 0
	for seed := first; seed <= last; seed++ {
		ok := t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { faults += newSim(t, seed).live() })
		})
		if !ok {
			t.Fatalf("replay with: go test ./bridge -run TestSimulation -sim.seed %d", seed)
		}
	}
	t.Logf("%d histories, %d faults", seeds, faults)
}

// sim is one history.
type sim struct {
	t        *testing.T
	rand     *rand.Rand
	seed     uint64
	version  mqtt.Version
	r        *cloudRig
	sent     [3]int // messages of each topic
	faults   int
	dead     uint64 // given up by bridges that have crashed
	orderly  bool   // the server did not pick and choose
	sessions bool   // no session was lost
	verdicts struct {
		sync.Mutex
		rand *rand.Rand
	}
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{t: t, seed: seed, rand: newRand(seed), orderly: seed%3 > 0, sessions: seed%4 > 0}
	s.verdicts.rand = newRand(seed + 1<<32)
	s.version = []mqtt.Version{mqtt.V5, mqtt.V311, mqtt.V5, mqtt.V31}[s.rand.IntN(4)]
	s.r = cloud(t, cloudtest.Options{}, s.options)
	return s
}

func (s *sim) options(o *Options) {
	o.Protocol, o.RetryMax = s.version, time.Minute
	if s.seed%5 == 0 {
		batching(simBatch(s.seed))(o)
	}
}

func (s *sim) pause(most time.Duration) {
	after(time.Duration(s.rand.Int64N(int64(most))))
}

func (s *sim) put(n int) {
	for range n {
		topic := s.rand.IntN(len(s.sent))
		s.r.put(fmt.Sprint("out/", topic), fmt.Sprint(topic, " ", s.sent[topic]), mqtt.QoS(1+s.sent[topic]%2))
		s.sent[topic]++
	}
}

// live goes through the history and returns how many faults there were.
func (s *sim) live() int {
	for range 15 + s.rand.IntN(20) {
		s.put(s.rand.IntN(8))
		s.pause(time.Duration(1+s.rand.IntN(20_000)) * time.Millisecond)
		s.account()
		s.step()
	}
	s.r.c.Set(func(f *cloudtest.Faults) { *f = cloudtest.Faults{} })
	s.put(3)
	after(30 * time.Minute)
	s.judge()
	s.r.stop()
	return s.faults
}

// step lets one thing go wrong, or all be well again.
func (s *sim) step() {
	s.faults++
	set := s.r.c.Set
	ms := func(n int) time.Duration { return time.Duration(1+s.rand.IntN(n)) * time.Millisecond }
	switch s.rand.IntN(14) {
	case 0:
		s.r.c.Kill()
	case 1:
		s.dead += s.r.Stats().Dead
		s.r = s.r.crash(s.t, s.options)
	case 2:
		set(func(f *cloudtest.Faults) { f.Refuse = true })
	case 3:
		set(func(f *cloudtest.Faults) { f.BlackHole = true })
	case 4:
		set(func(f *cloudtest.Faults) { f.HalfOpen = true })
	case 5:
		set(func(f *cloudtest.Faults) { f.Flap = ms(5000) })
	case 6:
		set(func(f *cloudtest.Faults) { f.DropAcks = true })
	case 7:
		set(func(f *cloudtest.Faults) { f.AckDelay = ms(3000) })
	case 8:
		set(func(f *cloudtest.Faults) { f.SwapAcks = true })
	case 9:
		set(func(f *cloudtest.Faults) { f.ReceiveMaximum = uint16(1 + s.rand.IntN(20)) })
		s.r.c.Kill() // it is announced anew
	case 10:
		if !s.sessions {
			set(func(f *cloudtest.Faults) { f.SessionLost = true })
			s.r.c.Kill()
		}
	case 11:
		set(func(f *cloudtest.Faults) { f.Publish, f.Release = s.verdict, s.release })
	default:
		set(func(f *cloudtest.Faults) { *f = cloudtest.Faults{} })
		s.faults--
	}
}

func (s *sim) verdict(cloudtest.Message) cloudtest.Verdict {
	s.verdicts.Lock()
	defer s.verdicts.Unlock()
	kinds := []cloudtest.Verdict{{Cut: true}, {CutLate: true}, {Goodbye: mqtt.ServerShuttingDown}}
	if !s.orderly {
		kinds = append(kinds, cloudtest.Verdict{Ignore: true})
		if s.version == mqtt.V5 {
			kinds = append(kinds, cloudtest.Verdict{Code: mqtt.QuotaExceeded})
		}
	}
	if n := s.verdicts.rand.IntN(4 * len(kinds)); n < len(kinds) {
		return kinds[n]
	}
	return cloudtest.Verdict{}
}

func (s *sim) release(uint16) cloudtest.Verdict {
	s.verdicts.Lock()
	defer s.verdicts.Unlock()
	n := s.verdicts.rand.IntN(8)
	return cloudtest.Verdict{Cut: n == 0, CutLate: n == 1}
}

// account checks that every message accepted is somewhere.
func (s *sim) account() {
	if st := s.r.Stats(); st.Unaccounted() != 0 {
		s.t.Errorf("%d messages are nowhere: %+v", st.Unaccounted(), st.Queue)
	}
}

// judge looks at what has arrived.
func (s *sim) judge() {
	t := s.t
	s.account()
	times := map[string]int{}
	var next [3]int
	for _, m := range unbatched(t, s.r.c.Messages()) {
		p := string(m.Payload)
		if times[p]++; times[p] > 1 {
			if m.QoS == 2 && s.sessions {
				t.Errorf("%q, QoS 2, arrived %d times", p, times[p])
			}
			continue
		}
		var topic, n int
		if _, err := fmt.Sscan(p, &topic, &n); err != nil {
			t.Fatal(err)
		}
		if s.orderly && n < next[topic] {
			t.Errorf("topic %d: message %d arrived after %d", topic, n, next[topic]-1)
		}
		next[topic] = n + 1
	}
	var missing []string
	for topic, n := range s.sent {
		for i := range n {
			if p := fmt.Sprint(topic, " ", i); times[p] == 0 {
				missing = append(missing, p)
			}
		}
	}
	// A message that arrived may lie with the dead as well: the server took it
	// and closed without a word.
	if dead := s.dead + s.r.Stats().Dead; uint64(len(missing)) > dead {
		t.Errorf("messages %q are lost, %d lie with the dead", missing, dead)
	}
	want(t, "queue", s.r.q.Stats().Messages, 0)
	if v := s.r.c.Violations(); len(v) > 0 {
		t.Errorf("violations: %s", strings.Join(v, "; "))
	}
}
