package api

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Build says what the program was made from.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // with "+" when the tree had changes
	Time     string `json:"time,omitempty"`     // of the revision, RFC 3339
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Session is who asks.
type Session struct {
	User  string `json:"user,omitempty"`
	Role  string `json:"role"`
	Login bool   `json:"login"` // by a cookie, which a logout ends
}

// Status is the gateway on one page. Times that are ages or spans are in
// seconds.
type Status struct {
	API       string   `json:"api"` // v1
	Node      string   `json:"node"`
	Base      string   `json:"base"` // of the topics of its devices
	Version   string   `json:"version"`
	Uptime    float64  `json:"uptime"`
	CPU       float64  `json:"cpu_seconds"`
	Memory    int64    `json:"memory"` // resident bytes
	Attention []string `json:"attention"`
	Broker    Broker   `json:"broker"`
	Store     Store    `json:"store"`
	Devices   []Device `json:"devices"`
	Bridges   []Bridge `json:"bridges"`
}

// Broker is the MQTT server in numbers; counters count since the start.
type Broker struct {
	Connections   int    `json:"connections"`
	Clients       int    `json:"clients"` // connected
	Sessions      int    `json:"sessions"`
	Subscriptions int    `json:"subscriptions"`
	Retained      int    `json:"retained"`
	Waiting       int    `json:"waiting"`
	Received      uint64 `json:"received"` // PUBLISH packets
	Sent          uint64 `json:"sent"`
	Published     uint64 `json:"published"` // messages routed, those of devices and bridges included
	Dropped       uint64 `json:"dropped"`
	Refused       uint64 `json:"refused"` // connections
	// PublishRefused are messages that were not routed: no right, a wrong
	// topic, a limit; RetainedRefused those that were, but not retained.
	PublishRefused  uint64 `json:"publish_refused"`
	RetainedRefused uint64 `json:"retained_refused"`
	// Rates are a minute's average of PUBLISH packets a second.
	ReceivedRate float64 `json:"received_rate"`
	SentRate     float64 `json:"sent_rate"`
}

// Store is what is kept on disk.
type Store struct {
	Mode     string  `json:"mode"` // ok, degraded or memory
	Unsynced float64 `json:"unsynced"`
	Written  uint64  `json:"written"` // bytes
	Failures uint64  `json:"failures"`
	Error    string  `json:"error,omitempty"` // of degraded: why
}

// Device is one device of the gateway.
type Device struct {
	Name   string  `json:"name"`
	Driver string  `json:"driver"`
	State  string  `json:"state"`
	Reason string  `json:"reason,omitempty"`
	Error  string  `json:"error,omitempty"`
	Age    float64 `json:"age"` // of the newest valid reading; -1: there never was one
	OK     uint64  `json:"ok"`
	Failed uint64  `json:"failed"`
	Values []Value `json:"values"`
	Took   float64 `json:"-"` // by the last read, in seconds
}

// Value is the newest value of an entity.
type Value struct {
	Entity string `json:"entity"`
	Value  any    `json:"value"`
	Unit   string `json:"unit,omitempty"`
}

// Bridge is one link to another server.
type Bridge struct {
	Name     string  `json:"name"`
	State    string  `json:"state"`
	Since    float64 `json:"since"` // how long it has been in this state
	Class    string  `json:"class,omitempty"`
	Reason   string  `json:"reason,omitempty"`
	Server   string  `json:"server,omitempty"`
	RTT      float64 `json:"rtt"`
	LastAck  float64 `json:"last_ack"` // how long ago; -1: never
	Waiting  int     `json:"waiting"`
	Bytes    int64   `json:"bytes"`
	Oldest   float64 `json:"oldest"`
	InFlight int     `json:"in_flight"`
	Accepted uint64  `json:"accepted"`
	Acked    uint64  `json:"acked"`
	Dropped  uint64  `json:"dropped"`
	Dead     uint64  `json:"dead"`
	Received uint64  `json:"received"`
	Attempts uint64  `json:"attempts"`
	Connects uint64  `json:"connects"`
	Paused   bool    `json:"paused"`
	AckAge   float64 `json:"ack_age"`   // how long what is in flight has waited for any acknowledgement
	Rate     float64 `json:"rate"`      // messages/s acknowledged
	Drain    float64 `json:"drain"`     // until nothing waits, at that rate; 0: unknown, or nothing waits
	DeadKept int     `json:"dead_kept"` // entries of the dead-letter queue
	// Removed are those that the server has: at any moment accepted = removed
	// + waiting, those in flight included, + dropped, the dead included.
	Removed uint64 `json:"removed"`
	// Drops are those of Dropped, by reason.
	Drops map[string]uint64 `json:"drops"`

	LastLoss time.Duration `json:"-"` // how long ago
}

func version(c *call) (any, error) { return c.a.Build, nil }

func session(c *call) (any, error) { return Session{c.User, c.role.String(), c.login}, nil }

func status(c *call) (any, error) { return c.a.Status(), nil }

func devices(c *call) (any, error) { return c.a.devices(), nil }

func oneDevice(c *call) (any, error) {
	for _, d := range c.a.devices() {
		if d.Name == c.name {
			return d, nil
		}
	}
	return nil, problem(404, "there is no device %.100q", c.name)
}

// askDevice is a route's do for the device that the path names.
func askDevice(what sensors.Asked) func(*call) (any, error) {
	return func(c *call) (any, error) {
		switch err := c.a.Ask(c.name, what); err {
		case nil:
			return nil, nil
		case sensors.ErrNoDevice:
			return nil, problem(404, "there is no device %.100q", c.name)
		default:
			return nil, problem(409, "%v", err)
		}
	}
}

func bridges(c *call) (any, error) { return c.a.bridges(), nil }

// Status describes the gateway now.
func (a *API) Status() *Status {
	s, p := a.Broker.Stats(), readProcess()
	st := &Status{
		API: "v1", Node: a.Node, Base: a.Config().Gateway.Base, Version: a.Build.Version, Uptime: age(a.started), CPU: p.cpu, Memory: p.resident,
		Attention: []string{}, Devices: a.devices(), Bridges: a.bridges(), Store: a.store(),
		Broker: Broker{
			Connections: s.Connections, Clients: s.ClientsConnected, Sessions: s.Clients, Subscriptions: s.Subscriptions,
			Retained: s.Retained, Waiting: s.Waiting, Received: s.Received.Publishes, Sent: s.Sent.Publishes,
			Published: s.Published, Dropped: s.Dropped, Refused: s.ConnectionsRefused,
			PublishRefused: s.PublishRefused, RetainedRefused: s.RetainedRefused,
			ReceivedRate: a.load("received"), SentRate: a.load("sent"),
		},
	}
	if r := a.Reloaded(); r != nil && !r.OK {
		st.Attention = append(st.Attention, "the last reload found mistakes and changed nothing: see 'dunlin check'")
	}
	st.attend()
	if n := st.Broker.RetainedRefused; a.losses.fresh(n, time.Now()) {
		st.Attention = append(st.Attention, fmt.Sprintf("%d messages were not retained: a limit is reached", n))
	}
	return st
}

// lossStands is how long a loss needs attention, if no other follows.
const lossStands = 24 * time.Hour

// losses is a counter of what was lost, and since when it is what it is, as far
// as anybody has looked.
type losses struct {
	sync.Mutex
	n  uint64
	at time.Time
}

// fresh takes the counter and reports whether the last loss still needs
// attention.
func (l *losses) fresh(n uint64, now time.Time) bool {
	l.Lock()
	defer l.Unlock()
	if l.n != n {
		l.n, l.at = n, now
	}
	return n > 0 && now.Sub(l.at) < lossStands
}

// attend says in sentences what a person should look at.
func (s *Status) attend() {
	say := func(format string, args ...any) { s.Attention = append(s.Attention, fmt.Sprintf(format, args...)) }
	if s.Store.Mode == "degraded" {
		say("the disk refuses writes: %s; nothing is kept until it works again", s.Store.Error)
	}
	for _, d := range s.Devices {
		if d.Reason == string(sensors.Paused) {
			say("device %s is paused", d.Name)
		} else if d.State != string(sensors.Online) && d.State != string(sensors.Starting) {
			say("device %s is %s: %s", d.Name, d.State, cmp.Or(d.Error, d.Reason))
		}
	}
	for _, b := range s.Bridges {
		if b.State == string(bridge.Down) {
			say("bridge %s is down: %s", b.Name, b.Reason)
		}
		if b.Paused {
			say("bridge %s is paused", b.Name)
		}
		if n, why := b.Lost(); n > 0 && b.LastLoss < lossStands {
			say("bridge %s has dropped %d messages: %s", b.Name, n, why)
		}
	}
}

// Lost is how many messages were dropped that nobody meant to be, and why.
func (b *Bridge) Lost() (n uint64, why string) {
	for i := range (mqtt.Drops{}) {
		r := mqtt.DropReason(i)
		if dropped := b.Drops[r.String()]; dropped > 0 && r.Loss() {
			n += dropped
			why += fmt.Sprintf(", %d %s", dropped, r)
		}
	}
	return n, strings.TrimPrefix(why, ", ")
}

func (a *API) store() Store {
	s, durable := a.Broker.Store()
	if !durable {
		return Store{Mode: "memory"}
	}
	return Store{Mode: s.Mode.String(), Unsynced: s.UnsyncedAge.Seconds(), Written: s.Journal + s.Checkpoint + s.NewSegments, Failures: s.Failures, Error: s.Fault}
}

// load is one of the values that the broker keeps below $SYS: PUBLISH packets
// a second, averaged over a minute.
func (a *API) load(direction string) float64 {
	found, err := a.Broker.Retained("$SYS/broker/load/publish/" + direction + "/1min")
	if err != nil || len(found) != 1 {
		return 0 // $SYS may be off
	}
	perMinute, _ := strconv.ParseFloat(string(found[0].Payload), 64) // the broker wrote it
	return perMinute / 60
}

func (a *API) devices() []Device {
	drivers := map[string]string{}
	for _, d := range a.Config().Devices {
		drivers[d.Name] = d.Driver
	}
	all := []Device{}
	for _, s := range a.Devices() {
		h := &s.Health
		d := Device{
			Name: s.Name, Driver: drivers[s.Name], State: string(h.State), Reason: string(h.Reason), Error: h.Error,
			Age: age(h.LastOK), OK: h.OK, Failed: h.Err, Values: []Value{}, Took: s.Took.Seconds(),
		}
		for _, v := range s.Values {
			d.Values = append(d.Values, Value{v.Entity, v.Value, v.Unit})
		}
		all = append(all, d)
	}
	return all
}

func (a *API) bridges() []Bridge {
	all := []Bridge{}
	for _, b := range a.Bridges() {
		all = append(all, describeBridge(b))
	}
	return all
}

func describeBridge(b *bridge.Bridge) Bridge {
	s := b.Stats()
	out := Bridge{
		Name: b.Name(), State: string(s.State), Since: age(s.Since), Class: string(s.Class), Reason: s.Reason, Server: s.Server,
		RTT: s.RTT.Seconds(), LastAck: age(s.LastAck), Waiting: s.Queue.Messages, Bytes: s.Queue.Bytes, Oldest: s.Queue.Oldest.Seconds(),
		InFlight: s.InFlight, Accepted: s.Queue.Accepted, Acked: s.Acked, Dropped: s.Queue.Dropped, Dead: s.Dead, Received: s.Received,
		Attempts: s.Attempts, Connects: s.Connects, Paused: s.Paused, AckAge: s.AckAge.Seconds(), Rate: math.Round(s.Rate*100) / 100, Drain: s.Drain.Seconds(),
		DeadKept: s.DeadKept, Removed: s.Queue.Removed, Drops: map[string]uint64{},
		LastLoss: time.Since(s.LastLoss),
	}
	for reason, n := range s.Queue.Drops {
		if n > 0 {
			out.Drops[mqtt.DropReason(reason).String()] = n
		}
	}
	return out
}

// age is in seconds; -1 of what never was.
func age(t time.Time) float64 {
	if t.IsZero() {
		return -1
	}
	return time.Since(t).Round(time.Millisecond).Seconds()
}

// Listen binds the socket at path; one that a process left behind is replaced.
func Listen(path string) (net.Listener, error) { return broker.Listen("unix:" + path) }

// Dial connects to the gateway that has its socket at path.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", path)
}
