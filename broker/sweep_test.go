package broker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// The disk under the whole broker fails at its Nth write, sync, rename, open,
// create or sync of the directory: once, once without a checkpoint to make up
// for it, three times, or until it is mended.
// Clients publish meanwhile. A power cut at any time finds what was
// acknowledged; the broker goes on serving, and acknowledges again once the
// disk works. SWEEP=150 takes every N up to that, with each error.
func TestFaultSweep(t *testing.T) {
	most, step := 150, 29
	errs := []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS}
	if s := os.Getenv("SWEEP"); s != "" {
		var err error
		if most, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		step = 1
	}
	runs := 0
	for _, op := range []string{"write", "datasync", "rename", "open", "create", "syncdir"} {
		for _, how := range []string{"once", "once, no checkpoint", "three times", "until mended"} {
			for n := 1; n <= most; n += step {
				reached := true
				for i, errno := range errs {
					if step > 1 && i != n%len(errs) {
						continue
					}
					name := fmt.Sprintf("%s %d %s %v", op, n, how, errno)
					t.Run(name, func(t *testing.T) {
						f := &fault{op: op, nth: n, err: errno, times: 1, all: how == "until mended", noCheckpoint: how == "once, no checkpoint"}
						if how == "three times" {
							f.times = 3
						}
						synctest.Test(t, func(t *testing.T) { reached = sweep(t, f) })
					})
					runs++
				}
				if !reached {
					break
				}
			}
		}
	}
	t.Logf("%d runs", runs)
}

// fault is what the disk does.
type fault struct {
	op           string
	nth, times   int
	err          error
	all          bool // from then on nothing works until it is mended
	noCheckpoint bool // from then on no checkpoint can be made until it is mended

	mu           sync.Mutex
	seen, failed int
	mended       bool
}

func (f *fault) decide(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.mended || op == "read" || op == "names":
		return nil
	case f.failed > 0 && (f.all || f.noCheckpoint && op == "create" && strings.HasPrefix(name, "checkpoint-")):
		return f.err
	case op != f.op:
		return nil
	}
	if f.seen++; f.seen < f.nth || f.failed >= f.times {
		return nil
	}
	f.failed++
	return f.err
}

func (f *fault) hit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed > 0
}

// sweeper publishes and remembers what was acknowledged.
type sweeper struct {
	t     *testing.T
	b     *brokertest.Broker
	d     *disktest.Fake
	rng   *rand.Rand
	pub   *brokertest.Client
	acked []string
}

// sweep runs one fault; it reports whether the disk came so far.
func sweep(t *testing.T, f *fault) (reached bool) {
	d := disktest.New(1 << 30)
	d.Fail(f.decide)
	st, _, _, err := store.Open(d, store.Options{Default: store.Always, SegmentSize: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- st.Run(ctx) }()
	s := &sweeper{t: t, d: d, rng: rand.New(rand.NewPCG(uint64(f.nth), 1))}
	s.b = brokertest.New(t, func(o *broker.Options) { o.Store = st })
	subscribed := s.subscribe()
	s.connect()
	checks := 0
	for n := range 100 {
		if s.publish(n) && f.hit() && checks < 6 {
			checks++
			s.check(subscribed)
		}
	}
	f.mu.Lock()
	reached, f.mended = f.failed > 0, true
	f.mu.Unlock()
	time.Sleep(3 * time.Minute) // the store tries again every minute
	synctest.Wait()
	if s.check(subscribed); !subscribed && !s.subscribe() {
		t.Error("no session is kept although the disk works again")
	}
	if !subscribed {
		s.acked = nil // by nobody's wish to keep them
	}
	if !s.publish(1000) {
		t.Error("nothing is acknowledged although the disk works again")
	}
	s.check(true)
	s.b.Stop()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.check(true)
	return reached
}

// subscribe makes a session that is kept and leaves it. It reports whether both
// were acknowledged.
func (s *sweeper) subscribe() bool {
	c := s.b.Client(mqtt.V5)
	defer c.Close()
	c.Send("CONNECT cid=away clean=0 se=100000")
	if got := c.Receive(); !strings.HasPrefix(got, "CONNACK") || !strings.Contains(got, "rc=0x00") {
		return false
	}
	c.Send("SUBSCRIBE id=1 f=t@2")
	return strings.HasPrefix(c.Receive(), "SUBACK")
}

func (s *sweeper) connect() {
	s.pub = s.b.Client(mqtt.V5)
	s.pub.Connect("cid=p")
}

// publish reports whether message n was acknowledged.
func (s *sweeper) publish(n int) bool {
	s.t.Helper()
	s.pub.Send(fmt.Sprintf("PUBLISH topic=t payload=%d qos=%d id=1", n, 1+n%2))
	got := s.pub.Receive()
	switch {
	case strings.HasPrefix(got, "DISCONNECT"), got == "closed":
		s.connect()
		return false
	case strings.Contains(got, "rc=0x8") || strings.Contains(got, "rc=0x9"):
		return false
	}
	s.acked = append(s.acked, strconv.Itoa(n))
	if strings.HasPrefix(got, "PUBREC") {
		s.pub.Send("PUBREL id=1")
		if got := s.pub.Receive(); !strings.HasPrefix(got, "PUBCOMP") {
			s.connect()
		}
	}
	return true
}

// check looks at the disk as a power cut would leave it.
func (s *sweeper) check(subscribed bool) {
	s.t.Helper()
	_, state, _, err := store.Open(s.d.Crash(s.d.Ops(), disktest.LoseAll, s.rng), store.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	kept := map[string]bool{}
	if l := state.Lines["away"]; l != nil {
		for i := range l.Entries {
			kept[string(l.Entries[i].Message.Payload)] = true
		}
	}
	for _, payload := range s.acked {
		if subscribed && !kept[payload] {
			s.t.Errorf("message %s was acknowledged, and a power cut loses it", payload)
		}
	}
}
