//go:build clockstep

package broker_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// TestClockSteps sets the clock of a running broker, and of one that was started
// again: what has an interval ends after that interval, and not because of a
// clock. scripts/clockstep.sh runs it.
func TestClockSteps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	right := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	unset := time.Unix(60, 0)
	for name, tc := range map[string]struct {
		first, boot time.Time     // what the clock says at first, and after the restart; zero: it goes on
		restart     bool          // before the step
		step        time.Duration // one minute after the beginning
	}{
		"3 seconds on":                      {first: right, step: 3 * time.Second},
		"3 seconds back":                    {first: right, step: -3 * time.Second},
		"3 hours on":                        {first: right, step: 3 * time.Hour},
		"3 hours back":                      {first: right, step: -3 * time.Hour},
		"10 years on":                       {first: right, step: 10 * year},
		"5 years back":                      {first: right, step: -5 * year},
		"from 1970":                         {first: unset, step: right.Sub(unset)},
		"restart, 3 hours on":               {first: right, restart: true, step: 3 * time.Hour},
		"restart, 3 hours back":             {first: right, restart: true, step: -3 * time.Hour},
		"restart, 10 years on":              {first: right, restart: true, step: 10 * year},
		"restart, 5 years back":             {first: right, restart: true, step: -5 * year},
		"restart in 1970 still":             {first: unset, restart: true, step: right.Sub(unset)},
		"boot in 1970 with data of 2026":    {first: right, boot: unset, restart: true, step: right.Sub(unset)},
		"began in 1970 and never had clock": {first: unset, restart: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &stepped{t: t, dir: t.TempDir(), begin: time.Now()}
				defer func() { time.WallStep = 0 }()
				w.set(tc.first)
				w.start()
				w.prepare()
				if w.at(30 * time.Second); tc.restart {
					w.b.Stop()
					if !tc.boot.IsZero() {
						w.set(tc.boot)
					}
					w.start()
				}
				w.at(time.Minute)
				time.WallStep += int64(tc.step / time.Second)
				w.at(5 * time.Minute)
				w.holds("s5", "m/a m/b", "r/a r/b")
				if !tc.restart {
					w.holds("watcher", "will", "r/a r/b") // its delay has passed
				}
				w.at(15 * time.Minute)
				w.holds("s15", "m/b", "r/b")
				w.at(20 * time.Minute)
				w.b.Stop()
				w.start()
				w.at(21 * time.Minute)
				w.holds("s21", "m/b", "r/b")
				w.at(58 * time.Minute)
				w.holds("s58", "m/b", "r/b")
				w.at(62 * time.Minute)
				w.holds("s62", "", "r/b") // its session has ended
				w.at(2*time.Hour + 2*time.Minute)
				w.holds("s15", "", "")
				w.b.Stop()
			})
		})
	}
}

// stepped is a broker under a clock that is set.
type stepped struct {
	t     *testing.T
	b     *brokertest.Broker
	dir   string
	begin time.Time
}

// set makes the clock say what it is.
func (w *stepped) set(now time.Time) {
	time.WallStep += int64(now.Sub(time.Now().Round(0)) / time.Second)
}

func (w *stepped) start() {
	w.b = brokertest.New(w.t, func(o *broker.Options) { o.Data = &broker.Data{Dir: w.dir} })
}

// at waits until so much time has passed since the beginning.
func (w *stepped) at(passed time.Duration) {
	time.Sleep(passed - time.Since(w.begin))
	synctest.Wait()
}

func (w *stepped) client(id string, will *mqtt.Will, filters ...string) *broker.Client {
	w.t.Helper()
	c, err := w.b.Attach(broker.ClientOptions{ID: id, SessionExpiry: time.Hour, Will: will})
	for _, f := range filters {
		if err == nil {
			err = c.Subscribe(context.Background(), mqtt.Subscription{Filter: f, QoS: mqtt.AtLeastOnce, RetainHandling: mqtt.SendRetainedIfNew})
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// prepare lets clients leave, and publishes what waits for them.
func (w *stepped) prepare() {
	for _, id := range []string{"s5", "s15", "s21", "s58", "s62"} {
		w.client(id, nil, "m/#").Close()
	}
	w.client("watcher", nil, "will").Close()
	w.client("w", &mqtt.Will{Message: mqtt.Message{Topic: "will", Payload: []byte("x"), QoS: mqtt.AtLeastOnce}, Delay: 4 * time.Minute}).Abort()
	p := w.client("p", nil)
	for name, expiry := range map[string]time.Duration{"a": 10 * time.Minute, "b": 2 * time.Hour} {
		for _, retain := range []bool{false, true} {
			topic := "m/" + name
			if retain {
				topic = "r/" + name
			}
			m := mqtt.Message{Topic: topic, Payload: []byte("x"), QoS: mqtt.AtLeastOnce, Retain: retain, Expires: time.Now().Add(expiry)}
			if err := p.Publish(context.Background(), m); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	p.Close()
}

// holds takes what waits for a session, and what is retained.
func (w *stepped) holds(id, messages, retained string) {
	w.t.Helper()
	passed := time.Since(w.begin).Round(time.Minute)
	take := func(c *broker.Client) string {
		defer c.Close()
		got := map[string]bool{}
		for {
			ctx, stop := context.WithTimeout(context.Background(), time.Second)
			m, err := c.Next(ctx)
			stop()
			if err != nil {
				return strings.Join(slices.Sorted(maps.Keys(got)), " ")
			}
			got[m.Topic] = true
		}
	}
	if got := take(w.client(id, nil)); got != messages {
		w.t.Errorf("after %v %q waits for %s, want %q", passed, got, id, messages)
	}
	if got := take(w.client(fmt.Sprint("r", passed, id), nil, "r/#")); got != retained {
		w.t.Errorf("after %v %q is retained, want %q", passed, got, retained)
	}
}
