package mdns

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Service is something that the host serves: {"_mqtt._tcp", 1883}.
type Service struct {
	Type string
	Port uint16
}

const (
	hostTTL   = 120  // of records with the host's name or address, RFC 6762, 10
	otherTTL  = 4500 // of all others
	legacyTTL = 10   // to resolvers that know nothing of mDNS, 6.7

	flush = 0x8000 // of a class: the record is the only one; of a question's: by unicast, please
)

func name(labels ...string) dnsmessage.Name {
	n, err := dnsmessage.NewName(strings.Join(labels, ".") + ".local.")
	if err != nil {
		panic(err) // host names have at most 63 bytes, types are constants
	}
	return n
}

// records are all that is to be said of a host.
func records(host string, addrs []netip.Prefix, services []Service) []dnsmessage.Resource {
	var all []dnsmessage.Resource
	add := func(n dnsmessage.Name, unique bool, ttl uint32, body dnsmessage.ResourceBody) {
		class := dnsmessage.ClassINET
		if unique {
			class |= flush
		}
		all = append(all, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: n, Type: kind(body), Class: class, TTL: ttl}, Body: body})
	}
	for _, p := range addrs {
		if a := p.Addr(); a.Is4() {
			add(name(host), true, hostTTL, &dnsmessage.AResource{A: a.As4()})
		} else {
			add(name(host), true, hostTTL, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	for _, s := range services {
		instance := name(host, s.Type)
		add(name("_services._dns-sd._udp"), false, otherTTL, &dnsmessage.PTRResource{PTR: name(s.Type)})
		add(name(s.Type), false, otherTTL, &dnsmessage.PTRResource{PTR: instance})
		add(instance, true, hostTTL, &dnsmessage.SRVResource{Port: s.Port, Target: name(host)})
		add(instance, true, otherTTL, &dnsmessage.TXTResource{TXT: []string{""}})
	}
	return all
}

func kind(b dnsmessage.ResourceBody) dnsmessage.Type {
	switch b.(type) {
	case *dnsmessage.AResource:
		return dnsmessage.TypeA
	case *dnsmessage.AAAAResource:
		return dnsmessage.TypeAAAA
	case *dnsmessage.PTRResource:
		return dnsmessage.TypePTR
	case *dnsmessage.SRVResource:
		return dnsmessage.TypeSRV
	}
	return dnsmessage.TypeTXT
}

func same(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

// answers are the records that a query asks for and does not know.
func answers(q *dnsmessage.Message, all []dnsmessage.Resource) []dnsmessage.Resource {
	var out []dnsmessage.Resource
	for _, r := range all {
		asked := false
		for _, question := range q.Questions {
			asked = asked || same(question.Name, r.Header.Name) && (question.Type == r.Header.Type || question.Type == dnsmessage.TypeALL)
		}
		for _, k := range q.Answers { // RFC 6762, 7.1
			if asked && same(k.Header.Name, r.Header.Name) && k.Header.TTL >= r.Header.TTL/2 && k.Body.GoString() == r.Body.GoString() {
				asked = false
			}
		}
		if asked {
			out = append(out, r)
		}
	}
	return out
}

// claimed says whether a response shows that another host has the name: a
// record of it that is not one of ours.
func claimed(m *dnsmessage.Message, host string, addrs []netip.Prefix) bool {
	ours := records(host, addrs, nil)
	for _, r := range append(m.Answers, m.Additionals...) {
		address := r.Header.Type == dnsmessage.TypeA || r.Header.Type == dnsmessage.TypeAAAA
		if !address || !same(r.Header.Name, name(host)) || r.Header.TTL == 0 {
			continue
		}
		known := false
		for _, o := range ours {
			known = known || o.Body.GoString() == r.Body.GoString()
		}
		if !known {
			return true
		}
	}
	return false
}
