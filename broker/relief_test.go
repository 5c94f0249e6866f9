package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const smallBudget = 1 << 20

// shortage is a broker of a test that can be brought to any level.
type shortage struct {
	*brokertest.Broker
	t      *testing.T
	filler *broker.Client
	body   string
	// emptied counts the calls of Options.Emptied.
	emptied *atomic.Int32
}

// squeezed runs f in a bubble with a broker whose budget is small. A session
// that is away, or will end with its connection, can be filled to a level.
func squeezed(t *testing.T, f func(t *testing.T, s *shortage)) {
	synctest.Test(t, func(t *testing.T) {
		emptied := new(atomic.Int32)
		b := brokertest.New(t, func(o *broker.Options) {
			o.MemoryBudget = smallBudget
			o.Emptied = func() { emptied.Add(1) }
			o.Limits.QueueMessages, o.Limits.QueueSize, o.Limits.ReceiveMaximum = 100000, 4<<20, 60000
			o.SysInterval = time.Hour
		})
		c, err := b.Attach(broker.ClientOptions{ID: "filler"})
		if err != nil {
			t.Fatal(err)
		}
		f(t, &shortage{b, t, c, strings.Repeat("x", 700), emptied})
	})
}

// hog makes a client that reads everything and acknowledges nothing: what is in
// flight to it is not given up, and so the level stays.
func (s *shortage) hog() {
	s.t.Helper()
	c := s.Client(mqtt.V5)
	c.Connect("cid=hog")
	c.Send("SUBSCRIBE id=1 f=hog@1")
	c.Expect("SUBACK id=1 rcs=0x01")
}

// away makes a session that nobody is attached to and that keeps what comes.
func (s *shortage) away(id, filter string) {
	s.t.Helper()
	c := s.Client(mqtt.V5)
	c.Connect("cid=" + id + " se=3600")
	c.Send("SUBSCRIBE id=1 f=" + filter + "@1")
	c.Expect("SUBACK id=1 rcs=0x01")
	c.Close()
	synctest.Wait()
}

func (s *shortage) publish(topic string, qos mqtt.QoS) {
	s.t.Helper()
	if err := s.filler.Publish(context.Background(), mqtt.Message{Topic: topic, QoS: qos, Payload: []byte(s.body)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shortage) level() int { return s.Stats().Memory.Level }

// fill publishes until memory is as short as that.
func (s *shortage) fill(topic string, level int) {
	s.t.Helper()
	for n := 0; s.level() < level; n++ {
		if s.publish(topic, mqtt.AtLeastOnce); n > 5000 {
			s.t.Fatalf("level %d after %d messages", s.level(), n)
		}
		synctest.Wait() // it is in flight, if there is somebody
	}
	if got := s.level(); got != level {
		s.t.Fatalf("level %d, want %d", got, level)
	}
}

func TestMEM3Level2LetsNothingNewBegin(t *testing.T) {
	squeezed(t, func(t *testing.T, s *shortage) {
		s.hog()
		s.away("q", "q")
		s.publish("q", mqtt.AtLeastOnce)
		old := s.Client(mqtt.V5)
		old.Connect("cid=old")
		s.fill("hog", 2)
		fresh := s.Client(mqtt.V5)
		fresh.Send("CONNECT cid=fresh")
		fresh.Expect("CONNACK rc=0x97 ...")
		fresh.ExpectClosed()
		old.Send("SUBSCRIBE id=1 f=a@0")
		old.Expect("SUBACK id=1 rcs=0x97 ...")
		old.Send("PUBLISH topic=r payload=1 retain=1 qos=1 id=1")
		old.Expect("PUBACK id=1 ...")
		if n := s.Stats().Retained; n != 0 {
			t.Errorf("%d new retained messages", n)
		}
		back := s.Client(mqtt.V5) // whose session is there
		back.Connect("cid=q se=3600 rm=1 clean=0")
		back.Expect("PUBLISH ...")
		if s.level() != 2 {
			t.Fatalf("level %d", s.level())
		}
		stats := s.Stats()
		if stats.SessionsRefused != 1 || stats.RetainedRefused != 1 || stats.Memory.By[4].Refused != 1 {
			t.Errorf("refused: %d sessions, %d retained, %+v", stats.SessionsRefused, stats.RetainedRefused, stats.Memory.By)
		}
	})
}

func TestMEM3MemoryGoesBackWhenThereIsEnoughAgain(t *testing.T) {
	squeezed(t, func(t *testing.T, s *shortage) {
		c := s.Client(mqtt.V5)
		c.Connect("cid=hog")
		c.Send("SUBSCRIBE id=1 f=hog@1")
		c.Expect("SUBACK id=1 rcs=0x01")
		s.fill("hog", 2)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := s.emptied.Load(); n != 0 || s.level() == 0 {
			t.Errorf("%d times at level %d", n, s.level())
		}
		c.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.emptied.Load(); n != 1 || s.level() != 0 {
			t.Errorf("%d times, not once, at level %d", n, s.level())
		}
	})
}

func TestMEM3Level2AnnouncesASmallReceiveMaximum(t *testing.T) {
	squeezed(t, func(t *testing.T, s *shortage) {
		s.hog()
		s.away("q", "q")
		s.publish("q", mqtt.AtLeastOnce)
		s.fill("hog", 2)
		c := s.Client(mqtt.V5)
		c.Send("CONNECT cid=q se=3600 clean=0")
		if got := c.Receive(); !strings.Contains(got, " rm=5") {
			t.Errorf("%s, want a Receive Maximum of 5", got)
		}
	})
}

func TestMEM3QoS0ForThoseBehindIsGivenUp(t *testing.T) {
	squeezed(t, func(t *testing.T, s *shortage) {
		s.hog()
		s.away("q", "q")
		s.publish("q", mqtt.AtLeastOnce)
		slow, fast := s.Client(mqtt.V5), s.Client(mqtt.V5)
		slow.Connect("cid=slow rm=1")
		slow.Send("SUBSCRIBE id=1 f=t@1")
		slow.Expect("SUBACK id=1 rcs=0x01")
		fast.Connect("cid=fast")
		fast.Send("SUBSCRIBE id=1 f=t@0")
		fast.Expect("SUBACK id=1 rcs=0x00")
		s.publish("t", mqtt.AtLeastOnce) // in flight, not acknowledged
		s.publish("t", mqtt.AtLeastOnce)
		slow.Expect("PUBLISH ...")
		for range 2 {
			fast.Expect("PUBLISH ...")
		}
		s.fill("hog", 2)
		synctest.Wait()
		s.publish("t", mqtt.AtMostOnce)
		fast.Expect("PUBLISH ...")
		if n := s.Stats().Drops.Memory; n != 1 {
			t.Errorf("%d messages were given up, want the one of QoS 0 to the slow client", n)
		}
	})
}

func TestMEM3Level3PublishersWait(t *testing.T) {
	squeezed(t, func(t *testing.T, s *shortage) {
		s.hog()
		s.away("q", "q")
		s.publish("q", mqtt.AtLeastOnce)
		p := s.Client(mqtt.V5)
		p.Connect("cid=p")
		s.fill("hog", 3)
		start := time.Now()
		for i := range 50 {
			p.Send(fmt.Sprintf("PUBLISH topic=nobody payload=%s qos=1 id=%d", s.body, i+1))
			p.Expect("PUBACK ...")
		}
		// 50 messages of 1218 bytes, 16 KiB at once and as much a second
		if took := time.Since(start); took < 2500*time.Millisecond || took > 4*time.Second {
			t.Errorf("50 messages took %s", took)
		}
		quick := s.Client(mqtt.V5)
		quick.Connect("cid=q se=3600 clean=0 rm=1") // a healthy client with little to say does not wait
		quick.Expect("PUBLISH ...")
		start = time.Now()
		quick.Send("PUBLISH topic=nobody payload=x qos=1 id=1")
		quick.Expect("PUBACK ...")
		if took := time.Since(start); took > 0 {
			t.Errorf("a small message waited for %s", took)
		}
	})
}

func TestMEM3Level3CleanSessionsAndSlowConsumersGiveWay(t *testing.T) {
	squeezed(t, func(t *testing.T, s *shortage) {
		slow := s.Client(mqtt.V5)
		slow.Connect("cid=slow rm=1")
		slow.Send("SUBSCRIBE id=1 f=q@1")
		slow.Expect("SUBACK id=1 rcs=0x01") // and never acknowledges
		for n := 0; s.level() < 3 && n < 5000; n++ {
			s.publish("q", mqtt.AtLeastOnce)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if l := s.level(); l > 2 {
			t.Errorf("level %d a second later", l)
		}
		stats := s.Stats()
		if stats.Drops.Memory == 0 || stats.Accepted != stats.Done+stats.Dropped+uint64(stats.Waiting) {
			t.Errorf("%d given up; accepted %d, done %d, dropped %d, waiting %d", stats.Drops.Memory, stats.Accepted, stats.Done, stats.Dropped, stats.Waiting)
		}
	})
}

func TestMEM3Level4(t *testing.T) {
	squeezed(t, func(t *testing.T, s *shortage) {
		s.hog()
		s.away("q", "q")
		p, old := s.Client(mqtt.V5), s.Client(mqtt.V311)
		p.Connect("cid=p")
		old.Connect("cid=old")
		s.publish("q", mqtt.AtLeastOnce)
		s.fill("hog", 4)
		big := strings.Repeat("y", 2000)
		p.Send("PUBLISH topic=q payload=" + big + " qos=1 id=1")
		p.Expect("PUBACK id=1 rc=0x97 ...")
		p.Send("PUBLISH topic=nobody payload=small qos=1 id=2")
		p.Expect("PUBACK id=2 ...")
		old.Send("PUBLISH topic=q payload=" + big + " qos=1 id=1")
		old.ExpectClosed() // an acknowledgement would be a lie
		nc := s.Dial()
		defer nc.Close()
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("a new connection is let in")
		}
		for range 20 {
			s.publish("q", mqtt.AtLeastOnce)
		}
		if q, _ := s.Broker.Broker.Client("q"); q.Waiting > 1 {
			t.Errorf("%d messages wait in a queue that may not grow", q.Waiting)
		}
	})
}

func TestMEM3TheLargestQueueGivesWay(t *testing.T) {
	squeezed(t, func(t *testing.T, s *shortage) {
		s.away("small", "small")
		s.away("q", "q")
		s.publish("small", mqtt.AtLeastOnce)
		for n := 0; s.Stats().Drops.Memory == 0 && n < 5000; n++ {
			s.publish("q", mqtt.AtLeastOnce)
		}
		time.Sleep(time.Second)
		stats := s.Stats()
		if stats.Memory.Level >= 4 || stats.Memory.Peak > smallBudget {
			t.Errorf("level %d a second later, %d bytes at most", stats.Memory.Level, stats.Memory.Peak)
		}
		if stats.Drops.Memory == 0 || stats.Accepted != stats.Done+stats.Dropped+uint64(stats.Waiting) {
			t.Errorf("%d given up; accepted %d, done %d, dropped %d, waiting %d", stats.Drops.Memory, stats.Accepted, stats.Done, stats.Dropped, stats.Waiting)
		}
		small := s.Client(mqtt.V5)
		small.Connect("cid=small clean=0 se=10")
		small.Expect("PUBLISH topic=small ...")
	})
}

func TestMemoryInSys(t *testing.T) {
	squeezed(t, func(t *testing.T, s *shortage) {
		s.away("q", "q")
		c := s.Client(mqtt.V5)
		c.Connect("cid=c")
		c.Send("SUBSCRIBE id=1 f=$SYS/dunlin/memory/level@0")
		for range 2 { // SUBACK and the retained value, in any order
			if got := c.Receive(); !strings.HasPrefix(got, "SUBACK") && !strings.Contains(got, "payload=0") {
				t.Errorf("received %s", got)
			}
		}
		s.fill("q", 1)
		c.Expect("PUBLISH topic=$SYS/dunlin/memory/level payload=1 ...")
	})
}

// The heap alone brings levels 1 and 2, however little is accounted for, and
// the level goes with it.
func TestMemoryOfTheHeap(t *testing.T) {
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	limit := int64(before.HeapAlloc) + 64<<20
	b := brokertest.New(t, func(o *broker.Options) { o.MemoryBudget, o.MemoryLimit = 1<<30, limit })
	hog := make([]byte, limit)
	level := func(want string, ok func(int) bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(b.Stats().Memory.Level); runtime.GC() {
			if time.Now().After(end) {
				t.Fatalf("level %d, want %s", b.Stats().Memory.Level, want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	level("2", func(l int) bool { return l == 2 })
	runtime.KeepAlive(hog)
	hog = nil
	level("less than 2", func(l int) bool { return l < 2 })
}
