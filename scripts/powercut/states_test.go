package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/dunlin-mqtt/dunlin/scripts/powercut/oracle"
)

// recorded is a record as QEMU writes it: of each request its place, flags and
// data.
func recorded(all []write) []byte {
	le := binary.LittleEndian
	head := make([]byte, sectorSize)
	le.PutUint64(head, recordMagic)
	le.PutUint64(head[16:], uint64(len(all)))
	le.PutUint32(head[24:], sectorSize)
	out := bytes.Clone(head)
	for i := range all {
		w := &all[i]
		head := make([]byte, sectorSize)
		le.PutUint64(head, uint64(w.at/sectorSize))
		le.PutUint64(head[8:], uint64(len(w.data)/sectorSize))
		if w.flush {
			le.PutUint64(head[16:], isFlush)
		}
		out = append(append(out, head...), w.data...)
	}
	return out
}

func stamped(acked uint64) write {
	s := oracle.Stamp{Acked: [len(oracle.Publishers)]uint64{acked}}
	sector := make([]byte, oracle.StampSize)
	s.Put(sector)
	return write{at: oracle.StampAt, data: sector}
}

func filled(at int64, b byte) write {
	return write{at: at, data: bytes.Repeat([]byte{b}, 4*sectorSize)}
}

// What was flushed is there after every cut, what was not may be, and nothing
// else is; the stamps say what had been acknowledged.
func TestStates(t *testing.T) {
	name := filepath.Join(t.TempDir(), "record")
	record := recorded([]write{filled(0, 1), {flush: true}, stamped(1), filled(4096, 2), filled(0, 3), stamped(2)})
	if err := os.WriteFile(name, record, 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := readRecord(name)
	if err != nil || len(all) != 6 {
		t.Fatalf("%d requests, %v", len(all), err)
	}
	seen := map[string]int{}
	err = eachState(all, make([]byte, 8192), 300, 1, func(s *state) error {
		first, second := s.image[:4*sectorSize], s.image[4096:4096+4*sectorSize]
		if s.cut < 4 && first[0] != 1 || bytes.IndexByte(first, 0) >= 0 || bytes.ContainsAny(second, "\x01\x03") {
			t.Fatalf("%v: a disk that no cut leaves", s)
		}
		if want := uint64(1 + s.cut/5); s.last.Acked[0] != want {
			t.Fatalf("%v: %d were acknowledged, stamped %d", s, want, s.last.Acked[0])
		}
		if s.cut > 3 {
			seen[string([]byte{first[0], first[sectorSize], second[0], second[sectorSize]})]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Two writes of which each sector is there or not: all 16 mixtures of these four.
	if len(seen) != 16 {
		t.Errorf("%d different disks, there are 16", len(seen))
	}
}

// A message counts only if it is whole and of that publisher.
func TestNumbered(t *testing.T) {
	p := &oracle.Publishers[1]
	good := p.Payload(77)
	if i, n := numbered(p.Topic, good); i != 1 || n != 77 {
		t.Errorf("message 77 is %d of publisher %d", n, i)
	}
	for what, payload := range map[string]string{"of another": oracle.Publishers[0].Payload(77), "cut short": good[:100], "changed": good[:50] + "!" + good[51:], "nothing": ""} {
		if _, n := numbered(p.Topic, payload); n != 0 {
			t.Errorf("a payload that is %s is message %d", what, n)
		}
	}
}

// FuzzReadRecord: what is no record is refused, and nothing is made up.
func FuzzReadRecord(f *testing.F) {
	f.Add(recorded([]write{filled(0, 1), {flush: true}, stamped(1)}))
	f.Add(recorded(nil)[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "record")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := readRecord(name)
		if n := len(all) * sectorSize; err == nil && n > len(b) {
			t.Errorf("%d requests in %d bytes", len(all), len(b))
		}
	})
}
