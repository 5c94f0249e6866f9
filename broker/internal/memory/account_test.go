package memory

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestLevels(t *testing.T) {
	a := New(1000)
	for _, step := range []struct {
		total int64
		want  int
	}{
		{699, 0}, {700, 1}, {699, 1}, {600, 1}, {599, 0},
		{799, 1}, {800, 2}, {700, 2}, {699, 1},
		{900, 3}, {800, 3}, {799, 2},
		{969, 3}, {970, 4}, {900, 4}, {899, 3},
		{5000, 4}, {0, 0}, {1000, 4}, {650, 1}, {0, 0},
	} {
		a.Add(Messages, int(step.total-a.Total()))
		if got := a.Level(); got != step.want {
			t.Fatalf("level %d at %d of 1000, want %d", got, step.total, step.want)
		}
	}
	if len(a.Changed()) != 1 {
		t.Error("nobody is told that the level has changed")
	}
}

func TestTheHeapAloneClosesNoDoor(t *testing.T) {
	a := New(1000)
	for _, step := range []struct {
		live int64
		want int
	}{{69, 0}, {70, 1}, {99, 2}, {60, 1}, {59, 0}, {100, 2}, {0, 0}} {
		if a.Heap(step.live, 100); a.Level() != step.want {
			t.Fatalf("level %d with a heap of %d %%, want %d", a.Level(), step.live, step.want)
		}
	}
	a.Add(Messages, 910)
	a.Heap(75, 100)
	if a.Level() != 3 {
		t.Errorf("level %d, the higher of both is 3", a.Level())
	}
	a.Add(Messages, -910)
	if a.Level() != 1 {
		t.Errorf("level %d, the heap still asks for 1", a.Level())
	}
}

func TestMuchThatWasLetGoIsTold(t *testing.T) {
	a := New(16000)
	for _, step := range []struct {
		total int64
		want  bool
	}{{900, false}, {100, false}, {3000, false}, {1600, false}, {1400, true}, {1300, false}, {4000, false}, {1900, true}, {0, true}} {
		a.Add(Messages, int(step.total-a.Total()))
		if got := a.Fell(); got != step.want {
			t.Errorf("at %d bytes: %v", step.total, got)
		}
	}
}

func TestShares(t *testing.T) {
	a := New(16000)
	if !a.Take(Input, 1000) || a.Take(Input, 1) || a.Refused(Input) != 1 {
		t.Error("input may have a sixteenth and no more")
	}
	a.Add(Messages, 15000)
	if a.Take(Connections, 1) || a.Take(Sessions, 1) || a.Take(Retained, 1) {
		t.Error("at level 4 nothing new is held")
	}
	if a.Held(Sessions) != 0 || a.Total() != 16000 {
		t.Errorf("what was refused is counted: %d of sessions, %d in all", a.Held(Sessions), a.Total())
	}
}

func TestWithoutBudget(t *testing.T) {
	a := New(0)
	if !a.Take(Connections, 1<<30) || a.Level() != 0 || a.Total() != 1<<30 {
		t.Error("without a budget everything is counted and nothing refused")
	}
	var none *Account
	none.Add(Input, 1)
	none.Heap(1, 1)
	if !none.Take(Input, 1) || none.Level() != 0 {
		t.Error("no account refuses nothing")
	}
}

// holding is what one holder has, and so the dumbest account there is.
type holding struct {
	cause Cause
	bytes int
}

// MEM-6: random operations of several goroutines against a list of what is
// held: never negative, never beyond a share, and the sums agree at the end.
func TestAccountAgainstTheModel(t *testing.T) {
	const budget = 1 << 20
	a := New(budget)
	left := make([][]holding, 4)
	var all sync.WaitGroup
	for g := range left {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 6))
			var mine []holding
			for range 20000 {
				c := Cause(r.IntN(int(Causes)))
				switch r.IntN(3) {
				case 0:
					if n := r.IntN(8 << 10); a.Take(c, n) {
						mine = append(mine, holding{c, n})
					}
				case 1:
					if n := r.IntN(4 << 10); a.Level() < 4 {
						a.Add(Messages, n)
						mine = append(mine, holding{Messages, n})
					}
				default:
					for range min(len(mine), 1+r.IntN(3)) {
						i := r.IntN(len(mine))
						a.Add(mine[i].cause, -mine[i].bytes)
						mine[i] = mine[len(mine)-1]
						mine = mine[:len(mine)-1]
					}
				}
				if a.Total() < 0 || a.Held(c) < 0 {
					t.Error("an account is negative")
					return
				}
			}
			left[g] = mine
		})
	}
	all.Wait()
	var want [Causes]int64
	var total int64
	for _, mine := range left {
		for _, h := range mine {
			want[h.cause] += int64(h.bytes)
			total += int64(h.bytes)
		}
	}
	for c := range Causes {
		if got := a.Held(c); got != want[c] {
			t.Errorf("%s: %d bytes, want %d", c, got, want[c])
		}
		if share := budget / 16 * shares[c]; share > 0 && want[c] > share {
			t.Errorf("%s has %d bytes, its share is %d", c, want[c], share)
		}
	}
	if a.Total() != total || a.Peak() < total {
		t.Errorf("%d bytes in all, at most %d, want %d", a.Total(), a.Peak(), total)
	}
	if level := levelOf(4, total, budget); levelOf(0, total, budget) > a.Level() || a.Level() > level {
		t.Errorf("level %d for %d of %d", a.Level(), total, budget)
	}
}
