package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

// server is a broker on a port of this machine.
func server(t *testing.T, change ...func(*broker.Options)) (*brokertest.Broker, client.Options) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := func(o *broker.Options) {
		o.Listeners = append(o.Listeners, broker.ListenerOptions{Name: "tcp", Listener: ln, Anonymous: true})
	}
	b := brokertest.New(t, append([]func(*broker.Options){listener}, change...)...)
	return b, client.Options{Version: mqtt.V5, Target: client.Target{Network: "tcp", Address: ln.Addr().String()}}
}

func TestRunCountsEverything(t *testing.T) {
	b, c := server(t)
	for qos := range mqtt.QoS(3) {
		f, err := Run(t.Context(), Options{Client: c, Clients: 5, Rate: 400, Size: 32, QoS: qos, Duration: 200 * time.Millisecond, Retain: qos == 1})
		if err != nil {
			t.Fatal(err)
		}
		// A machine that is busy sends less than is due, never more.
		if f.Sent == 0 || f.Sent > 80 || f.Due != 80 || f.Expected != 5*f.Sent || f.Received != f.Expected || !f.Whole() {
			t.Errorf("QoS %d: %+v", qos, f)
		}
		if !(f.P50 > 0 && f.P50 <= f.P95 && f.P95 <= f.P99 && f.P99 <= f.Max) {
			t.Errorf("QoS %d: latencies %+v", qos, f)
		}
	}
	if n := b.Stats().Retained; n != 0 {
		t.Errorf("%d retained messages are left", n)
	}
}

// An interrupt is no failure: the figures are those up to then.
func TestInterruptGivesTheFiguresSoFar(t *testing.T) {
	_, c := server(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := Options{Client: c, Clients: 3, Rate: 200, Size: MinSize, QoS: 1, Duration: time.Hour, Progress: func(Figures) { cancel() }}
	f, err := Run(ctx, o)
	if err != nil || f.Sent == 0 || f.Sent >= uint64(f.Due) || !f.Whole() {
		t.Errorf("%+v, %v", f, err)
	}
}

// A server that ends connections ends the run, with what is known.
func TestRunEndsWithItsConnections(t *testing.T) {
	b, c := server(t)
	o := Options{Client: c, Clients: 3, Rate: 200, Size: MinSize, Duration: time.Hour, Progress: func(Figures) {
		b.Ban(broker.Ban{ClientID: "load-2", For: time.Minute})
	}}
	o.Client.ClientID = "load"
	f, err := Run(t.Context(), o)
	var gone *client.DisconnectedError
	if !errors.As(err, &gone) || gone.Reason != mqtt.AdministrativeAction || f.Sent == 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("a client that is refused is no error")
	}
}

func TestRunNeedsItsRights(t *testing.T) {
	for _, tc := range []struct {
		name   string
		denied broker.Action
		err    error
	}{{"subscribe", broker.Subscribe, ErrDenied}, {"publish", broker.Publish, nil}} {
		t.Run(tc.name, func(t *testing.T) {
			auth := &brokertest.Auth{May: func(x *broker.Access) broker.Decision {
				if x.Action == tc.denied {
					return broker.Decision{Code: mqtt.NotAuthorized}
				}
				return broker.Decision{MaxQoS: mqtt.ExactlyOnce}
			}}
			_, c := server(t, func(o *broker.Options) { o.Auth = auth })
			f, err := Run(t.Context(), Options{Client: c, Clients: 2, Rate: 100, Size: MinSize, QoS: 1, Duration: 50 * time.Millisecond})
			if !errors.Is(err, tc.err) || f.Refused != f.Sent || f.Lost != f.Expected || f.Whole() {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
}

// A server that loses, doubles and reorders is found out.
func TestFaultsAreCounted(t *testing.T) {
	w, got := window{}, tally{}
	for _, n := range []uint32{0, 1, 2, 4, 3, 3, 7, 8, 7, 300, 9, 299, 299} {
		got.sent.Add(1)
		got.count(w.add(n))
	}
	// 3 and 299 are late, 3, 7 and 299 come twice, 9 is too old to tell.
	f := got.figures(1, time.Second)
	if f.OutOfOrder != 3 || f.Duplicate != 3 || f.Received != 9 || f.Lost != 4 || f.Whole() {
		t.Errorf("%+v", f)
	}
}

// The window against a set of all numbers that have come.
func TestWindowAgainstASet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var w window
	come, highest := map[uint32]bool{}, uint32(0)
	for range 20000 {
		n := max(60, highest+3) - uint32(r.IntN(60))
		want := fresh
		switch {
		case come[n]:
			want = duplicate
		case len(come) > 0 && n < highest:
			want = late
		}
		if got := w.add(n); got != want {
			t.Fatalf("%d after %d is %d, not %d", n, highest, got, want)
		}
		come[n], highest = true, max(highest, n)
	}
}

func TestLatenciesAreWithinThreePercent(t *testing.T) {
	var all tally
	for i := range 1000 {
		all.took(time.Duration(i+1) * 100 * time.Microsecond)
	}
	f := all.figures(1, time.Second)
	for _, x := range [][2]float64{{f.P50, 0.05}, {f.P95, 0.095}, {f.P99, 0.099}, {f.Max, 0.1}} {
		if x[0] < x[1] || x[0] > x[1]*1.035 {
			t.Errorf("%v is not %v", x[0], x[1])
		}
	}
	for _, v := range []uint64{0, 1, 63, 64, 65, 1e6, 1<<63 + 12345, ^uint64(0)} {
		if top := upper(bucketOf(v)); top < v || float64(top) > float64(v)*1.033 {
			t.Errorf("%d is counted up to %d", v, top)
		}
	}
}
