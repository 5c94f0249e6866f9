package broker_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A file of a backlog that cannot be opened is passed over: what was in it is
// counted as lost, the rest comes in order.
func TestFileOfABacklogThatCannotBeOpened(t *testing.T) {
	const n = 20_000
	dir := t.TempDir()
	b := brokertest.New(t, onDisk(dir))
	q, err := b.AttachQueue(broker.QueueOptions{Name: "q", Filters: []mqtt.Subscription{{Filter: "#", QoS: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	for i := range n {
		publish(t, p, mqtt.Message{Topic: "t", QoS: 1, Payload: numbered(uint64(i))})
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.spill"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%q, %v", files, err)
	}
	slices.Sort(files)
	bad := files[1]
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(bad, 0o700); err != nil {
		t.Fatal(err)
	}
	last, got := -1, 0
	for last < n-1 {
		e := take(t, q)
		i := int(binary.BigEndian.Uint64(e.Message.Payload))
		if i <= last {
			t.Fatalf("%d behind %d", i, last)
		}
		if last, got = i, got+1; q.Remove(t.Context(), e.Seq) != nil {
			t.Fatal("not removed")
		}
	}
	s := q.Stats()
	if lost := s.Drops[mqtt.DropLost]; got == n || got < n/2 || lost != uint64(n-got) || s.Messages != 0 || s.Accepted != s.Removed+s.Dropped {
		t.Errorf("%d of %d messages came: %+v", got, n, s)
	}
}
