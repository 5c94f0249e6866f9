package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// heapNow is what is allocated and reachable, in bytes, once that no longer
// falls: what ended just before may still be on its way out.
func heapNow() int64 {
	var m runtime.MemStats
	least := int64(1) << 62
	for same := 0; same < 4; same++ {
		runtime.GC()
		runtime.GC() // what pools hold goes with the second one
		runtime.ReadMemStats(&m)
		if now := int64(m.HeapAlloc); now < least-least/100 {
			least, same = now, 0
		}
		time.Sleep(20 * time.Millisecond)
	}
	return least
}

// MEM-2: what the account says is about what the heap has: within 15 % when it
// was written, and the test allows for allocators that change.
func TestMEM2TheAccountIsTheHeap(t *testing.T) {
	if testing.Short() {
		t.Skip("collects a large heap often")
	}
	for _, tc := range []struct {
		name string
		fill func(t *testing.T, b *brokertest.Broker)
		most float64 // of account to heap
	}{
		{"retained messages", func(t *testing.T, b *brokertest.Broker) {
			heldRetained(t, b, 20000, func(i int) string { return fmt.Sprintf("site/%d/device/%d/value", i%50, i) }, 60)
		}, 1.3},
		{"retained messages with large values", func(t *testing.T, b *brokertest.Broker) {
			heldRetained(t, b, 3000, func(i int) string { return fmt.Sprintf("site/%d", i) }, 1000)
		}, 1.3},
		{"deep retained topics", func(t *testing.T, b *brokertest.Broker) {
			heldRetained(t, b, 3000, func(i int) string { return fmt.Sprintf("%d%s", i, strings.Repeat("/l", 14)) }, 10)
		}, 1.3},
		{"small messages in queues", func(t *testing.T, b *brokertest.Broker) { heldQueues(t, b, 40, 1, 250, 50) }, 1.3},
		{"large messages in queues", func(t *testing.T, b *brokertest.Broker) { heldQueues(t, b, 60, 1, 50, 1000) }, 1.3},
		{"messages that twenty queues share", func(t *testing.T, b *brokertest.Broker) { heldQueues(t, b, 5, 20, 50, 1000) }, 1.3},
		{"what thirty queues keep of much more", func(t *testing.T, b *brokertest.Broker) { heldQueues(t, b, 30, 1, 1000, 300) }, 2},
		{"messages that a queue and a session share", heldTwice, 1.3},
		{"sessions", func(t *testing.T, b *brokertest.Broker) {
			for i := range 2000 {
				heldClient(t, b, fmt.Sprintf("client-%d", i))
			}
		}, 1.3},
		{"subscriptions", func(t *testing.T, b *brokertest.Broker) {
			for i := range 20 {
				c := heldClient(t, b, fmt.Sprintf("client-%d", i))
				for j := range 400 {
					heldSubscription(t, c, fmt.Sprintf("site/%d/device/%d/+", i, j))
				}
			}
		}, 1.5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// The heap is the whole process's: what another test left may go in
			// between, so a figure that is wrong is measured again.
			ratio := 0.0
			for try := 0; try < 5 && (try == 0 || ratio < 0.75 || ratio > tc.most); try++ {
				t.Run(fmt.Sprint("try ", try), func(t *testing.T) { ratio = accountToHeap(t, tc.fill) })
			}
			if ratio < 0.75 || ratio > tc.most {
				t.Errorf("the account is %.2f of the heap", ratio)
			}
		})
	}
}

// accountToHeap fills a broker, and returns what the account says of what the
// heap has more.
func accountToHeap(t *testing.T, fill func(*testing.T, *brokertest.Broker)) float64 {
	b := brokertest.New(t, func(o *broker.Options) {
		o.Limits.QueueMessages, o.Limits.QueueSize, o.Limits.RetainedSize = 1e6, 1<<30, 1<<30
		o.Data = &broker.Data{Dir: t.TempDir()}
	})
	before, was := heapNow(), b.Stats().Memory.Used
	fill(t, b)
	time.Sleep(1200 * time.Millisecond) // what waits for the disk is no part of it
	held, said := heapNow()-before, b.Stats().Memory.Used-was
	t.Logf("the account says %d, the heap has %d", said, held)
	runtime.KeepAlive(b)
	return float64(said) / float64(held)
}

func heldClient(t *testing.T, b *brokertest.Broker, id string) *broker.Client {
	t.Helper()
	c, err := b.Attach(broker.ClientOptions{ID: id, SessionExpiry: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func heldSubscription(t *testing.T, c *broker.Client, filter string) {
	t.Helper()
	if err := c.Subscribe(context.Background(), mqtt.Subscription{Filter: filter, QoS: mqtt.AtLeastOnce}); err != nil {
		t.Fatal(err)
	}
}

func heldRetained(t *testing.T, b *brokertest.Broker, n int, topic func(i int) string, size int) {
	t.Helper()
	c := heldClient(t, b, "publisher")
	for i := range n {
		m := mqtt.Message{Topic: topic(i), Payload: make([]byte, size), Retain: true}
		if err := c.Publish(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// heldQueues lets groups of n sessions that are away hold the same messages.
func heldQueues(t *testing.T, b *brokertest.Broker, groups, n, messages, size int) {
	t.Helper()
	p := heldClient(t, b, "publisher")
	for g := range groups {
		topic := fmt.Sprintf("t%d", g)
		for i := range n {
			c := heldClient(t, b, fmt.Sprintf("client-%d-%d", g, i))
			heldSubscription(t, c, topic)
			c.Abort()
		}
		for range messages {
			if err := p.Publish(context.Background(), mqtt.Message{Topic: topic, Payload: make([]byte, size), QoS: mqtt.AtLeastOnce}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// heldTwice lets queues hold what sessions do.
func heldTwice(t *testing.T, b *brokertest.Broker) {
	t.Helper()
	for i := range 40 {
		if _, err := b.AttachQueue(broker.QueueOptions{Name: fmt.Sprint("queue", i), Filters: []mqtt.Subscription{{Filter: fmt.Sprint("t", i), QoS: mqtt.AtLeastOnce}}}); err != nil {
			t.Fatal(err)
		}
	}
	heldQueues(t, b, 40, 1, 50, 1000)
}

// MEM-7: a disk that takes half a second for each sync does not make what waits
// for it grow: publishers wait.
func TestMEM7ASlowDiskMakesPublishersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, each = 2000, 1500
		b := newFaultyDisk(t, store.Options{Default: store.Always}, func(op, _ string) error {
			if op == "datasync" {
				time.Sleep(500 * time.Millisecond)
			}
			return nil
		})
		start := time.Now()
		var all sync.WaitGroup
		for n := range 4 {
			p := b.Client(mqtt.V311)
			p.Connect(fmt.Sprintf("cid=p%d", n))
			v, err := brokertest.Parse("PUBLISH topic=t qos=1 id=1 payload=" + strings.Repeat("x", size))
			if err != nil {
				t.Fatal(err)
			}
			one := packet.Append(nil, mqtt.V311, v)
			all.Go(func() {
				for range each {
					p.SendBytes(one)
				}
			})
			all.Go(func() {
				for range each {
					p.Expect("PUBACK id=1")
				}
			})
		}
		var most atomic.Int64
		all.Go(func() {
			for range 100 {
				time.Sleep(40 * time.Millisecond)
				most.Store(max(most.Load(), int64(b.store.Stats().Unsynced*size)))
			}
		})
		all.Wait()
		took := time.Since(start)
		t.Logf("%d bytes in %s, at most %d waited for the disk", 4*each*size, took, most.Load())
		if most.Load() < 1<<20 || most.Load() > 3<<20 {
			t.Errorf("%d bytes waited for the disk, want 1 MiB in each of two groups", most.Load())
		}
		if took < 4*time.Second {
			t.Errorf("%d bytes took %s: nobody waited", 4*each*size, took)
		}
		b.end()
	})
}
