package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A store that is stopped while its disk fails tries once more. What it then
// could not keep is an error of Run.
func TestStopWhileNothingIsKept(t *testing.T) {
	for _, mended := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			d := disktest.New(1 << 30)
			var broken atomic.Bool
			broken.Store(true)
			d.Fail(func(op, _ string) error {
				if broken.Load() && op != "read" && op != "names" {
					return errors.New("input/output error")
				}
				return nil
			})
			s, _, _, err := Open(d, Options{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			s.Append(Record{Kind: RetainedSet, Message: &mqtt.Message{Topic: "t", QoS: 1, Payload: []byte("1"), Retain: true}})
			s.Commit()
			synctest.Wait()
			if !s.Refuses("t") && s.Stats().Failures == 0 {
				t.Fatal("the disk did not fail")
			}
			if st := s.Stats(); st.Mode == journal.Degraded && !strings.HasSuffix(st.Fault, "input/output error") {
				t.Errorf("why nothing is kept: %q", st.Fault)
			}
			broken.Store(!mended)
			stop()
			err = <-done
			if mended != (err == nil) {
				t.Fatalf("mended %v: Run = %v", mended, err)
			}
			broken.Store(false)
			_, state, _, err := Open(d, Options{})
			if err != nil || (state.Retained["t"].Message != nil) != mended {
				t.Errorf("mended %v: kept %v, %v", mended, state.Retained["t"].Message, err)
			}
		})
	}
}

// What nobody commits, as acknowledgements of clients, is written when the
// interval has passed.
func TestNobodyCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1 << 30)
		s, stop := running(t, d, Options{})
		s.Append(Record{Kind: SessionKept, ClientID: "c", Expiry: time.Hour})
		s.Append(Record{Kind: MessageQueued, Message: &mqtt.Message{Topic: "t", QoS: 1}, Destinations: []Destination{{Name: "c", Number: 1, QoS: 1}}})
		s.Commit()
		time.Sleep(10 * time.Second)
		s.Append(Record{Kind: DeliveryDone, ClientID: "c", Number: 1})
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		_, state, _, err := Open(d.Crash(d.Ops(), disktest.LoseAll, rand.New(rand.NewPCG(1, 1))), Options{})
		if err != nil || len(state.Lines["c"].Entries) != 0 {
			t.Errorf("after the interval: %+v, %v", state.Lines["c"], err)
		}
		stop()
	})
}

// With Stop, a disk that fails ends Run: nobody works on without what they were
// promised.
func TestStopOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1 << 30)
		d.Fail(func(op, _ string) error {
			if op == "datasync" || op == "create" {
				return errors.New("input/output error")
			}
			return nil
		})
		s, _, _, err := Open(d, Options{Stop: true, Default: Always})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		s.Append(Record{Kind: RetainedSet, Message: &mqtt.Message{Topic: "t", QoS: 1, Payload: []byte("1"), Retain: true}})
		s.Commit()
		synctest.Wait()
		select {
		case err := <-done:
			if err == nil {
				t.Error("Run ended without an error")
			}
		default:
			t.Error("Run goes on")
		}
	})
}
