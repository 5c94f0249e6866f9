package conn

import "testing"

// What comes densely gathers for a nap each time; what does not is let alone
// but for a trial now and then.
func TestPulseNapsWhileTheStreamIsDense(t *testing.T) {
	const rests = 10 * respite
	for _, tt := range []struct {
		name        string
		packets     int // of a round after a nap
		least, most int // naps
	}{
		{"many publishers", 2 * dense, rests, rests},
		{"just enough", dense, rests, rests},
		{"few in flight", dense - 1, 8 * trial, 10 * trial},
		{"one by one", 1, 8 * trial, 10 * trial},
	} {
		p, naps := pulse{}, 0
		for i := range rests {
			packets := 1
			if p.sleepy() {
				naps++
				packets = tt.packets
			}
			p.beat(int64(i), packets)
		}
		if naps < tt.least || naps > tt.most {
			t.Errorf("%s: %d naps in %d rests, want %d to %d", tt.name, naps, rests, tt.least, tt.most)
		}
	}
}

// A stream that becomes dense is noticed after one respite at the latest, one
// that thins out within two trials.
func TestPulseFollowsTheStream(t *testing.T) {
	p := pulse{}
	feed := func(packets, rests int) (naps int) {
		for range rests {
			if p.sleepy() {
				naps++
			}
			p.beat(0, packets)
		}
		return naps
	}
	feed(1, respite)
	feed(dense, respite)
	if naps := feed(dense, 100); naps != 100 {
		t.Errorf("dense: %d naps in 100 rests", naps)
	}
	feed(1, 2*trial)
	if naps := feed(1, respite-2*trial); naps != 0 {
		t.Errorf("thin again: %d naps", naps)
	}
}
