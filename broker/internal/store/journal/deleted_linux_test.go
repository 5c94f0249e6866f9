package journal

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// A directory that somebody deletes takes no promise with it: what comes while it
// is not there is refused, and when it is there again all that is in memory goes
// into it.
func TestDirectoryIsDeleted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	open := func(l *registry) (*Journal, *disk.Dir) {
		d, err := disk.OpenDir(path)
		if err == nil {
			err = d.Lock()
		}
		if err != nil {
			t.Fatal(err)
		}
		j, _, err := Open(d, Options{SegmentSize: 16 * pageSize, Snapshot: l.snapshot}, l.apply)
		if err != nil {
			t.Fatal(err)
		}
		return j, d
	}
	synctest.Test(t, func(t *testing.T) {
		l := &registry{map[uint64][]byte{}}
		j, d := open(l)
		stop := run(t, j)
		keep := func(n uint64) error {
			l.entries[n] = value(n)
			sequence := j.Append(put, append(binary.LittleEndian.AppendUint64(nil, n), value(n)...), true)
			j.Commit()
			time.Sleep(time.Second)
			synctest.Wait()
			done, err := j.Status(sequence)
			if !done && err == nil {
				t.Errorf("value %d is not decided", n)
			}
			return err
		}
		for n := range uint64(10) {
			if err := keep(n); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := keep(10); err == nil || j.Stats().Mode != Degraded {
			t.Errorf("kept in a directory that is not there: %v, %v", err, j.Stats().Mode)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait() // nobody reads the registry any more
		if err := keep(11); err != nil || j.Stats().Mode != OK {
			t.Errorf("%v, %+v", err, j.Stats())
		}
		stop()
		d.Unlock()
	})
	again := &registry{map[uint64][]byte{}}
	_, d := open(again)
	d.Unlock()
	if len(again.entries) != 12 {
		t.Errorf("%d of 12 values are there", len(again.entries))
	}
}
