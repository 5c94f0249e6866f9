package store

import (
	"maps"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

// A journal with a record that only a later version knows is refused, also when
// so much was read before it that queues went to disk, and nothing is touched.
func TestRecordOfANewerVersion(t *testing.T) {
	for what, record := range map[string]struct {
		kind Kind
		body []byte
	}{
		"another kind":  {HandedOut + 1, []byte("anything")},
		"another field": {HandedOut, append(appendRecord(nil, &Record{Kind: HandedOut, ClientID: "\x00q", Number: 1}), 7)},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := open(t, disktest.New(1<<30), QueueLimits{Messages: 1 << 20, Bytes: 1 << 30}, Interval)
				for n := range uint64(300) {
					r.push(n, 1000)
				}
				r.s.j.Append(byte(record.kind), record.body, true)
				r.commit()
				r.stop()
				d := disktest.New(1 << 30)
				for name, b := range r.disk.Files() {
					if !strings.HasSuffix(name, ".spill") && !strings.HasPrefix(name, "checkpoint") { // as after a kill
						d.Put(name, b)
					}
				}
				before := d.Files()
				_, _, _, err := Open(d, Options{SegmentSize: 32 << 10, Spills: true})
				if err == nil || !strings.Contains(err.Error(), "written by a newer version of dunlin") {
					t.Errorf("%v", err)
				}
				if after := d.Files(); !maps.EqualFunc(before, after, func(a, b []byte) bool { return string(a) == string(b) }) {
					t.Errorf("%d files are now %d, or others", len(before), len(after))
				}
			})
		})
	}
}
