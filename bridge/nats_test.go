package bridge_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A NATS server with JetStream as upstream, killed in the middle.
func TestNATSOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a few seconds of real time")
	}
	n := bridgetest.NATS(t)
	observeIn(t, mqtt.V311, n.Addr(), "observer", "site/#").close()
	q := bridge.NewTestQueue(t)
	profile, ok := bridge.FindProfile("nats")
	if !ok {
		t.Fatal("no profile")
	}
	b, stop := running(t, bridge.Options{
		Name: "cloud", Servers: []string{n.URL()}, ClientID: "gw", StatusTopic: "site/status", Protocol: mqtt.V311, Profile: profile,
		Out: []bridge.Route{{From: "dunlin/#", To: "site/#"}}, Queues: [bridge.LaneCount]bridge.Queue{q}, RetryMax: time.Second,
	})
	const each = 300
	put := func(n int) {
		for i := range each {
			q.Add(mqtt.Message{Topic: "dunlin/a", Payload: []byte(fmt.Sprint(n*each + i)), QoS: mqtt.QoS(1 + i%2)})
		}
	}
	put(0)
	q.WaitEmpty(t, patience)
	n.Freeze() // what is sent now stays without an acknowledgement
	put(1)
	q.WaitInFlight(t, 20, patience)
	n.Kill()
	put(2)
	n.Start()
	q.WaitEmpty(t, patience)
	o := observeIn(t, mqtt.V311, n.Addr(), "observer", "site/#")
	count := make([]int, 3*each)
	for distinct := 0; distinct < len(count); {
		m := o.next(t)
		i, err := strconv.Atoi(string(m.Payload))
		if err != nil {
			continue // the status
		}
		if count[i]++; count[i] == 1 {
			distinct++
		}
	}
	for i, times := range count {
		if i%2 == 1 && times != 1 {
			t.Errorf("message %d, QoS 2, arrived %d times", i, times)
		}
	}
	stop()
	if st := b.Stats(); st.Dead != 0 || st.Unaccounted() != 0 {
		t.Errorf("dead %d, unaccounted %d", st.Dead, st.Unaccounted())
	}
}

// Three of them as a cluster, the one that the bridge uses killed in mid-drain:
// the session goes on with another one. Every message is acknowledged on the
// wire; what the cluster makes of those is its own and stands in the log.
func TestNATSClusterSoak(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("make soak runs it")
	}
	cluster := bridgetest.NATSCluster(t)
	const slow = 5 * time.Minute // elections of three servers
	profile, _ := bridge.FindProfile("nats")
	q := bridge.NewTestQueue(t)
	wire := newWiretap(t, mqtt.V311)
	var servers []string
	for _, s := range cluster {
		servers = append(servers, wire.before(s.Addr()))
	}
	b, stop := running(t, bridge.Options{
		Name: "cloud", Servers: []string{"mqtt://" + servers[0], "mqtt://" + servers[1], "mqtt://" + servers[2]}, ClientID: "gw", Protocol: mqtt.V311, Profile: profile,
		Out: []bridge.Route{{From: "dunlin/#", To: "site/#"}}, Queues: [bridge.LaneCount]bridge.Queue{q}, RetryMax: 2 * time.Second,
	})
	q.Add(mqtt.Message{Topic: "dunlin/first", Payload: []byte("x"), QoS: 1})
	q.WaitEmpty(t, slow) // the cluster has found itself
	used := slices.Index(servers, b.Stats().Server)
	if used < 0 {
		t.Fatalf("on %q, none of %q", b.Stats().Server, servers)
	}
	others := slices.Delete(slices.Clone(cluster[:]), used, used+1)
	o := observeIn(t, mqtt.V311, others[1].Addr(), "observer", "site/a")
	const messages = 5000
	for i := range messages {
		q.Add(mqtt.Message{Topic: "dunlin/a", Payload: []byte(fmt.Sprint(i)), QoS: mqtt.QoS(1 + i%2)})
	}
	for q.Stats().Messages > messages/2 {
		time.Sleep(time.Millisecond) // servers are at work
	}
	cluster[used].Kill()
	q.WaitEmpty(t, slow)
	if st := b.Stats(); st.Server == servers[used] || st.Dead != 0 || st.Unaccounted() != 0 {
		t.Errorf("on %s, %d dead, %d nowhere", st.Server, st.Dead, st.Unaccounted())
	}
	stop()
	for i := range messages {
		if f := wire.of(fmt.Sprint(i)); !f.complete() {
			t.Errorf("message %d has left the queue: %+v", i, f)
		}
	}
	times := came(t, o, messages, others)
	twice := 0
	for i, n := range times {
		switch {
		case n == 0:
			f := wire.of(fmt.Sprint(i))
			t.Logf("the cluster lost message %d behind its acknowledgement: %+v", i, f)
			if f.qos == 1 || !slices.Contains(f.rel, cluster[used].Addr()) {
				t.Error("it is none of QoS 2 whose PUBREL the killed server had")
			}
		case i%2 == 1 && n > 1:
			twice++
		}
	}
	t.Logf("%d sessions were there, %d were not; the cluster doubled %d messages of QoS 2", wire.resumed, wire.fresh, twice)
}

// came counts how often each message came out of the cluster. A subscriber of a
// stream that lost its leader may hear nothing more until it comes again.
func came(t *testing.T, o *observer, messages int, cluster []*bridgetest.Server) []int {
	times, silences := make([]int, messages), 0
	note := func(m mqtt.Message) (first bool) {
		var i int
		if _, err := fmt.Sscan(string(m.Payload), &i); err != nil {
			t.Fatal(err)
		}
		times[i]++
		return times[i] == 1
	}
	for distinct := 0; distinct < messages; {
		select {
		case m := <-o.got:
			if note(m) {
				distinct++
			}
		case <-time.After(patience / 3):
			if silences++; silences > 5 {
				return times
			}
			o.close()
			for len(o.got) > 0 {
				if note(<-o.got) {
					distinct++
				}
			}
			o = observeIn(t, mqtt.V311, cluster[silences%2].Addr(), "observer", "site/a")
		}
	}
	return times
}
