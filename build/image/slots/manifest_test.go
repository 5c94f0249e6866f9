package slots_test

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	. "github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/slots/slotstest"
)

func TestManifest(t *testing.T) {
	m := slotstest.Describe(t, slotstest.Contents(1, oldSize), "1.0.0", 1)
	text := m.Text()
	r := bufio.NewReader(bytes.NewReader(append(bytes.Clone(text), "what follows"...)))
	got, read, err := ReadManifest(r)
	if err != nil || !bytes.Equal(read, text) || !bytes.Equal(got.Text(), text) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if rest, _ := r.ReadString(0); rest != "what follows" {
		t.Errorf("left in the file: %q", rest)
	}
	if !strings.HasPrefix(string(text), "dunlin-update 1\nboard rpi\nversion 1.0.0\ndate 2026-11-01T00:00:00Z\nsize 3584\nsha256 ") {
		t.Errorf("the text is %q", text)
	}
}

func TestManifestsThatAreNone(t *testing.T) {
	good := string(slotstest.Describe(t, slotstest.Contents(1, oldSize), "1.0.0", 1).Text())
	edit := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for name, tc := range map[string]struct{ text, want string }{
		"empty":              {"", "ends within its description"},
		"foreign":            {"PK\x03\x04", "not an update file"},
		"foreign words":      {"Hello there\n", "not an update file"},
		"a newer form":       {edit("update 1", "update 2"), `the file is "dunlin-update 2", this version reads`},
		"cut short":          {good[:100], "ends within its description"},
		"two words":          {edit("1.0.0", "1.0.0 x"), "not one word"},
		"a bad date":         {edit("2026-11-01", "2026-13-01"), "bad date"},
		"a bad size":         {edit("3584", "-3584"), "not whole sectors"},
		"a huge size":        {edit("3584", "9223372036854775296"), "more than the"},
		"too few sums":       {edit("3584", "1052160"), "do not cover"},
		"an unknown line":    {edit("size", "weight"), "does not know"},
		"a short sum":        {edit("sha256 ", "sha256 zz"), "bad sum"},
		"a line twice":       {edit("board rpi", "board x\nboard rpi"), "not as dunlin writes it"},
		"longer than a seal": {"dunlin-update 1\n" + strings.Repeat("board rpi\n", MaxManifest), "not an update file"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := ReadManifest(bufio.NewReader(strings.NewReader(tc.text))); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(slotstest.Describe(f, slotstest.Contents(1, oldSize), "1.0.0", 1).Text())
	f.Add([]byte("dunlin-update 1\nend\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, text, err := ReadManifest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, text) || !bytes.Equal(m.Text(), text) || len(text) > MaxManifest || m.Size > MaxContents {
			t.Errorf("%d bytes for %+v", len(text), m)
		}
	})
}

// FuzzSelector has anything as the drive with autoboot.txt: what is found lies
// on that drive, and a new choice changes one sector of it.
func FuzzSelector(f *testing.F) {
	f.Add(slotstest.SelectorDrive(Choice{Default: 2, Trial: 3}.Text()))
	f.Add(make([]byte, Sector))
	card := slotstest.New(f, slotstest.Contents(1, oldSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := card.With(Selector.Offset(), b[:min(len(b), int(Selector.Bytes()))])
		c := slotstest.Open(t, d)
		if _, err := c.Choice(); err != nil {
			return
		}
		d.Log = nil
		if err := c.Choose(3); err != nil {
			return
		}
		if at := d.Log[1].At; len(d.Log) != 3 || len(d.Log[1].B) != Sector || at < Selector.Offset() || at >= SlotA.Offset() {
			t.Errorf("%d operations, at %d", len(d.Log), at)
		}
		if choice, err := c.Choice(); err != nil || choice.Default != 3 {
			t.Errorf("chosen: %+v, %v", choice, err)
		}
	})
}
