package bridge

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Profile is what a kind of server can and cannot do, as data. A zero field is
// no limit. {client} in a template stands for the Client Identifier, {identity} for
// how Azure IoT Hub writes it in topics (azureIdentity), {host} for
// the server's host.
type Profile struct {
	Name     string
	Versions []mqtt.Version // those it speaks, the best first; none: all
	TLS      bool           // it speaks nothing else
	ALPN     string         // protocol to offer on port 443
	// NoBridgeBit says that it refuses mosquitto's mark of bridges in 3.x.
	NoBridgeBit bool

	ClientID     int // bytes
	KeepAliveMax time.Duration
	Username     string // template; used if none is configured
	NeedUsername bool
	CertNames    bool // a certificate will do instead of a user name
	NeedLogin    bool // a password or a certificate

	MaximumQoS  mqtt.QoS // with LimitQoS
	LimitQoS    bool
	StripRetain bool     // RETAIN is refused or pointless
	Payload     int      // bytes
	PacketSize  int      // bytes
	TopicBytes  int      // bytes
	Slashes     int      // in a topic
	NoSpace     bool     // in a topic
	FreePrefix  string   // a prefix that does not count, together with the level behind it
	Publish     []string // templates of filters that may be published to; none: all

	Subscribe     []string // templates of filters that may be subscribed to; none: all
	Subscriptions int      // of one connection
	FilterLevels  int
	NoIdentifiers bool // it takes no Subscription Identifiers
	NoNack        bool // it closes over an acknowledgement with a failure

	Messages, Bytes         int // per second
	InFlight, InFlightBytes int
}

// FindProfile returns a profile by its name; "" and "generic" are the one
// without limits.
func FindProfile(name string) (Profile, bool) {
	if name == "" || name == "generic" {
		return Profile{Name: "generic"}, true
	}
	i := slices.IndexFunc(profiles, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return profiles[i], true
}

// Speaks reports whether such a server speaks v.
func (p *Profile) Speaks(v mqtt.Version) bool {
	return len(p.Versions) == 0 || slices.Contains(p.Versions, v)
}

// fill replaces the templates.
func fill(template, client, host string) string {
	return strings.NewReplacer("{client}", client, "{identity}", azureIdentity(client), "{host}", host).Replace(template)
}

// username is what to sign in with where nothing is configured.
func (p *Profile) username(o *Options, host string) string {
	if o.Username != "" {
		return o.Username
	}
	return fill(p.Username, o.ClientID, host)
}

// bound keeps options within what such a server takes.
func (p *Profile) bound(o *Options) {
	least := func(a *int, b int) {
		if b > 0 {
			*a = min(*a, b)
		}
	}
	least(&o.InFlight, p.InFlight)
	least(&o.InFlightBytes, p.InFlightBytes)
	for _, r := range []struct {
		mine *float64
		its  int
	}{{&o.Pace.Messages, p.Messages}, {&o.Pace.Bytes, p.Bytes}} {
		if its := float64(r.its); its > 0 && (*r.mine == 0 || *r.mine > its) {
			*r.mine = its
		}
	}
	if p.KeepAliveMax > 0 {
		o.KeepAlive = min(o.KeepAlive, p.KeepAliveMax)
	}
}

// configure adapts what TLS offers.
func (p *Profile) configure(cfg *tls.Config, port string) {
	if p.ALPN != "" && port == "443" && len(cfg.NextProtos) == 0 {
		cfg.NextProtos = []string{p.ALPN}
	}
}

// restrict narrows what a CONNACK allows.
func (p *Profile) restrict(l *limits) {
	if p.LimitQoS {
		l.maximumQoS = min(l.maximumQoS, p.MaximumQoS)
	}
	if p.StripRetain {
		l.retain = false
	}
	if p.NoIdentifiers {
		l.identifiers = false
	}
	if p.PacketSize > 0 && (l.packetSize == 0 || l.packetSize > uint32(p.PacketSize)) {
		l.packetSize = uint32(p.PacketSize)
	}
}

// Takes reports whether such a server takes messages on a topic.
func (p *Profile) Takes(name, client string) bool {
	return p.topicFault(name) == "" && taken(p.Publish, name, client)
}

// refuses returns the reason for which such a server would not take a message,
// and would most often close the connection; Success when it would.
func (p *Profile) refuses(name string, payload int, client string) mqtt.ReasonCode {
	switch {
	case p.Payload > 0 && payload > p.Payload:
		return mqtt.PacketTooLarge
	case !p.Takes(name, client):
		return mqtt.TopicNameInvalid
	}
	return mqtt.Success
}

// topicFault says why the server would refuse a topic, or any topic that a
// filter stands for, whatever its wildcards stand for.
func (p *Profile) topicFault(name string) string {
	if p.FreePrefix != "" && strings.HasPrefix(name, p.FreePrefix) {
		_, name, _ = strings.Cut(name[len(p.FreePrefix):], "/")
	}
	if n := strings.Count(name, "/"); p.Slashes > 0 && n > p.Slashes {
		return fmt.Sprintf("has %d levels, %s takes %d", n+1, p.Name, p.Slashes+1)
	}
	if p.NoSpace && strings.Contains(name, " ") {
		return "has a space, which " + p.Name + " takes in no topic"
	}
	if p.TopicBytes > 0 && len(name) > p.TopicBytes {
		return fmt.Sprintf("has %d bytes, %s takes %d", len(name), p.Name, p.TopicBytes)
	}
	return ""
}

// taken reports whether one of the templates of filters takes in the whole
// of filter; none takes in all.
func taken(templates []string, filter, client string) bool {
	return len(templates) == 0 || slices.ContainsFunc(templates, func(t string) bool {
		return t == filter || topic.Covers(fill(t, client, ""), filter)
	})
}

// ProfileFault is a place in a configuration that the server would refuse.
type ProfileFault struct {
	Place string // as "out[2]", "status_topic", "keep_alive"
	Msg   string
	Hint  string
}

// Check finds, without a network, what such a server would refuse of these
// options: every route, and what CONNECT holds.
func (p *Profile) Check(o *Options) []ProfileFault {
	var faults []ProfileFault
	bad := func(place, hint, format string, args ...any) {
		faults = append(faults, ProfileFault{place, fmt.Sprintf(format, args...), hint})
	}
	p.checkConnect(o, bad)
	for i, r := range o.Out {
		place, to := fmt.Sprintf("out[%d]", i), r.To
		if to == "" {
			to = r.From
		}
		if o.Envelope == ThingsBoard {
			to = thingsBoardTopic
		}
		if fault := p.topicFault(to); fault != "" {
			bad(place, "shorten it with to: ...", "topic %q %s", to, fault)
		}
		if !taken(p.Publish, to, o.ClientID) {
			bad(place, "map it with to: \""+fill(p.Publish[0], o.ClientID, "")+"\"", "%s takes no messages on %q", p.Name, to)
		}
	}
	if n := len(subscriptions(o.In)); p.Subscriptions > 0 && n > p.Subscriptions {
		bad("in", "join routes with wildcards", "%d subscriptions, %s takes %d", n, p.Name, p.Subscriptions)
	}
	for i, r := range o.In {
		place := fmt.Sprintf("in[%d]", i)
		if fault := p.topicFault(r.From); fault != "" {
			bad(place, "shorten it: a # stands for any number of levels", "filter %q %s", r.From, fault)
		}
		if n := strings.Count(r.From, "/") + 1; p.FilterLevels > 0 && n > p.FilterLevels {
			bad(place, "", "filter %q has %d levels, %s takes %d", r.From, n, p.Name, p.FilterLevels)
		}
		if !taken(p.Subscribe, r.From, o.ClientID) {
			bad(place, "it has "+fill(strings.Join(p.Subscribe, ", "), o.ClientID, ""), "%s has no topic %q to subscribe to", p.Name, r.From)
		}
	}
	return faults
}

func (p *Profile) checkConnect(o *Options, bad func(place, hint, format string, args ...any)) {
	if !p.Speaks(o.Protocol) {
		bad("protocol", "protocol: \""+p.Versions[0].String()+"\"", "%s does not speak MQTT %s", p.Name, o.Protocol)
	}
	if n := len(o.ClientID); p.ClientID > 0 && n > p.ClientID {
		bad("client_id", "", "%d bytes, %s takes %d", n, p.Name, p.ClientID)
	}
	if p.KeepAliveMax > 0 && o.KeepAlive > p.KeepAliveMax {
		bad("keep_alive", "", "%v is longer than the %v of %s", o.KeepAlive, p.KeepAliveMax, p.Name)
	}
	for i, text := range o.Servers {
		if s, err := parseServer(text); p.TLS && err == nil && !s.tls {
			bad(fmt.Sprintf("servers[%d]", i), "mqtts://"+s.host, "%s speaks only TLS", p.Name)
		}
	}
	if p.NeedUsername && o.Username == "" && p.Username == "" && !(p.CertNames && o.HasCertificate) {
		bad("credentials", "credentials: {username: ...}", "%s needs a user name", p.Name)
	}
	if p.NeedLogin && o.Password == "" && !o.Signs && !o.HasCertificate {
		bad("credentials", "credentials: {cert: ..., key: ...}, or a password", "%s lets nobody in without credentials", p.Name)
	}
	if s := o.StatusTopic; s != "" && !p.Takes(s, o.ClientID) {
		bad("status_topic", "status_topic: \"\"", "%s takes no messages on %q, and no will", p.Name, s)
	}
	if topic.ValidName(o.ClientID) != nil && len(p.Publish) > 0 {
		bad("client_id", "", "it is part of topics there: %q cannot be", o.ClientID)
	}
}
