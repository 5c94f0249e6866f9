package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

const (
	rows, columns = 10, 10 // topics t/0/0 to t/9/9
	groups        = 4
	faultsShown   = 40
)

// world is all actors and what they share.
type world struct {
	address  string
	interval time.Duration // mean time between two actions of an actor
	late     time.Duration // how late the server may be on this machine
	patience time.Duration // how long an answer may take

	streams []*stream
	groups  []*group
	kept    []*kept
	actors  []*actor
	wills   wills

	delivered atomic.Uint64
	refused   atomic.Uint64
	faults    atomic.Uint64
	start     time.Time
}

// newWorld makes n actors, the same ones for each seed.
func newWorld(address string, seed uint64, n int) *world {
	w := &world{address: address, late: 5 * time.Second, patience: 30 * time.Second, start: time.Now()}
	w.wills.late = w.late
	r := rand.New(rand.NewPCG(seed, 0))
	for g := range groups {
		w.groups = append(w.groups, newGroup(fmt.Sprintf("$share/g%d/s/%d", g, g), 1+mqtt.QoS(g%2)))
	}
	for i := range n {
		a := &actor{
			world: w, name: "actor-" + strconv.Itoa(i), rand: rand.New(rand.NewPCG(seed, uint64(i)+1)),
			version: []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5, mqtt.V5}[r.IntN(4)],
			durable: r.IntN(3) > 0, faithful: i < 2*groups,
		}
		a.durable = a.durable || a.faithful
		w.give(a, r, i)
		w.actors = append(w.actors, a)
	}
	return w
}

// give gives an actor its streams and filters.
func (w *world) give(a *actor, r *rand.Rand, i int) {
	add := func(topic string, qos mqtt.QoS) *stream {
		s := newStream(uint32(len(w.streams)), topic, qos)
		w.streams, a.streams = append(w.streams, s), append(a.streams, s)
		return s
	}
	if i < 3*groups || r.IntN(10) == 0 {
		g := w.groups[i%groups]
		a.filters = append(a.filters, subscription{filter: g.filter, qos: g.qos, group: g})
	}
	for range 2 {
		add(fmt.Sprintf("t/%d/%d", r.IntN(rows), r.IntN(columns)), mqtt.QoS(r.IntN(3)))
	}
	if r.IntN(4) == 0 {
		k := r.IntN(groups)
		add(fmt.Sprintf("s/%d", k), 1+mqtt.QoS(r.IntN(2))).group = w.groups[k]
	}
	if r.IntN(5) == 0 {
		s := add("ret/"+strconv.Itoa(i), 1+mqtt.QoS(r.IntN(2)))
		s.retain = true
		a.kept = &kept{stream: s}
		w.kept = append(w.kept, a.kept)
	}
	filters := []string{
		fmt.Sprintf("t/%d/%d", r.IntN(rows), r.IntN(columns)), fmt.Sprintf("t/%d/%d", r.IntN(rows), r.IntN(columns)),
		fmt.Sprintf("t/%d/+", r.IntN(rows)), fmt.Sprintf("t/+/%d", r.IntN(columns)), fmt.Sprintf("ret/%d", r.IntN(len(w.actors)+1)),
	}
	switch r.IntN(50) {
	case 0:
		filters = append(filters, "t/#")
	case 1:
		filters = append(filters, "ret/+")
	}
	for _, f := range filters {
		a.filters = append(a.filters, subscription{filter: f, qos: mqtt.QoS(r.IntN(3))})
	}
}

// fault reports something that the server did wrong.
func (w *world) fault(text string) {
	switch n := w.faults.Add(1); {
	case n < faultsShown:
		fmt.Fprintf(os.Stderr, "%8.3f FAULT %s\n", time.Since(w.start).Seconds(), text)
	case n == faultsShown:
		fmt.Fprintln(os.Stderr, "more faults are only counted")
	}
}

// run lets all actors live until ctx ends.
func (w *world) run(ctx context.Context) {
	var living sync.WaitGroup
	for i, a := range w.actors {
		if i == 2*groups { // nobody publishes before each group has its members
			w.await("the groups' first members", func() string { return w.outside(2 * groups) })
		}
		living.Go(func() { a.live(ctx) })
	}
	living.Wait()
}

// outside names one of the first n actors, the faithful ones, that is not
// subscribed; "" when all are.
func (w *world) outside(n int) string {
	for _, f := range w.actors[:n] {
		f.mu.Lock()
		ok := f.box != nil && f.box.isGranted(f.filters[0].filter)
		f.mu.Unlock()
		if !ok {
			return f.name
		}
	}
	return ""
}

// await waits until missing returns "", and reports what it says when that
// takes too long.
func (w *world) await(what string, missing func() string) {
	deadline := time.Now().Add(2 * w.patience)
	for {
		m := missing()
		if m == "" {
			return
		}
		if time.Now().After(deadline) {
			w.fault(what + ": " + m)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// settle brings everybody back and waits for all that is owed.
func (w *world) settle() {
	w.each((*actor).settle)
	for _, a := range w.actors {
		w.await(a.name+" misses", a.missing)
	}
	for _, g := range w.groups {
		w.await("a group misses", g.missing)
	}
	w.judgeRetained()
}

// keepAlive pings for all actors until the function it returns is called.
func (w *world) keepAlive() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; pause(ctx, silence/4) {
			for _, a := range w.actors {
				a.ping()
			}
		}
	}()
	return func() { cancel(); <-done }
}

// each calls f for all actors, some at a time: the server closes the oldest of
// too many connections that have not said CONNECT.
func (w *world) each(f func(*actor)) {
	var all sync.WaitGroup
	room := make(chan struct{}, 16)
	for _, a := range w.actors {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			f(a)
		})
	}
	all.Wait()
}

// watchWills subscribes to the wills for good. The caller closes the socket.
func (w *world) watchWills() (*wire, error) {
	return w.watcher("wills", mqtt.V311, "will/#", mqtt.ExactlyOnce, func(v *packet.View) {
		number, err := strconv.Atoi(string(v.Publish.Payload))
		if err == nil {
			err = w.wills.take(number, time.Now())
		}
		if err != nil {
			w.fault(err.Error())
		}
	})
}

// judgeRetained compares the retained messages with what was published.
func (w *world) judgeRetained() {
	var mu sync.Mutex
	got := make(map[uint32]uint64)
	c, err := w.watcher("retained", mqtt.V311, "ret/#", mqtt.AtMostOnce, func(v *packet.View) {
		if id, number, ok := decodePayload(v.Publish.Payload); ok && v.Publish.Retain {
			mu.Lock()
			got[id] = number
			mu.Unlock()
		}
	})
	if err != nil {
		w.fault(err.Error())
		return
	}
	defer c.nc.Close()
	time.Sleep(w.late)
	mu.Lock()
	defer mu.Unlock()
	for _, k := range w.kept {
		n, ok := got[k.stream.id]
		if err := k.judge(n, ok); err != nil {
			w.fault(err.Error())
		}
	}
}

// watcher is a client that only listens. It returns when it is subscribed.
func (w *world) watcher(name string, version mqtt.Version, filter string, qos mqtt.QoS, take func(*packet.View)) (*wire, error) {
	c, err := dial(w.address, version)
	if err != nil {
		return nil, err
	}
	connect := &packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: version, CleanStart: true, ClientID: []byte(name)}}
	if err := c.send(connect); err != nil {
		return nil, err
	}
	if err := c.send(&packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte(filter), QoS: qos}}}); err != nil {
		return nil, err
	}
	subscribed := make(chan struct{})
	go c.read(func(v *packet.View) error { // ends when the caller closes the socket
		switch v.Type {
		case packet.SUBACK:
			close(subscribed)
		case packet.PUBLISH:
			take(v)
			if v.Publish.QoS == mqtt.AtLeastOnce {
				return c.send(&packet.View{Type: packet.PUBACK, ID: v.ID})
			} else if v.Publish.QoS == mqtt.ExactlyOnce {
				return c.send(&packet.View{Type: packet.PUBREC, ID: v.ID})
			}
		case packet.PUBREL:
			return c.send(&packet.View{Type: packet.PUBCOMP, ID: v.ID})
		}
		return nil
	})
	select {
	case <-subscribed:
		return c, nil
	case <-time.After(w.patience):
		return nil, fmt.Errorf("%s: no SUBACK", name)
	}
}
