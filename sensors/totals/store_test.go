package totals

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// running starts the store's Run and returns how to end it.
func running(t *testing.T, s *Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func onDisk(t *testing.T, dir string) map[string]float64 {
	t.Helper()
	totals, err := read(filepath.Join(dir, "totals"))
	if err != nil {
		t.Fatal(err)
	}
	return totals
}

func TestTotalsOutliveTheProgram(t *testing.T) {
	dir := t.TempDir()
	s := Open(Options{Dir: dir})
	if v, ok := s.Load("water/total"); ok {
		t.Errorf("a total of %v out of nothing", v)
	}
	stop := running(t, s)
	want := map[string]float64{"water/total": 1234.567, "a \"name\"\n/é": -0.1, "big": 1e300}
	for k, v := range want {
		s.Save(k, v)
	}
	stop()
	again := Open(Options{Dir: dir})
	for k, v := range want {
		if got, ok := again.Load(k); !ok || got != v {
			t.Errorf("%q: %v, want %v", k, got, v)
		}
	}
}

func TestWritesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := Open(Options{Dir: dir, PerDay: 288}) // one in five minutes, twelve saved up
		stop := running(t, s)
		writes, before := 0, -1.0
		for i := range 8 * 60 { // a pulse a minute for eight hours
			s.Save("water/total", float64(i))
			time.Sleep(time.Minute)
			synctest.Wait()
			if v := onDisk(t, dir)["water/total"]; v != before {
				writes, before = writes+1, v
			}
			if i == 5 && onDisk(t, dir)["water/total"] != 5 {
				t.Error("what was saved up is not used for a burst")
			}
		}
		if writes < 96 || writes > 96+12+1 {
			t.Errorf("%d writes in eight hours, want 96 and 12 that were saved up", writes)
		}
		s.Save("water/total", 1e6)
		stop()
		if got := onDisk(t, dir)["water/total"]; got != 1e6 {
			t.Errorf("after a clean end %v is on disk", got)
		}
	})
}

func TestADiskThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		var log bytes.Buffer
		s := Open(Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		stop := running(t, s)
		s.Save("x", 1)
		synctest.Wait()
		if !bytes.Contains(log.Bytes(), []byte("not saved")) {
			t.Errorf("log: %s", log.Bytes())
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * retry)
		synctest.Wait()
		if got := onDisk(t, dir); got["x"] != 1 {
			t.Errorf("the disk is well again and holds %v", got)
		}
		stop()
	})
}

func TestADamagedFile(t *testing.T) {
	good := string(encode(map[string]float64{"water/total": 1}))
	for _, damaged := range []string{"", "dunlin totals 1\n", good[:len(good)-1], good[1:], good + "x", "dunlin totals 2" + good[15:], string(bytes.Replace([]byte(good), []byte(" 1\nc"), []byte(" 7\nc"), 1))} {
		dir := t.TempDir()
		file := filepath.Join(dir, "totals")
		if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s := Open(Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if v, ok := s.Load("water/total"); ok {
			t.Errorf("%q gives %v", damaged, v)
		}
		if kept, err := os.ReadFile(file + ".bad"); err != nil || string(kept) != damaged || log.Len() == 0 {
			t.Errorf("%q is kept as %q, %v; log %s", damaged, kept, err, log.Bytes())
		}
	}
}

// The file of version 1 as FORMAT.md shows it.
func TestGolden(t *testing.T) {
	want := map[string]float64{"water/total": 1234.567, "power/energy/integrate": 88.25}
	file, err := os.ReadFile("testdata/v1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(string(file))
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if again := encode(want); !bytes.Equal(again, file) {
		t.Errorf("written as\n%s", again)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(string(encode(map[string]float64{"a": 1, "b/c": -2.5})))
	f.Add("dunlin totals 1\n\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		totals, err := decode(text)
		if err != nil {
			return
		}
		again, err := decode(string(encode(totals)))
		if err != nil || len(again) != len(totals) {
			t.Errorf("%q reads as %v, and that as %v, %v", text, totals, again, err)
		}
	})
}
