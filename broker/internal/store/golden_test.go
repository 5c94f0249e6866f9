package store

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

var update = flag.Bool("update", false, "write the files of this format anew; only for a format that was never released")

// The files in testdata/v1 were written by the first version of the format.
// Every later version reads them.
func TestFormat1(t *testing.T) {
	const dir = "testdata/v1"
	if *update {
		writeGolden(t, dir)
	}
	d := disktest.New(1 << 30)
	names, err := filepath.Glob(filepath.Join(dir, "*[0-9a-f]*"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "picture.txt" {
			want = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
			continue
		}
		d.Put(filepath.Base(name), b)
	}
	_, state, report, err := Open(d, Options{})
	if err != nil || report.BadPages > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if got := picture(state); !slices.Equal(got, want) {
		t.Errorf("the state is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The files in testdata/v1-spill are a queue that outgrew memory: 60 entries of
// 4000 bytes, of which the first five are gone and the sixth was received.
func TestFormat1OfASpill(t *testing.T) {
	const dir = "testdata/v1-spill"
	if *update {
		synctest.Test(t, func(t *testing.T) { writeSpill(t, dir) })
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	d := disktest.New(1 << 30)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d.Put(filepath.Base(name), b)
	}
	s, _, report, err := Open(d, Options{})
	if err != nil || report.BadPages > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	var got []Entry
	for after := uint64(0); ; {
		entries, upTo, err := s.Read("\x00q", after, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		got, after = append(got, entries...), upTo
	}
	for i, e := range got {
		if n := uint64(i) + 6; e.Number != n || string(e.Message.Payload) != string(body(n, 4000)) || e.Received != (n == 6) || e.QoS != 1 {
			t.Errorf("entry %d is %d, received %v", n, e.Number, e.Received)
		}
	}
	if len(got) != 55 {
		t.Errorf("%d entries", len(got))
	}
}

func writeSpill(t *testing.T, dir string) {
	r := open(t, disktest.New(1<<30), QueueLimits{Messages: 1000, Bytes: 1 << 30}, Interval)
	for n := range uint64(60) {
		r.push(n+1, 4000)
	}
	for n := uint64(1); n <= 6; n++ {
		if r.next(); n < 6 {
			r.q.Remove(n)
			r.done(n)
			continue
		}
		r.s.Append(Record{Kind: DeliveryReceived, ClientID: r.name, Number: n})
	}
	r.stop()
	s, _, _, err := Open(r.disk, Options{})
	if err == nil {
		err = s.Repair() // a checkpoint
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range r.disk.Files() {
		if strings.HasPrefix(name, "checkpoint") || strings.HasSuffix(name, ".spill") {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func writeGolden(t *testing.T, dir string) {
	t.Helper()
	d := disktest.New(1 << 30)
	var after [][]string
	synctest.Test(t, func(t *testing.T) { _, after = drive(t, d, 7, 400) })
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range d.Files() {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Join(after[len(after)-1], "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "picture.txt"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
