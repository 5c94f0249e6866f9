package broker_test

import (
	"context"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// resident is the memory of this process in bytes: of its heap, or, in a long
// run without the race detector, what the system says.
func resident(t *testing.T) int64 {
	debug.FreeOSMemory()
	if os.Getenv("BACKLOG") == "" {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse)
	}
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}

// onDiskNow is the bytes of all files of a directory, and how many of them hold
// what was spilled.
func onDiskNow(t *testing.T, dir string) (size int64, spills int) {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		if strings.HasSuffix(path, ".spill") {
			spills++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return size, spills
}

// A long outage is disk, not memory: the queue grows far beyond its head, is
// there after a restart at once, drains in order, and the disk is given back.
// BACKLOG is how many messages of 200 bytes wait.
func TestBacklog(t *testing.T) {
	n := 20_000
	if s := os.Getenv("BACKLOG"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	dir := t.TempDir()
	o := broker.QueueOptions{Name: "cloud", Filters: []mqtt.Subscription{{Filter: "#", QoS: 1}}, MaxBytes: 4 << 30}
	b := brokertest.New(t, onDisk(dir))
	q, err := b.AttachQueue(o)
	if err != nil {
		t.Fatal(err)
	}
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	idle := resident(t)
	most := idle
	start := time.Now()
	for i := range n {
		publish(t, p, mqtt.Message{Topic: "sensors/a/temperature", QoS: 1, Payload: numbered(uint64(i))})
		if i%(n/20) == 0 {
			most = max(most, resident(t))
		}
	}
	filled := time.Since(start)
	size, spills := onDiskNow(t, dir)
	if s := q.Stats(); s.Messages != n || s.Dropped > 0 || spills == 0 {
		t.Fatalf("%+v, %d spill files", s, spills)
	}
	b.Stop()

	start = time.Now()
	b = brokertest.New(t, onDisk(dir))
	if q, err = b.AttachQueue(o); err != nil {
		t.Fatal(err)
	}
	e, err := q.Next(t.Context())
	first := time.Since(start)
	start = time.Now()
	for i := 0; ; i++ {
		if err != nil || binary.BigEndian.Uint64(e.Message.Payload) != uint64(i) {
			t.Fatalf("entry %d is %d: %v", i, binary.BigEndian.Uint64(e.Message.Payload), err)
		}
		if err := q.Remove(t.Context(), e.Seq); err != nil {
			t.Fatal(err)
		}
		if i == n-1 {
			break
		}
		if i%(n/20) == 0 {
			most = max(most, resident(t))
		}
		e, err = q.Next(t.Context())
	}
	drained := time.Since(start)
	if s := q.Stats(); s.Messages != 0 || s.Removed != uint64(n) || s.Dropped != 0 || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		after, spills := onDiskNow(t, dir)
		if spills == 0 && after < 12<<20 {
			t.Logf("%d messages: %d MB on disk, %d MB afterwards; filled in %v, first after %v, drained in %v; %d kB more memory than idle",
				n, size>>20, after>>20, filled, first, drained, (most-idle)>>10)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes and %d spill files are left", after, spills)
		}
	}
	if most-idle > 10<<20 {
		t.Errorf("%d kB more memory than idle", (most-idle)>>10)
	}
	if first > 2*time.Second && n > 1_000_000 {
		t.Errorf("the first message came after %v", first)
	}
}

func numbered(i uint64) []byte {
	b := make([]byte, 200)
	binary.BigEndian.PutUint64(b, i)
	return b
}

// When a queue is full its policy decides what gives way, in memory and on
// disk, and all of it is counted.
func TestOverflow(t *testing.T) {
	for _, tc := range []struct {
		name     string
		overflow broker.Overflow
		first    bool // the first message is still there
		last     bool // the last is
	}{
		{"drop-oldest", broker.DropOldest, false, true},
		{"drop-newest", broker.DropNewest, true, false},
		{"last-value", broker.LastValue, true, true}, // the newest of the topic gives way to the next
		{"downsample", broker.Downsample, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const n = 4000
			dir := t.TempDir()
			b := brokertest.New(t, onDisk(dir))
			o := broker.QueueOptions{Name: "q", Filters: []mqtt.Subscription{{Filter: "#", QoS: 1}}, MaxBytes: 400 << 10, Overflow: tc.overflow}
			q, err := b.AttachQueue(o)
			if err != nil {
				t.Fatal(err)
			}
			p := attach(t, b, broker.ClientOptions{ID: "p"})
			for i := range n {
				publish(t, p, mqtt.Message{Topic: "t", QoS: 1, Payload: numbered(uint64(i))})
			}
			for range 2 { // also after a restart
				s := q.Stats()
				if s.Messages == 0 || s.Bytes > o.MaxBytes || s.Accepted != s.Removed+s.Dropped+uint64(s.Messages) {
					t.Fatalf("%+v", s)
				}
				var got []uint64
				for range s.Messages {
					e := take(t, q)
					got = append(got, binary.BigEndian.Uint64(e.Message.Payload))
				}
				for i := range got {
					if i > 0 && got[i] <= got[i-1] {
						t.Fatalf("out of order: %d behind %d", got[i], got[i-1])
					}
				}
				if (got[0] == 0) != tc.first || (got[len(got)-1] == n-1) != tc.last {
					t.Errorf("%d messages from %d to %d", len(got), got[0], got[len(got)-1])
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				if e, err := q.Next(ctx); err == nil {
					t.Errorf("another one: %d", e.Seq)
				}
				cancel()
				b.Stop()
				b = brokertest.New(t, onDisk(dir))
				if q, err = b.AttachQueue(o); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A queue that rejects is not full in silence: who publishes hears of it, and
// nothing is dropped.
func TestOverflowRejects(t *testing.T) {
	b := brokertest.New(t, onDisk(t.TempDir()))
	q, err := b.AttachQueue(broker.QueueOptions{Name: "q", Filters: []mqtt.Subscription{{Filter: "orders/#", QoS: 1}}, MaxMessages: 3, Overflow: broker.Reject})
	if err != nil {
		t.Fatal(err)
	}
	c := b.Client(mqtt.V5)
	c.Connect("cid=c")
	old := b.Client(mqtt.V311)
	old.Connect("cid=old")
	for range 3 {
		c.Send("PUBLISH topic=orders/1 payload=x qos=1 id=1")
		c.Expect("PUBACK id=1")
	}
	c.Send("PUBLISH topic=orders/1 payload=x qos=1 id=2")
	c.Expect("PUBACK id=2 rc=0x97 reason=yes")
	c.Send("PUBLISH topic=other payload=x qos=1 id=3")
	c.Expect("PUBACK id=3 rc=0x10")
	old.Send("PUBLISH topic=orders/1 payload=x qos=1 id=1") // 3.1.1 cannot say so: it must not think that it is kept
	old.ExpectClosed()
	if err := q.Remove(t.Context(), take(t, q).Seq); err != nil {
		t.Fatal(err)
	}
	c.Send("PUBLISH topic=orders/1 payload=x qos=1 id=4")
	c.Expect("PUBACK id=4")
	if s := q.Stats(); s.Dropped != 0 || s.Messages != 3 {
		t.Errorf("%+v", s)
	}
}
