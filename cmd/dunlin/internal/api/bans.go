package api

import (
	"net/netip"
	"sort"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
)

// Ban keeps out who matches all that is there.
type Ban struct {
	Client  string  `json:"client,omitempty"` // Client Identifier
	User    string  `json:"user,omitempty"`
	Address string  `json:"address,omitempty"` // of IPv6 the network of 64 bits
	For     float64 `json:"for"`               // seconds that are left
}

func bans(c *call) (any, error) {
	out := []Ban{}
	for _, b := range c.a.Broker.Bans() {
		d := Ban{Client: b.ClientID, User: b.User, For: b.For.Seconds()}
		if b.Address.IsValid() {
			d.Address = b.Address.String()
		}
		out = append(out, d)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].For < out[j].For })
	return out, nil
}

// whom is the ban that the arguments describe.
func whom(c *call) (b broker.Ban, err error) {
	b.ClientID, b.User = c.args["client"], c.args["user"]
	if a := c.args["address"]; a != "" {
		if b.Address, err = netip.ParseAddr(a); err != nil {
			return b, problem(400, "%.100q is not an IP address", a)
		}
	}
	if b == (broker.Ban{}) {
		return b, problem(400, "name a client, a user or an address")
	}
	return b, nil
}

func ban(c *call) (any, error) {
	b, err := whom(c)
	if err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseFloat(c.args["for"], 64)
	if err != nil || !(seconds > 0 && seconds < 1e9) {
		return nil, problem(400, "for is in seconds, more than 0")
	}
	b.For = time.Duration(seconds * float64(time.Second))
	if err := c.a.Broker.Ban(b); err != nil {
		return nil, problem(409, "%v", err)
	}
	return nil, nil
}

func unban(c *call) (any, error) {
	b, err := whom(c)
	if err == nil && !c.a.Broker.Unban(b) {
		err = problem(404, "there is no such ban")
	}
	return nil, err
}
