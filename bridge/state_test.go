package bridge

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestStateByAcknowledgements(t *testing.T) {
	bubble(t, "a link whose messages are not acknowledged is stalled, not up", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{})
		r.put("out/a", "0", 1)
		after(time.Minute)
		want(t, "idle", fmt.Sprint(r.Stats().State, r.Stats().AckAge), "up0s")
		r.c.Set(func(f *cloudtest.Faults) { f.DropAcks = true })
		r.put("out/a", "1", 1)
		after(ackLate)
		want(t, "15 s later", r.Stats().State, Up)
		after(time.Second)
		st := r.Stats()
		want(t, "16 s later", fmt.Sprint(st.State, " ", st.Class, " ", st.AckAge, " ", st.InFlight), "stalled stalled 16s 1")
		r.c.Set(func(f *cloudtest.Faults) { f.DropAcks = false })
		r.put("out/a", "2", 1)
		after(time.Second)
		want(t, "one acknowledgement later", r.Stats().State, Up)
		r.stop()
	})
	bubble(t, "the drain estimate is what the acknowledgements of late promise", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{AckDelay: time.Second}}, func(o *Options) { o.InFlight = 10 })
		for i := range 1000 {
			r.put("out/a", fmt.Sprint(i), 1)
		}
		after(40 * time.Second)
		if st := r.Stats(); st.Rate < 9 || st.Rate > 11 || st.Drain < 50*time.Second || st.Drain > 70*time.Second {
			t.Errorf("%.1f messages/s, empty in %v", st.Rate, st.Drain)
		}
		after(time.Minute * 2)
		if st := r.Stats(); st.Drain != 0 || st.Rate > 0.1 {
			t.Errorf("empty: %.1f messages/s, empty in %v", st.Rate, st.Drain)
		}
		r.stop()
	})
}

// A loss has a time, so that an old one can be told from one of today.
func TestLastLoss(t *testing.T) {
	bubble(t, "it is that of the last, and what is meant is none", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})))
		r.Pause()
		drop := func(why mqtt.DropReason) {
			seq := r.q.add(mqtt.Message{Topic: "out/a", QoS: 1})
			if err := r.q.Drop(t.Context(), seq, why); err != nil {
				t.Fatal(err)
			}
		}
		want(t, "at first", r.Stats().LastLoss.IsZero(), true)
		for _, why := range []mqtt.DropReason{mqtt.DropFull, mqtt.DropAged} {
			drop(why)
			want(t, why.String(), time.Since(r.Stats().LastLoss), time.Duration(0))
			after(time.Hour)
		}
		drop(mqtt.DropReplaced)
		want(t, "meant", time.Since(r.Stats().LastLoss), time.Hour)
	})
}

// The books balance at any sample, also in the middle of everything.
func TestAccountingAtAnySample(t *testing.T) {
	c, err := cloudtest.New(cloudtest.Options{Faults: cloudtest.Faults{PacketSize: 200, Publish: func(m cloudtest.Message) cloudtest.Verdict {
		return [...]cloudtest.Verdict{{}, {}, {}, {Code: mqtt.NotAuthorized}, {}, {CutLate: true}}[len(m.Payload)%6]
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r := against(t, c, func(o *Options) { o.RetryMax = time.Millisecond })
	var done atomic.Bool
	var sampler sync.WaitGroup
	samples := 0
	sampler.Go(func() {
		for ; !done.Load(); samples++ {
			if st := r.Stats(); st.Unaccounted() != 0 {
				t.Errorf("%d messages are nowhere: %+v", st.Unaccounted(), st.Queue)
				return
			}
		}
	})
	for i := range 2000 {
		r.q.add(mqtt.Message{Topic: fmt.Sprint("out/", i%3), Payload: make([]byte, i%300), QoS: mqtt.QoS(i % 3)})
	}
	cloudtest.WaitFor(time.Second, func() bool { return r.q.Stats().Messages == 0 }) // or not: the books are looked at meanwhile
	done.Store(true)
	sampler.Wait()
	if samples < 10 {
		t.Errorf("only %d samples", samples)
	}
	r.stop()
}
