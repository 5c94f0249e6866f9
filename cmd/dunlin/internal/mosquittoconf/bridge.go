package mosquittoconf

import (
	"fmt"
	"net"
	"strings"
)

func newBridge(c *converter, _ *settings) {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, c.line.Value)
	if name == "" {
		name = "bridge"
	}
	if name != c.line.Value {
		c.note("connection: the bridge is called %s", name)
	}
	c.bridges = append(c.bridges, &settings{name: name, line: c.line})
}

func bridgeVersion(c *converter, s *settings) {
	versions := map[string]string{"mqttv31": "3.1", "mqttv311": "3.1.1", "mqttv50": "5"}
	v, ok := versions[c.line.Value]
	if !ok {
		c.note("bridge_protocol_version: %q is none that is known", c.line.Value)
		return
	}
	s.set("protocol", v)
}

func (c *converter) writeBridge(b *strings.Builder, s *settings) {
	c.line = s.line
	scheme, port := "mqtt", "1883"
	if s.values["ca"] != "" || s.values["cert"] != "" {
		scheme = "mqtts"
	}
	var servers []string
	for _, address := range strings.Fields(s.values["address"]) {
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), port)
		}
		servers = append(servers, quote(scheme+"://"+address))
	}
	if len(servers) == 0 {
		c.note("connection %s has no address, and is left out", s.name)
		fmt.Fprintf(b, "  # %s has no address\n", s.name)
		return
	}
	fmt.Fprintf(b, "  %s:\n    servers: [%s]\n", s.name, strings.Join(servers, ", "))
	version := s.values["protocol"]
	if version == "" {
		version = "3.1.1" // mosquitto's default
	}
	fmt.Fprintf(b, "    protocol: %q\n", version)
	id := s.values["client_id"]
	if id == "" {
		id = "{node}." + s.name // mosquitto's default, with its host's name
	}
	fmt.Fprintf(b, "    client_id: %s\n", quote(id))
	if v := s.values["keep_alive"]; v != "" {
		fmt.Fprintf(b, "    keep_alive: %s\n", v)
	}
	if strings.Contains(s.values["password"], "${") {
		c.note("the password of connection %s has ${ in it, which means a variable here: put it into a file, and write file:/path", s.name)
	}
	if text := flow([2]string{"cert", s.quoted("cert")}, [2]string{"key", s.quoted("key")}, [2]string{"username", s.quoted("username")}, [2]string{"password", s.quoted("password")}); text != "" {
		fmt.Fprintf(b, "    credentials: %s\n", text)
	}
	var alpn string
	if v := s.quoted("alpn"); v != "" {
		alpn = "[" + v + "]"
	}
	if text := flow([2]string{"ca", s.quoted("ca")}, [2]string{"alpn", alpn}); text != "" {
		fmt.Fprintf(b, "    tls: %s\n", text)
	}
	c.writeStatus(b, s)
	c.writeRoutes(b, s)
}

func (c *converter) writeStatus(b *strings.Builder, s *settings) {
	switch topic := s.values["status"]; {
	case s.values["notifications"] == "false":
		b.WriteString("    status_topic: \"\"\n")
	case topic != "":
		fmt.Fprintf(b, "    status_topic: %q\n", topic)
		c.note("notification_topic of connection %s: it says online and offline, not 1 and 0", s.name)
	}
}

// route is one direction of a topic line.
type route struct{ from, to, qos string }

func (c *converter) writeRoutes(b *strings.Builder, s *settings) {
	var out, in []route
	for _, text := range s.list {
		o, i := c.topic(s, text)
		out, in = append(out, o...), append(in, i...)
	}
	for _, d := range []struct {
		name   string
		routes []route
	}{{"out", out}, {"in", in}} {
		if len(d.routes) > 0 {
			fmt.Fprintf(b, "    %s:\n", d.name)
		}
		for _, r := range d.routes {
			to := quote(r.to)
			if r.to == r.from {
				to = ""
			}
			retain := ""
			if d.name == "out" && s.values["outgoing_retain"] == "false" {
				retain = "strip"
			}
			fmt.Fprintf(b, "      - %s\n", flow([2]string{"from", quote(r.from)}, [2]string{"to", to}, [2]string{"qos", r.qos}, [2]string{"retain", retain}))
		}
	}
	if len(out)+len(in) == 0 {
		c.note("connection %s has no topic: nothing goes over it", s.name)
	}
}

// topic reads "pattern [direction [qos [local [remote]]]]"; "" is an empty
// prefix or pattern.
func (c *converter) topic(s *settings, text string) (out, in []route) {
	words := strings.Fields(text)
	for i := range words {
		if words[i] == `""` {
			words[i] = ""
		}
	}
	words = append(words, make([]string, max(0, 5-len(words)))...)
	pattern, direction, qos, local, remote := words[0], words[1], words[2], words[3], words[4]
	if qos == "" {
		qos = "0"
	}
	here, there := local+pattern, remote+pattern
	if here == "" || there == "" {
		c.note("connection %s: topic %s names no topic", s.name, text)
		return nil, nil
	}
	switch direction {
	case "", "out":
		out = []route{{here, there, qos}}
	case "in":
		in = []route{{there, here, qos}}
	case "both":
		out, in = []route{{here, there, qos}}, []route{{there, here, qos}}
		c.note("connection %s: topic %s both: what came in is not sent back; 'dunlin check' looks for loops", s.name, text)
	default:
		c.note("connection %s: topic %s: %q is no direction", s.name, text, direction)
	}
	return out, in
}
