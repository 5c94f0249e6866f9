package store

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A disk on which there is room now and then is said to be full once an hour,
// not each time: the log may be on the same card.
func TestFullDiskIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := disktest.New(1 << 30)
		s, stop := running(t, d, Options{SegmentSize: 32 << 10, Spills: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
		full := 0
		for n := range uint64(6000) { // 100 minutes
			d.SetFree(1 << 30 * int64(n/200%2)) // full, and not, in turns
			m := &mqtt.Message{Topic: "t", Payload: make([]byte, 1000), QoS: 1}
			s.Append(Record{Kind: MessageQueued, At: time.Now(), Message: m, Destinations: []Destination{{Name: "\x00q", Number: n + 1, QoS: 1}}})
			s.Commit()
			tight := s.Tight()
			time.Sleep(time.Second)
			if synctest.Wait(); s.Tight() && !tight {
				full++
			}
		}
		stop()
		if n := strings.Count(log.String(), "cannot be put on disk"); full < 10 || n != 2 {
			t.Errorf("the disk was full %d times, said %d times, want twice:\n%.500s", full, n, log.String())
		}
		if down, up := strings.Count(log.String(), "nothing is kept"), strings.Count(log.String(), "works again\"\n"); down != up {
			t.Errorf("said that nothing is kept %d times, that the disk works %d times", down, up)
		}
	})
}

// What is kept again when somebody has made room is not a matter of when the next
// try is due; a disk that is full again at once is tried each minute.
func TestRoomIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1 << 30)
		s, stop := running(t, d, Options{SegmentSize: 32 << 10, MinFree: 1 << 20})
		n := uint64(0)
		put := func() {
			n++
			m := &mqtt.Message{Topic: "t", Payload: make([]byte, 1000), QoS: 1}
			s.Append(Record{Kind: MessageQueued, At: time.Now(), Message: m, Destinations: []Destination{{Name: "\x00q", Number: n, QoS: 1}}})
			s.Commit()
			synctest.Wait()
		}
		fill := func() {
			for d.SetFree(1 << 20); !s.Tight(); put() {
			}
		}
		put()
		for _, wait := range []struct{ after, atMost time.Duration }{{0, 2 * time.Second}, {time.Second, time.Minute}, {2 * time.Minute, 2 * time.Second}} {
			time.Sleep(wait.after)
			fill()
			time.Sleep(10 * time.Second)
			d.SetFree(1 << 30)
			time.Sleep(wait.atMost)
			if synctest.Wait(); s.Tight() {
				t.Errorf("nothing is kept %v after there is room", wait.atMost)
			}
		}
		stop()
	})
}

// A backlog that fills the disk by itself gives way to what is new a file at a
// time: most of what fits stays, and the journal goes on.
func TestBacklogThatFillsTheDisk(t *testing.T) {
	for _, tc := range []struct {
		disk  int64
		size  int
		least int64 // bytes of messages that stay
	}{
		{30 << 20, 1000, 5500 << 10},
		{40 << 20, 250, 9 << 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := disktest.New(tc.disk)
			d.Forget()
			s, stop := running(t, d, Options{MinFree: 4 << 20, Spills: true})
			q := NewQueue(QueueLimits{Messages: 1 << 30, Bytes: 256 << 20, Overflow: overflow.DropOldest, Spills: true}, 0)
			least := int64(1 << 40)
			behind, total := 0, 2*int(tc.disk)/tc.size
			for range total {
				m := &mqtt.Message{Topic: "t", Payload: make([]byte, tc.size), QoS: 1}
				q.Tight(s.Tight(), s.Spilled())
				if seq := q.Push(time.Now(), m); seq > 0 {
					s.Append(Record{Kind: MessageQueued, At: time.Now(), Message: m, Destinations: []Destination{{Name: "\x00q", Number: seq, QoS: 1}}})
				}
				gone, cuts := q.Gone()
				for _, seq := range gone {
					s.Append(Record{Kind: DeliveryDone, ClientID: "\x00q", Number: seq})
				}
				for _, c := range cuts {
					s.Append(Record{Kind: LineCut, ClientID: "\x00q", From: c.From, Number: c.To, Count: c.Count})
				}
				s.Commit()
				if behind += tc.size; behind > 400_000 { // the disk takes a while
					behind = 0
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
				}
				st := q.Stats(time.Now())
				if st.Dropped > 0 {
					least = min(least, st.Bytes)
				}
			}
			if st := s.Stats(); st.Failures > 0 || least < tc.least {
				t.Errorf("%d MiB, messages of %d bytes: %d kB were left, %d failures, mode %s", tc.disk>>20, tc.size, least>>10, st.Failures, st.Mode)
			}
			stop()
		})
	}
}
