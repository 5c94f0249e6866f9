package bridge

import (
	"fmt"
	"os"
	"testing"
	"time"
)

var start2026 = time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)

// Whatever the sizes and whenever the sender asks: no second carries more than
// the limit, and hardly less when there is enough to send.
func TestPaceKeepsEverySecondBelowTheLimit(t *testing.T) {
	for _, limit := range []float64{1, 3, 10, 100, 1000} {
		r := newRand(uint64(limit))
		p := newPace(Pace{Messages: limit})
		now := start2026
		var sent []time.Time
		for now.Before(start2026.Add(time.Minute)) {
			if d := p.wait(now, Live, false); d > 0 {
				now = now.Add(d + time.Duration(r.IntN(1000))*time.Microsecond)
				continue
			}
			p.sent(now, 100, false)
			sent = append(sent, now)
			if r.IntN(int(limit)*20) == 0 {
				now = now.Add(time.Duration(r.IntN(3000)) * time.Millisecond) // nothing to send
			}
		}
		most, first := 0, 0
		for i, at := range sent {
			for at.Sub(sent[first]) >= time.Second {
				first++
			}
			most = max(most, i-first+1)
		}
		if float64(most) > limit {
			t.Errorf("%v/s: %d in one second", limit, most)
		}
		if least := limit * 60 * 0.6; float64(len(sent)) < least {
			t.Errorf("%v/s: %d in a minute, want at least %.0f", limit, len(sent), least)
		}
	}
}

func TestPaceCountsBytes(t *testing.T) {
	p := newPace(Pace{Bytes: 1000})
	p.sent(start2026, 2000, false)
	want(t, "wait after twice the limit", p.wait(start2026, Alarm, false).Round(100*time.Millisecond), "2.2s")
	later := start2026.Add(3 * time.Second)
	want(t, "wait when it is paid for", p.wait(later, Live, false), "0s")
}

func TestPaceDailyBudget(t *testing.T) {
	p := newPace(Pace{Daily: 1000})
	p.sent(start2026, 1000, false)
	want(t, "live", p.wait(start2026, Live, false), "1h0m0s")
	want(t, "history", p.wait(start2026, History, true), "1h0m0s")
	want(t, "alarm", p.wait(start2026, Alarm, true), "0s")
	want(t, "next day", p.wait(start2026.Add(time.Hour), Live, false), "0s")
}

// What a clock does that is set, or is behind at each start of a board without a
// battery: no step gives a second budget, and none stops the link for longer than
// to a midnight.
func TestPaceDayOfAClockThatIsSet(t *testing.T) {
	today := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	boot := time.Unix(5, 0).UTC()
	for name, tc := range map[string]struct {
		looks []time.Time
		left  bool // of the budget, at the last look
	}{
		"the same day":                          {[]time.Time{today.Add(time.Hour)}, false},
		"the next day":                          {[]time.Time{today.Add(12 * time.Hour)}, true},
		"1970 after a start":                    {[]time.Time{boot}, false},
		"then told the time of the same day":    {[]time.Time{boot, today.Add(time.Hour)}, false},
		"then told that of the next":            {[]time.Time{boot, today.Add(13 * time.Hour)}, true},
		"a day without being told":              {[]time.Time{boot, boot.Add(23 * time.Hour), boot.Add(24 * time.Hour)}, true},
		"set back an hour over midnight":        {[]time.Time{today.Add(-13 * time.Hour)}, false},
		"and on over it":                        {[]time.Time{today.Add(-13 * time.Hour), today.Add(-11 * time.Hour)}, false},
		"of 2037 and put right":                 {[]time.Time{today.AddDate(11, 0, 0), today.Add(time.Hour)}, true},
		"put right the day before, to midnight": {[]time.Time{today.AddDate(0, 0, -5), today.AddDate(0, 0, -5).Add(12 * time.Hour)}, true},
	} {
		p := newPace(Pace{Daily: 1000})
		p.sent(today, 1000, false)
		p.seen = -1 // a process that begins
		for _, now := range tc.looks {
			p.wait(now, Live, false)
		}
		if left := p.wait(tc.looks[len(tc.looks)-1], Live, false) == 0; left != tc.left {
			t.Errorf("%s: may send %v, want %v", name, left, tc.left)
		}
	}
}

// A process that is killed has no second budget, however fast the first was gone.
func TestPaceBudgetOfAKilledProcess(t *testing.T) {
	file := t.TempDir() + "/day"
	now := start2026
	total := 0
	for range 20 {
		p := newPacer(Pace{Daily: 100_000}, file)
		for p.wait(now, Live, false) == 0 {
			if err := p.sent(now, 100, false); err != nil {
				t.Fatal(err)
			}
			total += 100
			now = now.Add(time.Millisecond)
		}
	}
	if total > 100_000+20*(100_000/usageParts+100) {
		t.Errorf("%d bytes of a budget of 100000 in 20 processes", total)
	}
}

// A file that is no usage counts as none; a negative one would be a larger budget.
func TestPaceBudgetFiles(t *testing.T) {
	file := t.TempDir() + "/day"
	day := start2026.Unix() / 86400
	for text, used := range map[string]int64{
		fmt.Sprintf("%d 900\n", day): 900, fmt.Sprintf("%d 900\n", day-1): 0,
		fmt.Sprintf("%d -900\n", day): 0, fmt.Sprintf("%d\n", day): 0, fmt.Sprintf("%d x\n", day): 0, "x 900\n": 0, "": 0, "900": 0,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := newPacer(Pace{Daily: 1000}, file).used(start2026); got != used {
			t.Errorf("%q: %d bytes are used, want %d", text, got, used)
		}
	}
}

func TestThrottle(t *testing.T) {
	var p pace
	now := start2026
	second := func(n int) {
		for range n {
			p.sent(now, 1, true)
			now = now.Add(time.Second / time.Duration(n))
		}
	}
	second(100)
	second(100)
	want(t, "full speed", p.wait(now, History, true), "0s")
	p.catchup.slower(now)
	want(t, "half of what was sent", p.catchup.bucket.limit, 50)
	p.catchup.slower(now.Add(time.Second / 2))
	want(t, "halved once in a second", p.catchup.bucket.limit, 50)
	p.sent(now, 1, true)
	p.sent(now, 1, true)
	p.sent(now, 1, true)
	if d := p.wait(now, History, true); d == 0 {
		t.Error("history does not wait")
	}
	want(t, "live", p.wait(now, Live, false), "0s")
	want(t, "alarm", p.wait(now, Alarm, true), "0s")
	p.catchup.wait(now.Add(time.Second))
	if got := p.catchup.bucket.limit; got < 54.9 || got > 55.1 {
		t.Errorf("after a good second %v, want 55", got)
	}
	p.catchup.wait(now.Add(time.Minute))
	want(t, "full speed again", p.catchup.bucket.limit, 0)

	p.catchup.connected()
	p.catchup.answered(now, 100*time.Millisecond)
	p.catchup.answered(now, 450*time.Millisecond)
	want(t, "a round trip that is not long", p.catchup.bucket.limit, 0)
	p.catchup.answered(now.Add(2*time.Minute), 600*time.Millisecond)
	if p.catchup.bucket.limit == 0 {
		t.Error("a long round trip does not slow down")
	}
}
