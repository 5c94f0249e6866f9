package network

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/dhcp"
	"github.com/dunlin-mqtt/dunlin/build/image/network/link"
)

// What resolv.conf holds at most: resolvers look at no more.
const (
	maxServers = 3
	maxSearch  = 6
)

// learned keeps what a lease told besides the address.
func (n *network) learned(index int, metric uint32, l dhcp.Lease) {
	n.change(index, func(k *known) { k.metric, k.lease = metric, l })
	n.askForTime()
}

// askForTime has time servers asked at once: others may be reached now.
func (n *network) askForTime() {
	select {
	case n.servers <- struct{}{}:
	default: // it will ask all anyway
	}
}

// advertised keeps the name servers of a router advertisement.
func (n *network) advertised(s link.Servers) {
	now, first := time.Now(), false
	n.change(s.Index, func(k *known) {
		first = !now.Before(k.v6end) && s.Lifetime > 0
		k.v6, k.v6end = s.Addrs, now.Add(s.Lifetime)
		if k.metric == 0 {
			k.metric = metricLocal
		}
	})
	if first { // a network without IPv4 may have no other
		n.askForTime()
	}
}

func (n *network) change(index int, with func(*known)) {
	n.state.Lock()
	k := n.state.links[index]
	with(&k)
	n.state.links[index] = k
	n.state.Unlock()
	n.writeResolv()
}

func (n *network) forget(index int) {
	n.state.Lock()
	delete(n.state.links, index)
	n.state.Unlock()
	n.writeResolv()
}

// byMetric are the links, the best first.
func (n *network) byMetric() []known {
	n.state.Lock()
	defer n.state.Unlock()
	var all []known
	for _, k := range n.state.links {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b known) int { return cmp.Compare(a.metric, b.metric) })
	return all
}

// writeResolv writes the file anew if it would change.
func (n *network) writeResolv() {
	n.writing <- struct{}{}
	defer func() { <-n.writing }()
	want := resolvConf(n.byMetric(), n.Static, time.Now())
	if have, err := os.ReadFile(n.Resolv); err == nil && bytes.Equal(have, want) {
		return
	}
	temp := n.Resolv + ".new"
	err := os.WriteFile(temp, want, 0o644)
	if err == nil {
		err = os.Rename(temp, n.Resolv)
	}
	if err != nil {
		n.Logf("%v", err)
	}
}

func resolvConf(links []known, s Static, now time.Time) []byte {
	servers, search := slices.Clone(s.DNS), slices.Clone(s.Search)
	for _, k := range links {
		if len(s.DNS) == 0 {
			servers = append(servers, k.lease.DNS...)
			if now.Before(k.v6end) {
				servers = append(servers, k.v6...)
			}
		}
		if len(s.Search) == 0 {
			search = append(search, k.lease.Search...)
		}
	}
	var b bytes.Buffer
	seen := map[netip.Addr]bool{}
	for _, a := range servers {
		if !seen[a] && len(seen) < maxServers {
			seen[a] = true
			fmt.Fprintf(&b, "nameserver %v\n", a)
		}
	}
	for i, d := range search[:min(len(search), maxSearch)] {
		if i == 0 {
			b.WriteString("search")
		}
		b.WriteString(" " + d)
	}
	if len(search) > 0 {
		b.WriteByte('\n')
	}
	return b.Bytes()
}
