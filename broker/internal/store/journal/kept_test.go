package journal

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

// The segments that only the older checkpoint needs are there while there is
// space, and are overwritten when there is none: they never make a disk full.
func TestKeptSegmentsGiveWay(t *testing.T) {
	for _, tc := range []struct {
		name     string
		full     bool
		segments int // that there are in the end
	}{{"with space", false, 9}, {"on a full disk", true, 5}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := disktest.New(1 << 30)
				l := &registry{map[uint64][]byte{}}
				j, _, err := Open(d, Options{SegmentSize: 4 * pageSize, MinFree: 1 << 20, Snapshot: l.snapshot}, l.apply)
				if err != nil {
					t.Fatal(err)
				}
				stop := run(t, j)
				for n := range uint64(300) {
					if n == 20 && tc.full { // five segments are filled
						d.SetFree(1<<20 + 3*pageSize)
					}
					l.entries[n%5] = value(5)
					j.Append(put, append(binary.LittleEndian.AppendUint64(nil, n%5), value(5)...), true)
					j.Commit()
					time.Sleep(time.Second)
					synctest.Wait() // nobody reads the registry any more
				}
				if s := j.Stats(); s.Mode != OK || s.Failures > 0 {
					t.Errorf("%+v", s)
				}
				segments := 0
				for name := range d.Files() {
					if strings.HasSuffix(name, segmentSuffix) {
						segments++
					}
				}
				if segments != tc.segments {
					t.Errorf("%d segments", segments)
				}
				stop()
			})
		})
	}
}
