package store

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// picture is a state as text that is equal for equal states.
func picture(s *State) (lines []string) {
	for topic, r := range s.Retained {
		lines = append(lines, fmt.Sprintf("retained %s %x", topic, encodedMessage(r.Message)))
	}
	for name, l := range s.Lines {
		w := ""
		if l.Will != nil {
			w = l.Will.Message.Topic
		}
		lines = append(lines, fmt.Sprintf("%q kept %v owner %q expiry %d left %d will %q subscriptions %v received %v", name, l.Kept, l.Owner,
			l.Expiry, l.Left.UnixMilli(), w, l.Subscriptions, slices.Sorted(maps.Keys(l.Received))))
		for _, e := range l.Entries {
			lines = append(lines, fmt.Sprintf("%q %d %x qos %d retain %v %v received %v", name, e.Number, encodedMessage(e.Message),
				e.QoS, e.Retain, e.destination(name).Identifiers, e.Received))
		}
	}
	slices.Sort(lines)
	return lines
}

// source makes records that a broker could make: numbers in a line rise, and
// what is acknowledged is there.
type source struct {
	rng   *rand.Rand
	model *State
	now   time.Time
}

func (s *source) next() Record {
	name := fmt.Sprintf("c%d", s.rng.IntN(4))
	l := s.model.Lines[name]
	m := &mqtt.Message{Topic: fmt.Sprintf("t/%d", s.rng.IntN(5)), Payload: make([]byte, s.rng.IntN(200)), QoS: 1, Publisher: "p"}
	if s.rng.IntN(5) == 0 {
		m.Properties = &mqtt.Properties{ContentType: "x", User: []mqtt.UserProperty{{Name: "a", Value: "b"}}}
		m.Expires = s.now.Add(time.Hour)
	}
	kind := s.rng.IntN(14)
	if l == nil && kind != 0 && kind != 1 && kind != 2 {
		return Record{Kind: SessionKept, ClientID: name, Owner: "u", Expiry: time.Hour}
	}
	switch kind {
	case 0:
		m.Retain = true
		return Record{Kind: RetainedSet, Message: m}
	case 1:
		return Record{Kind: RetainedCleared, Message: m}
	case 2:
		return Record{Kind: WillSet, ClientID: name, Will: &Will{Will: mqtt.Will{Message: *m, Delay: time.Minute}}}
	case 3:
		return Record{Kind: SessionEnded, ClientID: name}
	case 4:
		return Record{Kind: Subscribed, ClientID: name, Subscription: mqtt.Subscription{Filter: m.Topic, QoS: 1, Identifier: 7}}
	case 5:
		return Record{Kind: Unsubscribed, ClientID: name, Subscription: mqtt.Subscription{Filter: m.Topic}}
	case 6:
		return Record{Kind: PacketReceived, ClientID: name, Number: uint64(s.rng.IntN(5))}
	case 7:
		return Record{Kind: PacketReleased, ClientID: name, Number: uint64(s.rng.IntN(5))}
	case 8:
		return Record{Kind: SessionKept, ClientID: name, Owner: "u", Expiry: time.Hour, At: s.now}
	case 9, 10, 11:
		if len(l.Entries) > 0 {
			return Record{Kind: DeliveryDone, ClientID: name, Number: l.Entries[s.rng.IntN(len(l.Entries))].Number}
		}
	case 12:
		if len(l.Entries) > 0 {
			return Record{Kind: DeliveryReceived, ClientID: name, Number: l.Entries[0].Number}
		}
	}
	r := Record{Kind: MessageQueued, Message: m, At: s.now}
	for n := range s.model.Lines {
		if n == name || s.rng.IntN(2) == 0 {
			r.Destinations = append(r.Destinations, Destination{Name: n, Number: s.model.Lines[n].Last + 1, QoS: 1, Identifiers: []uint32{3}})
		}
	}
	return r
}

// running is a store on d that runs until stop, which waits for its end.
func running(t *testing.T, d disk.Disk, o Options) (s *Durable, stop func()) {
	t.Helper()
	s, _, _, err := Open(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, run(t, s)
}

// run lets a store run until stop, which waits for its end.
func run(t *testing.T, s *Durable) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// drive runs a store on d with n records. It returns how many were durable, by
// the number of operations of the disk, and the picture after each record.
func drive(t *testing.T, d *disktest.Fake, seed uint64, n int) (promised []int, after [][]string) {
	s, stop := running(t, d, Options{Default: Always, SegmentSize: 32 << 10})
	src := &source{rand.New(rand.NewPCG(seed, 1)), NewState(), time.UnixMilli(1_700_000_000_000)}
	after = append(after, picture(src.model))
	known := 0
	for len(after) <= n {
		for range 1 + src.rng.IntN(5) {
			r := src.next()
			s.Append(r)
			src.model.Apply(&r)
			after = append(after, picture(src.model))
			switch r.Kind {
			case DeliveryDone, DeliveryReceived, WillSet, PacketReceived, PacketReleased:
				// Written without a sync of their own: a power cut may take them.
			default:
				known = len(after) - 1
			}
		}
		known := known
		s.Notify(s.Commit(), func() {
			for len(promised) < d.Ops() {
				promised = append(promised, 0)
			}
			promised = append(promised, known)
		})
		synctest.Wait()
	}
	stop()
	return promised, after
}

func TestStateOutlivesTheProcess(t *testing.T) {
	for seed := range uint64(10) {
		d := disktest.New(1 << 30)
		var after [][]string
		synctest.Test(t, func(t *testing.T) { _, after = drive(t, d, seed, 1000) })
		_, state, report, err := Open(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := picture(state), after[len(after)-1]; !slices.Equal(got, want) {
			t.Fatalf("seed %d, %v:\n%v\nwant\n%v", seed, report, got, want)
		}
	}
}

// Retained values of QoS 0 that change all the time are written once a minute;
// the first is written at once.
func TestHotRetainedValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1 << 30)
		s, stop := running(t, d, Options{})
		set := func(value string) {
			s.Append(Record{Kind: RetainedSet, Message: &mqtt.Message{Topic: "t", Payload: []byte(value), Retain: true}})
			s.Commit()
			synctest.Wait()
		}
		stored := func() string {
			_, state, _, err := Open(d.Crash(d.Ops(), disktest.KeepAll, rand.New(rand.NewPCG(1, 1))), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if m := state.Retained["t"].Message; m != nil {
				return string(m.Payload)
			}
			return ""
		}
		set("first")
		if got := stored(); got != "first" {
			t.Errorf("stored %q", got)
		}
		for i := range 59 {
			time.Sleep(time.Second)
			set(fmt.Sprint(i))
		}
		if got := stored(); got != "30" && got != "29" && got != "first" {
			t.Errorf("stored %q within the minute", got)
		}
		before := s.Stats().Written.Journal
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := stored(); got != "58" {
			t.Errorf("stored %q after the minute", got)
		}
		if wrote := s.Stats().Written.Journal - before; wrote > 3*4096 {
			t.Errorf("%d bytes for one value", wrote)
		}
		stop()
	})
}

// FuzzRecord: what decodes encodes to something that decodes to the same.
func FuzzRecord(f *testing.F) {
	src := &source{rand.New(rand.NewPCG(1, 1)), NewState(), time.UnixMilli(1_700_000_000_000)}
	for range 100 {
		r := src.next()
		src.model.Apply(&r)
		f.Add(byte(r.Kind), appendRecord(nil, &r))
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		r, err := decodeRecord(Kind(kind), body)
		if err != nil {
			return
		}
		again := appendRecord(nil, &r)
		r2, err := decodeRecord(Kind(kind), again)
		if err != nil {
			t.Fatalf("%x decodes, %x does not: %v", body, again, err)
		}
		if third := appendRecord(nil, &r2); string(third) != string(again) {
			t.Fatalf("%x became %x", again, third)
		}
		NewState().Apply(&r)
	})
}
