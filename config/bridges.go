package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Bridge is a link to another MQTT server.
type Bridge struct {
	Name        string        `yaml:"-"`
	Servers     []string      `yaml:"servers" req:"1" ex:"[\"mqtts://broker.example:8883\"]" doc:"addresses in order; the first is preferred"`
	Profile     string        `yaml:"profile" enum:"generic|aws-iot|azure-iot-hub|azure-event-grid|hivemq-cloud|emqx-serverless|thingsboard|mosquitto|nats" doc:"what the other side can and cannot do"`
	Protocol    string        `yaml:"protocol" enum:"5|3.1.1|3.1" doc:"MQTT version" ex:"\"5\""`
	ClientID    string        `yaml:"client_id" tmpl:"node" doc:"Client Identifier at the other side" ex:"\"{node}\""`
	Credentials Credentials   `yaml:"credentials" doc:"who we are at the other side"`
	TLS         BridgeTLS     `yaml:"tls" doc:"TLS of mqtts:// and wss://"`
	Proxy       Secret        `yaml:"proxy" doc:"http://host:port (CONNECT) or socks5://host:port, with user:password@ before the host if it wants them"`
	KeepAlive   time.Duration `yaml:"keep_alive" min:"1s" max:"18h" doc:"keep alive" ex:"30s"`
	StatusTopic string        `yaml:"status_topic" tmpl:"node" doc:"retained topic at the other side: online, and offline as the will; empty is none" ex:"\"dunlin/{node}/status\""`
	Out         []OutRoute    `yaml:"out" doc:"topics sent to the other side; the first match decides"`
	In          []Route       `yaml:"in" doc:"topics of the other side that are published here; the first match decides; from: $share/GROUP/FILTER for one gateway of a group each"`
	Spool       Spool         `yaml:"spool" doc:"what waits while the link is down"`
	Pace        Pace          `yaml:"pace" doc:"how fast messages are sent"`
	Envelope    string        `yaml:"envelope" enum:"raw|json|thingsboard|sparkplug" doc:"what is put around payloads; sparkplug makes the gateway a Sparkplug B Edge Node there"`
}

// Credentials are one way to say who we are.
type Credentials struct {
	Cert     Path         `yaml:"cert" doc:"PEM certificate chain" ex:"client.pem"`
	Key      Path         `yaml:"key" doc:"PEM private key" ex:"client.key"`
	Username string       `yaml:"username" tmpl:"node" doc:"user name"`
	Password Secret       `yaml:"password" doc:"file:/path, credential:NAME or \"${NAME}\""`
	SAS      Secret       `yaml:"sas" doc:"shared access key of the device in Azure IoT Hub: passwords are signed with it"`
	JWT      *SignedToken `yaml:"jwt" doc:"tokens that are signed here and sent as passwords"`
	// Lifetime is of signed passwords.
	Lifetime time.Duration `yaml:"lifetime" min:"1m" max:"24h" doc:"of passwords signed with sas or jwt; the bridge reconnects with a new one after four fifths of it" ex:"1h"`
}

// SignedToken says what a JSON Web Token holds.
type SignedToken struct {
	Key      Path   `yaml:"key" req:"1" ex:"gateway.key" doc:"PEM private key: RSA signs RS256, P-256 signs ES256"`
	Audience string `yaml:"audience" ex:"\"my-project\"" doc:"claim aud"`
	Subject  string `yaml:"subject" tmpl:"node" ex:"\"{node}\"" doc:"claim sub"`
	Issuer   string `yaml:"issuer" doc:"claim iss"`
}

// BridgeTLS is the client's side of TLS.
type BridgeTLS struct {
	CA         Path     `yaml:"ca" doc:"PEM file with the authorities to trust; default: the system's"`
	ServerName string   `yaml:"server_name" doc:"name that the certificate must have; default: the server's host"`
	ALPN       []string `yaml:"alpn" doc:"protocols to offer, as x-amzn-mqtt-ca on port 443"`
	// UnsetClock is for boards without a battery-backed clock.
	UnsetClock string `yaml:"unset_clock" enum:"refuse|build-date" doc:"while the clock shows less than the program's age allows: certificates are checked by it, or at the earliest time that it can be"`
}

// Route maps topics across the bridge.
type Route struct {
	From TopicFilter `yaml:"from" req:"1" tmpl:"node" ex:"\"sensors/#\"" doc:"topics on the side that they come from"`
	To   TopicFilter `yaml:"to" tmpl:"node" doc:"topic on the other side, with the same wildcards in the same order; default: from" ex:"\"sites/{node}/#\""`
	QoS  int         `yaml:"qos" min:"0" max:"2" doc:"highest QoS; default: as published"`
	// Retain strip makes of a retained message one that is not.
	Retain string `yaml:"retain" enum:"keep|strip" doc:"messages stay retained or are none"`
}

func (r *Route) setDefaults() { r.QoS, r.Retain = 2, "keep" }

// OutRoute is a Route to the other side.
type OutRoute struct {
	Route        `yaml:",inline"`
	Lane         string        `yaml:"lane" enum:"alarm|live|history" doc:"alarms overtake live values, which overtake history"`
	WhileOffline WhileOffline  `yaml:"while_offline" doc:"what is kept while the link is down" ex:"all"`
	TTL          time.Duration `yaml:"ttl" doc:"a message that waited longer is dropped; 0 is never" ex:"7d"`
	MaxSize      Size          `yaml:"max_size" doc:"a message with a larger payload goes to the dead letters; 0 is no limit" ex:"64KiB"`
	Batch        *Batch        `yaml:"batch" doc:"join messages into one to the topic of to, which has no wildcards then; QoS 2 becomes 1"`
}

// Batch bounds what is joined into one message.
type Batch struct {
	Count    int           `yaml:"count" min:"2" max:"10000" doc:"messages at most" ex:"100"`
	Size     Size          `yaml:"size" min:"256B" max:"1MiB" doc:"bytes at most, before compression" ex:"32KiB"`
	Wait     time.Duration `yaml:"wait" min:"10ms" doc:"how long the first message waits for others at most" ex:"10s"`
	Form     string        `yaml:"form" enum:"json|binary" doc:"a JSON array of objects with topic and time, or both with the payload behind their lengths"`
	Compress string        `yaml:"compress" enum:"none|gzip" doc:"the whole" ex:"gzip"`
}

func (b *Batch) setDefaults() {
	*b = Batch{Count: 100, Size: 32 << 10, Wait: 10 * time.Second, Form: "json", Compress: "none"}
}

func (r *OutRoute) setDefaults() {
	r.Route.setDefaults()
	r.Lane, r.WhileOffline.Keep = "live", "all"
}

// WhileOffline says what is kept of a topic while the link is down: a word, or
// one number for each window.
type WhileOffline struct {
	// Keep is all, last-value or none; mean, min, max or every in the mapping
	// form.
	Keep  string        `yaml:"-"`
	Mean  time.Duration `yaml:"mean" min:"1s" doc:"the mean of each window" ex:"1m"`
	Min   time.Duration `yaml:"min" min:"1s" doc:"the least of each window" ex:"1m"`
	Max   time.Duration `yaml:"max" min:"1s" doc:"the greatest of each window" ex:"1m"`
	Every int           `yaml:"every" min:"1" doc:"each message of this number" ex:"10"`
}

// UnmarshalText reads the word.
func (w *WhileOffline) UnmarshalText(b []byte) error {
	words := []string{"all", "last-value", "none"}
	if !slices.Contains(words, string(b)) {
		return &wordError{fmt.Sprintf("cannot be %q", shorten(string(b))), oneOf(string(b), words) + "; or a mapping: {mean: 1m}"}
	}
	*w = WhileOffline{Keep: string(b)}
	return nil
}

// Validate finds the one window of the mapping form.
func (w *WhileOffline) Validate(report func(path, msg string)) {
	set := 0
	for _, by := range []struct {
		word string
		on   bool
	}{{"mean", w.Mean > 0}, {"min", w.Min > 0}, {"max", w.Max > 0}, {"every", w.Every > 0}} {
		if by.on {
			w.Keep = by.word
			set++
		}
	}
	if set > 1 {
		report("", "one of mean, min, max and every")
	}
}

// wordError is a value that is not allowed, with its cure.
type wordError struct{ msg, hint string }

func (e *wordError) Error() string { return e.msg }

// Hint returns the cure.
func (e *wordError) Hint() string { return e.hint }

// Spool bounds what waits for the other side.
type Spool struct {
	MaxSize  Size          `yaml:"max_size" min:"64KiB" doc:"bytes that may wait" ex:"256MiB"`
	MaxAge   time.Duration `yaml:"max_age" also:"never" doc:"older messages are dropped and counted, or never" ex:"14d"`
	Overflow string        `yaml:"overflow" enum:"drop-oldest|drop-newest|reject|last-value|downsample" doc:"what gives way at max_size; default: that of store"`
}

// Pace bounds what the link carries. Zero is no limit.
type Pace struct {
	Messages      Rate     `yaml:"messages" doc:"messages" ex:"100/s"`
	Bytes         ByteRate `yaml:"bytes" doc:"bytes on the wire" ex:"32KiB/s"`
	Inflight      int      `yaml:"inflight" min:"1" max:"1000" doc:"unacknowledged messages"`
	InflightBytes Size     `yaml:"inflight_bytes" min:"1KiB" doc:"their bytes" ex:"64KiB"`
	Daily         Size     `yaml:"daily" doc:"bytes a day, in UTC; alarms go on beyond it; 0 is no limit" ex:"50MiB"`
}

func (b *Bridge) setDefaults() {
	b.Profile, b.Protocol, b.Envelope, b.TLS.UnsetClock = "generic", "5", "raw", "refuse"
	b.ClientID, b.StatusTopic = "{node}", "dunlin/{node}/status"
	b.KeepAlive, b.Credentials.Lifetime = 30*time.Second, time.Hour
	b.Spool = Spool{MaxSize: 256 << 20, MaxAge: 14 * 24 * time.Hour}
	b.Pace = Pace{Messages: Rate{0, time.Second}, Bytes: ByteRate{0, time.Second}, Inflight: 20, InflightBytes: 64 << 10}
}

func (b *Bridge) fill(c *Config) {
	b.ClientID, b.StatusTopic = c.expand(b.ClientID), c.expand(b.StatusTopic)
	if b.Credentials.JWT != nil {
		b.Credentials.JWT.Subject = c.expand(b.Credentials.JWT.Subject)
	}
	for i := range b.Out {
		b.Out[i].fill()
	}
	for i := range b.In {
		b.In[i].fill()
	}
}

func (r *Route) fill() {
	if r.To == "" {
		_, topics := r.Share()
		r.To = TopicFilter(topics)
	}
}

// Share takes From apart: the group of a Shared Subscription, "" without one,
// and the filter of the topics.
func (r *Route) Share() (group, topics string) {
	group, topics, _ = topic.Share(string(r.From))
	return group, topics
}

// secure reports whether a server's address is one with TLS.
func secure(server string) bool {
	scheme, _, _ := strings.Cut(server, "://")
	return scheme == "mqtts" || scheme == "ssl" || scheme == "wss"
}

func checkBridges(l *loader, bridges []Bridge) {
	for i := range bridges {
		b := &bridges[i]
		p := join("bridges", b.Name)
		b.check(l, p)
		for j := range bridges[:i] {
			if other := &bridges[j]; b.ClientID == other.ClientID && b.ClientID != "" && shareServer(b, other) {
				l.failIf("is that of bridge "+other.Name+" at the same server: each would end the other's connection", join(p, "client_id"),
					"for example client_id: \"{node}-"+b.Name+"\"", "client_id %q %s", shorten(b.ClientID))
			}
		}
	}
}

func (b *Bridge) check(l *loader, p string) {
	if fault := nameFault(b.Name); fault != "" {
		l.failAt(p, "", "bridge name %q %s", shorten(b.Name), fault)
	}
	b.checkServers(l, join(p, "servers"))
	if b.Envelope == "sparkplug" && b.StatusTopic != "" && l.cfg.IsSet(join(p, "status_topic")) {
		l.failIf("has no place beside envelope: sparkplug: the will is the NDEATH", join(p, "status_topic"), "status_topic: \"\"", "status_topic %s")
	}
	anyTLS := slices.ContainsFunc(b.Servers, secure)
	if l.cfg.IsSet(join(p, "tls")) && !anyTLS && len(b.Servers) > 0 {
		l.failIf("has no effect: no server is mqtts:// or wss://", join(p, "tls"), "", "tls %s")
	}
	if b.ClientID == "" {
		l.failIf("is empty: the session at the other side is found by it", join(p, "client_id"), "", "client_id %s")
	}
	if b.StatusTopic != "" {
		l.failIf(topicFault(b.StatusTopic), join(p, "status_topic"), "", "status_topic %s")
	}
	b.Credentials.check(l, join(p, "credentials"), anyTLS)
	if b.Proxy.IsSet() {
		l.failIf(proxyFault(b.Proxy.Reveal()), join(p, "proxy"), "for example \"socks5://proxy.example:1080\"", "proxy %s")
	}
	b.checkRoutes(l, p)
	if len(b.Out)+len(b.In) == 0 {
		l.failIf("carries nothing: give it out or in routes", p, "for example out: [{from: \"sensors/#\"}]", "bridge %s")
	}
}

// checkServers checks the addresses, which are at p.
func (b *Bridge) checkServers(l *loader, p string) {
	if l.cfg.IsSet(p) && len(b.Servers) == 0 {
		l.failIf("needs at least one address", p, "", "servers %s")
	}
	for i, s := range b.Servers {
		at := index(p, i)
		if l.root.lookup(at) == nil { // one address, not in a list
			at = p
		}
		if strings.Contains(s, "@") {
			n := l.root.find(at)
			n.src.secrets = append(n.src.secrets, span{n.line, n.col, n.length})
		}
		fault, hint := serverFault(s)
		l.failIf(fault, at, hint, "server %s")
	}
}

func (b *Bridge) checkRoutes(l *loader, p string) {
	for i, r := range b.Out {
		at := index(join(p, "out"), i)
		if _, topics := r.Share(); topics != string(r.From) && !l.failed(0, join(at, "from")) {
			l.failAt(join(at, "from"), "", "a route out is no Shared Subscription")
			continue
		}
		if r.Batch == nil {
			r.check(l, at)
			continue
		}
		if r.From != "" && wildcards(r.To) != "" && !l.failed(0, join(at, "to")) {
			l.failAt(join(at, "batch"), "for example to: \"sites/{node}/batch\"", "a batch has one topic: give to without wildcards")
		}
		if b.Envelope == "thingsboard" || b.Envelope == "sparkplug" {
			l.failAt(join(at, "batch"), "", "envelope: %s takes no batches", b.Envelope)
		}
	}
	for i, r := range b.In {
		at := index(join(p, "in"), i)
		r.check(l, at)
		if strings.HasPrefix(string(r.To), "$") {
			if l.cfg.IsSet(join(at, "to")) {
				at = join(at, "to")
			}
			l.failIf("topics that start with $ are this server's own: no other one can publish to them", at, "for example to: \"cloud/#\"", "%s")
		}
	}
}

func (c *Credentials) check(l *loader, p string, anyTLS bool) {
	switch {
	case (c.Cert == "") != (c.Key == ""):
		l.failIf("belong together: one is missing", p, "for example credentials: {cert: client.pem, key: client.key}", "cert and key %s")
	case c.Cert != "" && !anyTLS:
		l.failIf("has no effect: no server is mqtts:// or wss://", join(p, "cert"), "", "cert %s")
	}
	var ways []string
	for _, w := range []struct {
		key string
		set bool
	}{{"password", c.Password.IsSet()}, {"sas", c.SAS.IsSet()}, {"jwt", c.JWT != nil}} {
		if w.set {
			ways = append(ways, w.key)
		}
	}
	if len(ways) > 1 {
		l.failAt(join(p, ways[1]), "", "%s and %s are two answers to one question: give one of them", ways[0], ways[1])
	}
}

func (r *Route) check(l *loader, p string) {
	if r.From == "" || l.failed(0, join(p, "from")) || l.failed(0, join(p, "to")) {
		return
	}
	if _, _, shared := topic.Share(string(r.To)); shared {
		l.failAt(join(p, "to"), "", "to cannot be a Shared Subscription")
		return
	}
	if group, topics := r.Share(); group == "" && topics != string(r.From) {
		l.failAt(join(p, "from"), "", "a Shared Subscription is $share/GROUP/FILTER")
		return
	}
	if from, to := wildcards(r.From), wildcards(r.To); from != to {
		l.failAt(join(p, "to"), fmt.Sprintf("from has %s, to has %s", orNone(from), orNone(to)), "to must have the same wildcards as from, in the same order")
	}
}

// wildcards returns the wildcards of a filter in order: "+ + #".
func wildcards(f TopicFilter) string {
	var w []string
	for _, level := range strings.Split(string(f), "/") {
		if level == "+" || level == "#" {
			w = append(w, level)
		}
	}
	return strings.Join(w, " ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// proxyFault says why an address is none of a proxy, "" when it is one. The
// address is not repeated: it may hold a password.
func proxyFault(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "socks5" || u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/")+u.RawQuery != "" {
		return "must be http:// or socks5:// with a host and a port"
	}
	return ""
}

// serverFault says why an address is none, "" when it is one. The address is
// not repeated: it may hold a password.
func serverFault(s string) (fault, hint string) {
	const form = "must be mqtt://, mqtts://, ws:// or wss:// with a host"
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return form, "for example mqtts://broker.example:8883"
	}
	switch scheme {
	case "mqtt", "mqtts", "ws", "wss", "tcp", "ssl":
	default:
		return form, oneOf(scheme, []string{"mqtt", "mqtts", "ws", "wss"})
	}
	if strings.Contains(rest, "@") {
		return "may not hold a user name or password", "put them under credentials: {username: ..., password: ...}"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return form, "for example mqtts://broker.example:8883"
	case u.Port() != "" && (portFault(u.Port()) != "" || u.Port() == "0"):
		return "needs a port from 1 to 65535", ""
	case (scheme != "ws" && scheme != "wss") && strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "":
		return "may not have a path: that is for ws:// and wss://", ""
	}
	return "", ""
}
