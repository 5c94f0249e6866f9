package api

import (
	"sort"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/lines"
)

// Clients is one page of sessions; Cursor, when set, asks for the next.
type Clients struct {
	Clients []Client `json:"clients"`
	Total   int      `json:"total"` // that match, on all pages
	Cursor  string   `json:"cursor,omitempty"`
}

// Client is one session and its connection.
type Client struct {
	ID            string  `json:"id"`
	User          string  `json:"user,omitempty"`
	Local         bool    `json:"local"` // of the gateway itself
	Connected     bool    `json:"connected"`
	Since         float64 `json:"since"` // how long it has been so, in seconds
	Protocol      string  `json:"protocol"`
	Remote        string  `json:"remote,omitempty"`
	Listener      string  `json:"listener,omitempty"`
	CleanStart    bool    `json:"clean_start"`
	KeepAlive     float64 `json:"keep_alive"`     // seconds
	SessionExpiry float64 `json:"session_expiry"` // seconds; negative: never
	Subscriptions int     `json:"subscriptions"`
	Waiting       int     `json:"waiting"`
	WaitingBytes  int     `json:"waiting_bytes"`
	InFlight      int     `json:"in_flight"`
	Received      uint64  `json:"received"` // PUBLISH packets of this connection
	Sent          uint64  `json:"sent"`
	Dropped       uint64  `json:"dropped"`
	LastEnd       string  `json:"last_end,omitempty"` // why the connection before ended
	// Events are the last 20, oldest first; of one client, not in lists.
	Events []lines.Event `json:"events,omitempty"`
}

func clients(c *call) (any, error) {
	limit, err := c.args.page()
	if err != nil {
		return nil, err
	}
	q, state, local, cursor := c.args["q"], c.args["state"], c.args["local"], c.args["cursor"]
	if state != "" && state != "connected" && state != "offline" {
		return nil, problem(400, "state is connected or offline")
	}
	var found []broker.ClientInfo
	out := Clients{Clients: []Client{}}
	c.a.Broker.Clients(func(i broker.ClientInfo) bool {
		wanted := state == "" || i.Connected == (state == "connected")
		wanted = wanted && (local == "" || i.Local == (local == "true"))
		if !wanted || !strings.Contains(i.ClientID, q) && !strings.Contains(i.User, q) {
			return true
		}
		if out.Total++; i.ClientID > cursor {
			found = append(found, i)
		}
		return true
	})
	sort.Slice(found, func(i, j int) bool { return found[i].ClientID < found[j].ClientID })
	if len(found) > limit {
		found = found[:limit]
		out.Cursor = found[limit-1].ClientID
	}
	for i := range found {
		out.Clients = append(out.Clients, describe(&found[i]))
	}
	return out, nil
}

func describe(i *broker.ClientInfo) Client {
	d := Client{
		ID: i.ClientID, User: i.User, Local: i.Local, Connected: i.Connected, Since: age(i.Since), Protocol: i.Version.String(),
		Remote: i.Remote, Listener: i.Listener, CleanStart: i.CleanStart, KeepAlive: i.KeepAlive.Seconds(), SessionExpiry: i.SessionExpiry.Seconds(),
		Subscriptions: i.Subscriptions, Waiting: i.Waiting, WaitingBytes: i.WaitingBytes, InFlight: i.InFlight,
		Received: i.Received.Publishes, Sent: i.Sent.Publishes, Dropped: i.Dropped.Total(),
	}
	if i.SessionExpiry > time.Duration(1<<32)*time.Second {
		d.SessionExpiry = -1
	}
	if i.LastEnd != mqtt.Success {
		d.LastEnd = i.LastEnd.String()
	}
	return d
}

func oneClient(c *call) (any, error) {
	i, ok := c.a.Broker.Client(c.name)
	events := c.a.Events.Of(c.name)
	if !ok && len(events) == 0 {
		return nil, problem(404, "there is no client %.100q", c.name)
	}
	d := Client{ID: c.name, Since: -1} // without a session: it was never let in, or has gone
	if ok {
		d = describe(&i)
	}
	d.Events = events
	return d, nil
}

func kick(c *call) (any, error) {
	if i, ok := c.a.Broker.Client(c.name); ok && i.Local {
		return nil, problem(409, "%s belongs to the gateway itself", c.name)
	}
	if c.args["session"] == "true" {
		there, err := c.a.Broker.EndSession(c.ctx, c.name)
		if err == nil && !there {
			err = problem(404, "%.100q has no session", c.name)
		}
		return nil, err
	}
	if !c.a.Broker.Disconnect(c.name, mqtt.AdministrativeAction) {
		return nil, problem(404, "no client %.100q is connected", c.name)
	}
	return nil, nil
}
