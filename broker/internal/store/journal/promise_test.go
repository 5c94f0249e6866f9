package journal

import (
	"math/rand/v2"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

// What is decided stays decided: who was woken once, and asks again a little
// later, is not woken again.
func TestAPromiseIsNotTakenBack(t *testing.T) {
	j, _, err := Open(disktest.New(64<<20), Options{}, func(Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var decided, last, unsynced uint64 // unsynced: the first record since the last sync that asked for one
	for n := range 3000 {
		switch r.IntN(5) {
		case 0, 1:
			last = j.Append(put, make([]byte, 8), false)
		case 2:
			if last = j.Append(put, make([]byte, 8), true); unsynced == 0 {
				unsynced = last
			}
		case 3:
			j.Commit()
			j.cycle(false)
			decided, unsynced = last, 0 // it syncs if a record asks for it
		case 4:
			j.Notify(last, func() { decided = max(decided, last) })
		}
		if done, err := j.Status(decided); !done || err != nil {
			t.Fatalf("step %d: sequence %d was decided and is not: %v", n, decided, err)
		}
		if unsynced > 0 {
			if done, _ := j.Status(unsynced); done {
				t.Fatalf("step %d: sequence %d asks for a sync, had none and is promised", n, unsynced)
			}
		}
	}
}
