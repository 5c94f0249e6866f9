package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// MQTT is the server's block.
type MQTT struct {
	Limits       Limits        `yaml:"limits" doc:"caps that keep a small board alive"`
	Features     Features      `yaml:"features" doc:"what clients may use; announced to MQTT 5.0 clients"`
	Listeners    []Listener    `yaml:"listeners" doc:"where clients connect; default: 127.0.0.1:1883"`
	Overlap      string        `yaml:"overlap" enum:"once|each" doc:"whether a message that several subscriptions of a client match is delivered once, or once for each"`
	SysInterval  time.Duration `yaml:"sys_interval" doc:"time between updates of $SYS; 0 is off" ex:"10s"`
	ClientEvents bool          `yaml:"client_events" doc:"publish connects and disconnects of clients"`
}

func (m *MQTT) setDefaults() {
	m.Listeners = []Listener{{Bind: "127.0.0.1:1883", Protocol: "mqtt", Anonymous: true}}
	m.Limits.setDefaults()
	m.Features = Features{MaxQoS: 2, Retain: true, Wildcard: true, Shared: true, SubscriptionIdentifiers: true}
	m.Overlap, m.SysInterval = "once", 10*time.Second
}

// Listener is one place where clients connect.
type Listener struct {
	Bind          string            `yaml:"bind" req:"1" ex:"\":1883\"" doc:"host:port, unix:/path, serial:/dev/..., systemd:NAME; a plain WebSocket listener may have http.bind"`
	TLS           *ListenerTLS      `yaml:"tls" doc:"serve MQTT over TLS"`
	Protocol      string            `yaml:"protocol" enum:"mqtt|websocket" doc:"plain MQTT, or MQTT in WebSocket"`
	Path          string            `yaml:"path" doc:"WebSocket: path of the URL"`
	Origins       []string          `yaml:"origins" ex:"[\"https://panel.example.com\"]" doc:"WebSocket: web pages from other hosts that may connect; \"*\" is any"`
	Anonymous     bool              `yaml:"anonymous" doc:"let clients in without a name; default: true on loopback and Unix sockets while auth is empty"`
	UsersFile     Path              `yaml:"users_file" doc:"password file of this listener only"`
	ACL           []Rule            `yaml:"acl" doc:"rules of this listener only, before auth.rules"`
	Limits        *ListenerLimits   `yaml:"limits" doc:"limits of this listener; the rest is mqtt.limits"`
	Features      *ListenerFeatures `yaml:"features" doc:"features of this listener; the rest is mqtt.features"`
	MovedTo       string            `yaml:"moved_to" doc:"send every client to this server instead, host:port" ex:"gateway-2:1883"`
	ProxyProtocol []string          `yaml:"proxy_protocol" doc:"networks of the proxies whose PROXY header is believed" ex:"[10.0.0.0/8]"`
	TopicPrefix   string            `yaml:"topic_prefix" doc:"put before every topic of this listener's clients" ex:"plant-2/"`
	Baud          int               `yaml:"baud" min:"50" max:"20000000" doc:"serial: speed in bits per second"`
	Framing       string            `yaml:"framing" enum:"cobs|slip" doc:"serial: how packets are told apart"`
}

func (li *Listener) setDefaults() {
	li.Protocol, li.Path, li.Baud, li.Framing = "mqtt", "/mqtt", 115200, "cobs"
}

// ListenerTLS is the server's side of TLS.
type ListenerTLS struct {
	Cert              Path   `yaml:"cert" req:"1" ex:"server.pem" doc:"PEM certificate chain; an OCSP response beside it, named as it with .ocsp added, is stapled"`
	Key               Path   `yaml:"key" req:"1" ex:"server.key" doc:"PEM private key; only its owner may read it"`
	CA                Path   `yaml:"ca" doc:"PEM file with the authorities of client certificates"`
	CRL               Path   `yaml:"crl" doc:"PEM or DER file with revoked client certificates; past its next update it still revokes what it names"`
	RequireClientCert bool   `yaml:"require_client_cert" doc:"refuse clients without a certificate signed by ca"`
	Identity          string `yaml:"identity" enum:"cn|san|fingerprint" doc:"what of a client certificate is the user name"`
}

func (t *ListenerTLS) setDefaults() { t.Identity = "cn" }

// Validate finds keys that mean nothing alone.
func (t *ListenerTLS) Validate(report func(path, msg string)) {
	if t.RequireClientCert && t.CA == "" {
		report("require_client_cert", "needs ca, the authorities that sign the clients' certificates")
	}
	if t.CRL != "" && t.CA == "" {
		report("crl", "needs ca, the authorities that sign the clients' certificates")
	}
}

// ListenerLimits are the limits of one listener: what it does not set is
// mqtt.limits.
type ListenerLimits struct{ Limits }

func (p *ListenerLimits) bind(l *loader, n *node, path string) {
	p.Limits = l.cfg.MQTT.Limits
	if n.kind != mapping {
		l.fail(n, path, "", "expected a mapping (key: value), found %s", n.is())
		return
	}
	l.bindMapping(n, path, shared{}, reflect.ValueOf(&p.Limits).Elem())
}

// ListenerFeatures are the features of one listener: what it does not set is
// mqtt.features.
type ListenerFeatures struct{ Features }

func (p *ListenerFeatures) bind(l *loader, n *node, path string) {
	p.Features = l.cfg.MQTT.Features
	if n.kind != mapping {
		l.fail(n, path, "", "expected a mapping (key: value), found %s", n.is())
		return
	}
	l.bindMapping(n, path, shared{}, reflect.ValueOf(&p.Features).Elem())
}

// Features can be switched off, for clients that must not use them.
type Features struct {
	MaxQoS                  int    `yaml:"max_qos" min:"0" max:"2" doc:"highest QoS"`
	Retain                  bool   `yaml:"retain" doc:"retained messages"`
	Wildcard                bool   `yaml:"wildcard" doc:"wildcards in subscriptions"`
	Shared                  bool   `yaml:"shared" doc:"shared subscriptions"`
	SubscriptionIdentifiers bool   `yaml:"subscription_identifiers" doc:"Subscription Identifiers"`
	CheckPayload            bool   `yaml:"check_payload" doc:"refuse payloads that are not the UTF-8 that their Payload Format Indicator says they are"`
	ResponseInformation     string `yaml:"response_information" doc:"start of the response topics that MQTT 5.0 clients are told to use; {client} is the client identifier" ex:"response/{client}/"`
}

// Kind returns how the listener is bound: tcp, unix, serial or systemd; and
// the address without the kind.
func (li *Listener) Kind() (kind, address string) {
	for _, k := range []string{"unix", "serial", "systemd"} {
		if a, ok := strings.CutPrefix(li.Bind, k+":"); ok {
			return k, a
		}
	}
	return "tcp", li.Bind
}

// Local reports whether only this machine can reach the listener.
func (li *Listener) Local() bool {
	kind, address := li.Kind()
	if kind != "tcp" {
		return kind == "unix"
	}
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Shares reports whether the listener is at the address of the page, which
// hands over the requests for its path.
func (li *Listener) Shares(page string) bool {
	return li.Protocol == "websocket" && li.TLS == nil && len(li.ProxyProtocol) == 0 && sameAddress(li.Bind, page)
}

// sameAddress: with port 0 everybody gets one of its own.
func sameAddress(a, b string) bool { return a == b && a != "" && !strings.HasSuffix(a, ":0") }

func (m *MQTT) fill(c *Config) {
	if !c.IsSet("mqtt.listeners") {
		m.Listeners[0].Anonymous = !c.IsSet("auth")
		return
	}
	for i := range m.Listeners {
		l := &m.Listeners[i]
		if !c.IsSet(index("mqtt.listeners", i) + ".anonymous") {
			l.Anonymous = l.Local() && len(l.ProxyProtocol) == 0 && !c.IsSet("auth") && l.UsersFile == ""
		}
	}
}

func (m *MQTT) check(l *loader) {
	bound := map[string]string{}
	for i := range m.Listeners {
		p := index("mqtt.listeners", i)
		m.Listeners[i].check(l, p)
		b := m.Listeners[i].Bind
		if page := l.cfg.HTTP.Bind; l.cfg.IsSet("http.bind") && sameAddress(b, page) && !m.Listeners[i].Shares(page) {
			l.failAt(join(p, "bind"), l.first("http.bind"), "bind %q is the page's, http.bind: only a listener with protocol: websocket, without tls and proxy_protocol, can share it", shorten(b))
		}
		if first, twice := bound[b]; twice && sameAddress(b, b) {
			l.failAt(join(p, "bind"), l.first(join(first, "bind")), "bind %q is here twice", shorten(b))
			continue
		}
		bound[b] = p
	}
	m.Limits.check(l, "mqtt.limits")
}

func (li *Listener) check(l *loader, p string) {
	kind, address := li.Kind()
	fault, hint := bindFault(kind, address)
	if li.Bind != "" {
		l.failIf(fault, join(p, "bind"), hint, "bind %s")
	}
	if kind != "serial" {
		for _, key := range []string{"baud", "framing"} {
			if l.cfg.IsSet(join(p, key)) {
				l.failAt(join(p, key), "", "%s is only for bind: serial:/dev/...", key)
			}
		}
	}
	if kind == "serial" && (li.TLS != nil || li.Protocol == "websocket") {
		l.failAt(join(p, "bind"), "", "tls and protocol: websocket are for networks: a serial line carries MQTT packets in frames of its own")
	}
	li.checkWebSocket(l, p)
	li.checkProxies(l, p, kind)
	if li.TopicPrefix != "" {
		l.failIf(prefixFault(li.TopicPrefix), join(p, "topic_prefix"), "for example plant-2/", "topic_prefix %s")
	}
	checkRules(l, join(p, "acl"), li.ACL)
	if li.Limits != nil {
		li.Limits.check(l, join(p, "limits"))
	}
}

func (li *Listener) checkWebSocket(l *loader, p string) {
	if li.Protocol != "websocket" {
		for _, key := range []string{"path", "origins"} {
			if l.cfg.IsSet(join(p, key)) {
				l.failAt(join(p, key), "add protocol: websocket", "%s is only for protocol: websocket", key)
			}
		}
		return
	}
	if !strings.HasPrefix(li.Path, "/") {
		l.failIf("must start with /", join(p, "path"), "", "path %s")
	} else if strings.ContainsAny(li.Path, "?# ") {
		l.failIf("must not have a query or a fragment", join(p, "path"), "", "path %s")
	}
	for i, o := range li.Origins {
		u, err := url.Parse(o)
		if o != "*" && o != "null" && (err != nil || u.Scheme == "" || u.Host == "" || o != u.Scheme+"://"+u.Host) {
			l.failAt(index(join(p, "origins"), i), "for example https://panel.example.com", "%q is not the origin of a web page: scheme://host, with the port if it is not the usual one", shorten(o))
		}
	}
}

func (li *Listener) checkProxies(l *loader, p, kind string) {
	if len(li.ProxyProtocol) > 0 && kind != "tcp" && kind != "systemd" {
		l.failAt(join(p, "proxy_protocol"), "", "proxy_protocol is for TCP: a proxy is known by its address")
	}
	for i, cidr := range li.ProxyProtocol {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			hint := "for example 10.0.0.0/8"
			if a, err := netip.ParseAddr(cidr); err == nil {
				hint = fmt.Sprintf("did you mean %q?", netip.PrefixFrom(a, a.BitLen()))
			}
			l.failAt(index(join(p, "proxy_protocol"), i), hint, "%q is not a network", shorten(cidr))
		}
	}
}

// prefixFault says why a text cannot go before topics, "" when it can.
func prefixFault(prefix string) string {
	switch {
	case len(prefix) > 256:
		return "is longer than 256 bytes"
	case !strings.HasSuffix(prefix, "/"):
		return "must end with /, so that it is whole levels"
	case prefix[0] == '$':
		return "must not start with $: those topics are the server's"
	}
	return topicFault(prefix)
}

// maxSocketPath is the longest path of a Unix socket on Linux (unix(7)).
const maxSocketPath = 107

// bindFault says why an address cannot be listened on, "" when it can.
func bindFault(kind, address string) (fault, hint string) {
	if kind != "tcp" {
		if kind != "systemd" && !strings.HasPrefix(address, "/") {
			return "needs an absolute path after " + kind + ":", fmt.Sprintf("for example %s:/run/dunlin/mqtt.sock", kind)
		}
		if kind == "unix" && len(address) > maxSocketPath {
			return fmt.Sprintf("has a path of %d bytes, a socket's has at most %d", len(address), maxSocketPath), ""
		}
		if address == "" {
			return "needs a name after systemd:", ""
		}
		return "", ""
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		if portFault(address) == "" {
			return "needs host:port, or :port for all addresses", fmt.Sprintf("did you mean \":%s\"?", address)
		}
		if strings.Contains(address, "//") {
			return "is an address, not a URL", "for example \":1883\" or \"127.0.0.1:1883\""
		}
		return fmt.Sprintf("needs host:port, :port, unix:/path, serial:/dev/... or systemd:NAME, not %q", shorten(address)), fmt.Sprintf("did you mean \"%s:1883\"?", shorten(address))
	}
	return portFault(port), ""
}
