package bridge

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestMain(m *testing.M) {
	cloudtest.Child()
	os.Exit(m.Run())
}

// cloudRig is a bridge with its queue and local broker against a fake cloud.
type cloudRig struct {
	*Bridge
	t     *testing.T
	q     *fakeQueue
	c     *cloudtest.Cloud
	local *fakeLocal
	dead  atomic.Bool // it cannot connect any more
	stop  func()
}

// cloud starts a bridge against a fake cloud with these limits until the test
// or stop ends it. Call it in a synctest bubble.
func cloud(t *testing.T, o cloudtest.Options, change ...func(*Options)) *cloudRig {
	t.Helper()
	c, err := cloudtest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return against(t, c, change...)
}

// against starts a bridge that finds c, by c.Dial unless change says
// otherwise.
func against(t *testing.T, c *cloudtest.Cloud, change ...func(*Options)) *cloudRig {
	t.Helper()
	return againstQueue(t, c, newQueue(t), change...)
}

func againstQueue(t *testing.T, c *cloudtest.Cloud, q *fakeQueue, change ...func(*Options)) *cloudRig {
	t.Helper()
	r := &cloudRig{t: t, c: c, q: q, local: &fakeLocal{}}
	o := Options{
		Name: "test", Servers: []string{"mqtt://cloud.example"}, ClientID: "gw",
		Out:    []Route{{From: "out/#", To: "up/#"}},
		Queues: [LaneCount]Queue{r.q}, Local: r.local, Dial: c.Dial, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&o)
	}
	dial := o.Dial
	o.Dial = func(ctx context.Context, server string) (net.Conn, error) {
		if r.dead.Load() {
			return nil, errDead
		}
		return dial(ctx, server)
	}
	b, stop := running(t, o)
	r.Bridge = b
	r.stop = sync.OnceFunc(func() {
		stop()
		c.Close()
	})
	t.Cleanup(r.stop)
	return r
}

func (r *cloudRig) put(topic, payload string, qos mqtt.QoS) {
	r.q.add(mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos})
}
