package sensors_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestPauseAndReadNow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		reads := 0
		d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) {
			reads++
			return one(float64(reads))
		}}
		other := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) { return one(7) }}
		m, stop := run(t, b, sensors.Device{Name: "d", Driver: d, Interval: time.Hour}, sensors.Device{Name: "other", Driver: other, Interval: time.Hour})
		ask := func(what sensors.Asked) {
			if err := m.Ask("d", what); err != nil {
				t.Fatal(err)
			}
			after(time.Second)
		}
		after(time.Second)
		if reads != 1 || b.last("d/availability") != "online" {
			t.Fatalf("%d reads, %s", reads, b.last("d/availability"))
		}
		if ask(sensors.ReadNow); reads != 2 || b.last("d/t") != "2" {
			t.Errorf("read now: %d reads, %s", reads, b.last("d/t"))
		}
		ask(sensors.Pause)
		if h := m.Status()[0].Health; h.State != sensors.Offline || h.Reason != sensors.Paused {
			t.Errorf("paused: %+v", h)
		}
		if b.last("d/availability") != "offline" || !strings.Contains(b.last("d/health"), `"reason":"paused"`) {
			t.Errorf("paused: availability %s, health %s", b.last("d/availability"), b.last("d/health"))
		}
		ask(sensors.ReadNow)
		ask(sensors.Pause)
		if after(3 * time.Hour); reads != 2 || b.last("other/availability") != "online" {
			t.Errorf("a paused device was read, or another was paused: %d reads", reads)
		}
		if ask(sensors.Resume); reads != 3 || b.last("d/availability") != "online" || b.last("d/t") != "3" {
			t.Errorf("resumed: %d reads, %s", reads, b.last("d/availability"))
		}
		ask(sensors.Resume)
		if err := m.Ask("none", sensors.Pause); !errors.Is(err, sensors.ErrNoDevice) {
			t.Error(err)
		}
		stop()
	})
}

func TestOutputsAreNotPaused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, stop := run(t, newFakeBroker(), sensors.Device{Name: "d", Driver: newFakeRelay(sensors.Safety{}), Interval: time.Minute})
		after(time.Second)
		if err := m.Ask("d", sensors.Pause); !errors.Is(err, sensors.ErrGuards) || m.Status()[0].Health.State != sensors.Online {
			t.Errorf("%v, %+v", err, m.Status()[0].Health)
		}
		stop()
	})
}

// A device that is being opened, or waits for its next try, is paused too, and
// keeps saying so.
func TestPauseOfADeviceThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		tries := 0
		d := &fakeDriver{open: func(int) error {
			tries++
			time.Sleep(2 * time.Second)
			return errors.New("not there")
		}}
		m, stop := run(t, b, sensors.Device{Name: "d", Driver: d, Interval: time.Minute, Timeout: 10 * time.Second})
		after(time.Second) // in Open
		m.Ask("d", sensors.Pause)
		after(time.Hour)
		if h := m.Status()[0].Health; tries != 1 || h.State != sensors.Offline || h.Reason != sensors.Paused {
			t.Errorf("%d tries, %+v", tries, h)
		}
		m.Ask("d", sensors.Resume)
		if after(time.Second); tries != 2 {
			t.Errorf("%d tries after the resume", tries)
		}
		stop()
	})
}
