package mdns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Service is something that the host serves: {Type: "_mqtt._tcp", Port: 1883}.
type Service struct {
	Type string
	Port uint16
	Addr netip.Addr // at which alone it is served; not valid: at all
	Text string     // "path=/mqtt"; empty: nothing is to be said
}

// maxLabel is how long a part of a name may be.
const maxLabel = 63

// label is a host's name with an ending, within what a label holds.
func label(host, ending string) string { return host[:min(len(host), maxLabel-len(ending))] + ending }

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
	ports := map[string][]uint16{} // of each type
	for _, s := range services {
		here := !s.Addr.IsValid() || slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr() == s.Addr })
		if !here || slices.Contains(ports[s.Type], s.Port) {
			continue
		}
		instance := name(host, s.Type)
		if len(ports[s.Type]) == 0 {
			add(name("_services._dns-sd._udp"), false, otherTTL, &dnsmessage.PTRResource{PTR: name(s.Type)})
		} else { // the name of the first is taken
			instance = name(label(host, fmt.Sprintf(" %d", s.Port)), s.Type)
		}
		ports[s.Type] = append(ports[s.Type], s.Port)
		add(name(s.Type), false, otherTTL, &dnsmessage.PTRResource{PTR: instance})
		add(instance, true, hostTTL, &dnsmessage.SRVResource{Port: s.Port, Target: name(host)})
		add(instance, true, otherTTL, &dnsmessage.TXTResource{TXT: []string{s.Text[:min(len(s.Text), 255)]}})
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

// known says whether a record is among others, that live long enough.
func known(r dnsmessage.Resource, others []dnsmessage.Resource) bool {
	return slices.ContainsFunc(others, func(o dnsmessage.Resource) bool {
		return same(o.Header.Name, r.Header.Name) && o.Header.TTL >= r.Header.TTL/2 && o.Body.GoString() == r.Body.GoString()
	})
}

// answers are the records that a query asks for and does not know (RFC 6762,
// 7.1), and for a name that has none of the type asked for the record that
// says so.
func answers(q *dnsmessage.Message, all []dnsmessage.Resource) []dnsmessage.Resource {
	var out []dnsmessage.Resource
	add := func(r dnsmessage.Resource) {
		if !known(r, q.Answers) && !known(r, out) {
			out = append(out, r)
		}
	}
	for _, question := range q.Questions {
		found := false
		for _, r := range all {
			if same(question.Name, r.Header.Name) && (question.Type == r.Header.Type || question.Type == dnsmessage.TypeALL) {
				add(r)
				found = true
			}
		}
		if !found {
			if r, ours := denial(question.Name, all); ours {
				add(r)
			}
		}
	}
	return out
}

// typeNSEC is the type of a record that lists the types that a name has.
const typeNSEC dnsmessage.Type = 47

// denial says which types a name has, if it is only ours (RFC 6762, 6.1): its
// own name as the next one, and a bit for each type, in one block.
func denial(n dnsmessage.Name, all []dnsmessage.Resource) (r dnsmessage.Resource, ours bool) {
	var bits [32]byte
	last := 0
	for _, o := range all {
		if t := int(o.Header.Type); o.Header.Class&flush != 0 && same(o.Header.Name, n) {
			r.Header.Name, ours = o.Header.Name, true
			bits[t/8] |= 0x80 >> (t % 8)
			last = max(last, t/8)
		}
	}
	var data []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(r.Header.Name.String(), "."), ".") {
		data = append(append(data, byte(len(label))), label...)
	}
	data = append(data, 0, 0, byte(last+1)) // the root; block 0, and its length
	r.Header.Type, r.Header.Class, r.Header.TTL = typeNSEC, dnsmessage.ClassINET|flush, hostTTL
	r.Body = &dnsmessage.UnknownResource{Type: typeNSEC, Data: append(data, bits[:last+1]...)}
	return r, ours
}

// unique are the records whose names are only ours.
func unique(all []dnsmessage.Resource) []dnsmessage.Resource {
	return slices.DeleteFunc(slices.Clone(all), func(r dnsmessage.Resource) bool { return r.Header.Class&flush == 0 })
}

// claimed says whether a response shows that another host has one of our
// names: a record of it that is not one of ours.
func claimed(m *dnsmessage.Message, ours []dnsmessage.Resource) bool {
	return slices.ContainsFunc(slices.Concat(m.Answers, m.Additionals), func(r dnsmessage.Resource) bool {
		if r.Header.TTL == 0 || r.Header.Type == typeNSEC {
			return false
		}
		named, is := false, false
		for _, o := range ours {
			if same(o.Header.Name, r.Header.Name) {
				named = true
				is = is || o.Body.GoString() == r.Body.GoString()
			}
		}
		return named && !is
	})
}

// loses says whether another host's probe for one of our names comes before
// ours: its records are the later ones (RFC 6762, 8.2).
func loses(m *dnsmessage.Message, ours []dnsmessage.Resource) bool {
	for _, q := range m.Questions {
		theirs, mine := sortable(m.Authorities, q.Name), sortable(ours, q.Name)
		if len(theirs) > 0 && len(mine) > 0 && slices.CompareFunc(mine, theirs, bytes.Compare) < 0 {
			return true
		}
	}
	return false
}

// sortable are a name's records in their order, as class, type and data. Of
// types other than addresses it is the class and the type.
func sortable(all []dnsmessage.Resource, n dnsmessage.Name) (list [][]byte) {
	for _, r := range all {
		if !same(r.Header.Name, n) {
			continue
		}
		key := binary.BigEndian.AppendUint16(nil, uint16(r.Header.Class&^flush))
		key = binary.BigEndian.AppendUint16(key, uint16(r.Header.Type))
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			key = append(key, b.A[:]...)
		case *dnsmessage.AAAAResource:
			key = append(key, b.AAAA[:]...)
		}
		list = append(list, key)
	}
	slices.SortFunc(list, bytes.Compare)
	return list
}
