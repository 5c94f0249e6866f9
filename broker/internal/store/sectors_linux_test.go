package store

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// What a day costs a block device under ext4, in sectors that were written to
// it: pages, and what the file system adds. SECTORS=1 measures a good hour of
// simulated time, in which the file system commits its own journal every five
// seconds as it does, or every minute as on our image; SECTORS=2m measures so long
// in real time, on the store that the hour has made. It needs root and a loop
// device.
func TestSectorsWrittenADay(t *testing.T) {
	asked := os.Getenv("SECTORS")
	if asked == "" {
		t.Skip("SECTORS=1 measures sectors of a loop device")
	}
	lasting, err := time.ParseDuration(asked)
	if err != nil && asked != "1" {
		t.Fatal(err)
	}
	seldom := dailyLoads[0]
	seldom.name, seldom.commit = seldom.name+", ext4 commits each minute", time.Minute
	for _, tc := range append(slices.Clone(dailyLoads), seldom) {
		t.Run(tc.name, func(t *testing.T) {
			if lasting > 0 {
				t.Parallel() // it waits
			}
			tc.commit = max(tc.commit, 5*time.Second)
			b := loopDevice(t, tc.commit)
			synctest.Test(t, func(t *testing.T) {
				b.measure(t, &tc, 45*time.Minute, 22*time.Minute, true)
			})
			if lasting > 0 {
				b.measure(t, &tc, time.Second, lasting, false)
			}
		})
	}
}

// block is a file system on a block device of its own.
type block struct{ device, folder string }

// loopDevice makes one, or skips the test.
func loopDevice(t *testing.T, commit time.Duration) *block {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		image = fmt.Sprintf("/dev/shm/dunlin-sectors-%d-%d", os.Getpid(), time.Now().UnixNano())
	}
	run := func(name string, arg ...string) string {
		out, err := exec.Command(name, arg...).CombinedOutput()
		if err != nil {
			message := fmt.Sprintf("SKIPPED, no sectors are measured: %s %v: %v: %s", name, arg, err, out)
			fmt.Fprintln(os.Stderr, message)
			t.Skip(message)
		}
		return strings.TrimSpace(string(out))
	}
	undo := func(name string, arg ...string) {
		t.Cleanup(func() {
			if out, err := exec.Command(name, arg...).CombinedOutput(); err != nil {
				t.Errorf("%s %v: %v: %s", name, arg, err, out)
			}
		})
	}
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(image) })
	if err := f.Truncate(96 << 20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b := &block{device: run("losetup", "--find", "--show", image), folder: t.TempDir()}
	undo("losetup", "--detach", b.device)
	run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", b.device)
	run("mount", "-o", fmt.Sprintf("noatime,commit=%.0f", commit.Seconds()), b.device, b.folder)
	undo("umount", b.folder)
	return b
}

// sync has the file system write what it still has, as it does by itself.
func (b *block) sync(t *testing.T) {
	t.Helper()
	f, err := os.Open(b.folder)
	if err == nil {
		err = unix.Syncfs(int(f.Fd()))
		f.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

// bytes is how many were written to the device so far.
func (b *block) bytes(t *testing.T) uint64 {
	t.Helper()
	b.sync(t)
	text, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(b.device), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	var v [7]uint64 // the last is sectors written
	for i := range v {
		if _, err := fmt.Sscan(strings.Fields(string(text))[i], &v[i]); err != nil {
			t.Fatal(err)
		}
	}
	return v[6] * 512
}

// ext4 is what the file system adds in GB a day: with each commit its journal has
// when the files were changed, and how a spill file has grown.
func ext4(commit time.Duration) float64 {
	if commit > 5*time.Second {
		return 0.05
	}
	return 0.15
}

// measure runs a load for some time, and holds what it writes after that to
// the limit: in pages, which the sectors must bear out.
func (b *block) measure(t *testing.T, tc *dailyLoad, first, lasting time.Duration, simulated bool) {
	dir, err := disk.OpenDir(filepath.Join(b.folder, "store"))
	if err != nil {
		t.Fatal(err)
	}
	s, stop := running(t, dir, Options{Default: tc.class})
	load := func(until time.Time) {
		for simulated && time.Now().Before(until) {
			tc.load(s, time.Now().Add(tc.commit))
			b.sync(t)
		}
		tc.load(s, until)
	}
	load(time.Now().Add(first))
	sectors, pages := b.bytes(t), s.written()
	load(time.Now().Add(lasting))
	sectors, pages = b.bytes(t)-sectors, s.written()-pages
	gb := func(n uint64) float64 { return float64(n) * float64(24*time.Hour) / float64(lasting) / 1e9 }
	t.Logf("%v, simulated %v: %.3f GB a day in sectors, %.3f GB in pages", lasting, simulated, gb(sectors), gb(pages))
	if gb(pages) > tc.limit || gb(sectors) > gb(pages)+ext4(tc.commit) || sectors < pages*9/10 {
		t.Errorf("%.2f GB a day in pages, %.2f in sectors, the limit is %.1f", gb(pages), gb(sectors), tc.limit)
	}
	stop()
	if err := s.spill.Sync(); err != nil { // no file stays open
		t.Error(err)
	}
}
