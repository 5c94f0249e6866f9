package store

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// dailyLoad is what a store has to do all day long.
type dailyLoad struct {
	name   string
	class  Class
	limit  float64 // GB a day
	load   func(s *Durable, until time.Time)
	commit time.Duration // of the file system; 0 is five seconds
}

var dailyText = make([]byte, 200)

var dailyLoads = []dailyLoad{
	{"interval, 10 a second, nobody takes them", Interval, 0.6, tenASecond, 0},
	{"always, 10 a second, nobody takes them", Always, 4, tenASecond, 0},
	{"1,000 retained topics each second", Interval, 0.5, func(s *Durable, until time.Time) {
		for time.Now().Before(until) {
			for i := range 1000 {
				m := &mqtt.Message{Topic: fmt.Sprintf("site/a/device/%d", i), Payload: dailyText, Retain: true}
				s.Append(Record{Kind: RetainedSet, Message: m})
			}
			s.Commit()
			time.Sleep(time.Second)
		}
	}, 0},
}

func tenASecond(s *Durable, until time.Time) {
	for n := uint64(time.Now().UnixMilli()); time.Now().Before(until); n++ {
		m := &mqtt.Message{Topic: "site/a/temperature", QoS: 1, Payload: dailyText}
		s.Append(Record{Kind: MessageQueued, At: time.Now(), Message: m, Destinations: []Destination{{Name: "\x00cloud", Number: n, QoS: 1}}})
		s.Commit()
		time.Sleep(100 * time.Millisecond)
	}
}

// written is how many bytes of pages a store has given to the disk.
func (s *Durable) written() uint64 {
	st := s.Stats()
	return st.Journal + st.Checkpoint + st.NewSegments + st.Spilled
}

// What a day costs the disk, in pages, measured over a quarter of an hour
// when all files have been made. DESIGN.md has the figures.
func TestBytesWrittenADay(t *testing.T) {
	const simulated = 15 * time.Minute
	for _, tc := range dailyLoads {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := disktest.New(1 << 40)
				d.Forget()
				s, stop := running(t, d, Options{Default: tc.class})
				tc.load(s, time.Now().Add(3*simulated)) // all segments are there
				before := s.written()
				tc.load(s, time.Now().Add(simulated))
				gb := float64(s.written()-before) * float64(24*time.Hour/simulated) / 1e9
				st := s.Stats()
				t.Logf("%.2f GB a day; in all journal %d, checkpoints %d, spilled %d, syncs %d", gb, st.Journal, st.Checkpoint, st.Spilled, st.Syncs)
				if gb > tc.limit || gb == 0 {
					t.Errorf("%.2f GB a day, the limit is %.1f", gb, tc.limit)
				}
				stop()
			})
		})
	}
}

// When little of a day's bytes is left, what can wait is written less often.
func TestWriteBudget(t *testing.T) {
	syncs := func(budget int64) (n uint64, left int) {
		synctest.Test(t, func(t *testing.T) {
			d := disktest.New(1 << 40)
			d.Forget()
			s, stop := running(t, d, Options{Budget: budget})
			for range 6000 {
				s.Append(Record{Kind: RetainedSet, Message: &mqtt.Message{Topic: "t", QoS: 1, Retain: true, Payload: []byte("x")}})
				s.Commit()
				time.Sleep(100 * time.Millisecond)
			}
			n, left = s.Stats().Syncs, s.Stats().BudgetLeft
			stop()
		})
		return n, left
	}
	free, all := syncs(0)
	tight, left := syncs(2 << 20)
	if all != 100 || left >= 25 || tight > free/2 {
		t.Errorf("%d syncs without a budget (%d %% left), %d with a small one (%d %% left)", free, all, tight, left)
	}
}
