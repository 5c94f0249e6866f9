package cloudtest

import (
	"bytes"
	"os"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func journalOf(t testing.TB) []byte {
	t.Helper()
	path := t.TempDir() + "/journal"
	j, err := openJournal(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	j.session("gw")
	for i := range 3 {
		j.message(&Message{Message: mqtt.Message{Topic: "a/b", Payload: []byte{byte('0' + i)}, QoS: 2}, Client: "gw", ID: uint16(i + 1)})
	}
	j.released("gw", 1)
	j.close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A journal that was cut anywhere gives back what was whole, and goes on.
func TestJournalCutAnywhere(t *testing.T) {
	whole := journalOf(t)
	path := t.TempDir() + "/journal"
	most := 0
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := New(Options{Journal: path})
		if err != nil {
			t.Fatal(err)
		}
		before := len(c.Messages())
		if before < most || before > 3 {
			t.Fatalf("cut at %d: %d messages after %d", cut, before, most)
		}
		most = before
		c.journal.session("gw") // behind what was whole
		c.Close()
		if c, err = New(Options{Journal: path}); err != nil || len(c.Messages()) != before {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		c.Close()
	}
	if most != 3 {
		t.Errorf("%d messages in a whole journal", most)
	}
}

// Whatever the file holds, records hands out pieces of it, in order.
func FuzzJournal(f *testing.F) {
	f.Add(journalOf(f))
	f.Add([]byte{0, 0, 0, 3, 'm', 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		whole := records(b, func(_ byte, client string, body []byte) {
			total += 4 + 3 + len(client) + len(body)
			journaled(client, body)
		})
		if whole != total || whole > len(b) || !bytes.HasPrefix(b, b[:whole]) {
			t.Fatalf("%d bytes of %d, %d handed out", whole, len(b), total)
		}
	})
}
