package network

import (
	"path/filepath"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/sntp"
)

// pool are the servers of a network that names none.
var pool = []string{"0.pool.ntp.org", "1.pool.ntp.org", "2.pool.ntp.org", "3.pool.ntp.org"}

// TimeFile is where Run keeps the time, below State: what sntp.Restore reads.
func TimeFile(state string) string { return filepath.Join(state, "time") }

func (n *network) timekeeper() *sntp.Client {
	return &sntp.Client{Clock: n.Clock, Servers: n.timeServers, Wake: n.servers, File: TimeFile(n.State), Logf: n.Logf,
		Problem: func(text string) { n.Problem("time", text) }}
}

// timeServers are the user's, else those that DHCP servers named, else the
// pool's; none while no link has a router or, by IPv6, a name server.
func (n *network) timeServers() []string {
	var named []string
	online := false
	for _, k := range n.byMetric() {
		online = online || k.lease.Router.IsValid() || time.Now().Before(k.v6end)
		for _, a := range k.lease.NTP {
			named = append(named, a.String())
		}
	}
	switch {
	case len(n.Static.NTP) > 0:
		return n.Static.NTP
	case len(named) > 0:
		return named
	case online:
		return pool
	}
	return nil
}
