package mosquittoconf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Note is what became of a line that is not carried over as it is.
type Note struct {
	File string
	Line int
	Text string
}

// Line is one setting of a file: its name, and the rest of the line.
type Line struct {
	File   string
	Number int
	Name   string
	Value  string
}

// parse splits a file into its settings. A comment is a line that begins with
// '#'; there is none behind a value.
func parse(file, text string) (lines []Line) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value := line, ""
		if i := strings.IndexAny(line, " \t"); i > 0 {
			name, value = line[:i], strings.TrimSpace(line[i:])
		}
		lines = append(lines, Line{file, number, name, value})
	}
	return lines
}

// Convert returns the text of a configuration that does the same, as far as
// dunlin does it, and what it does not.
func Convert(lines []Line) (yaml string, notes []Note) {
	c := &converter{}
	for _, l := range lines {
		c.line = l
		switch {
		case c.into(listenerSettings, &c.listener().settings, c.perListener()):
		case c.into(bridgeSettings, c.bridge(), true):
		case c.into(globalSettings, &c.global, true):
		case strings.Trim(l.Name, settingLetters) != "":
			c.note("this is no setting of mosquitto.conf") // a secret, perhaps: of a password_file
		default:
			c.note("%s has no equal here", l.Name)
		}
	}
	c.roomForPackets(lines)
	return c.yaml(), c.notes
}

const settingLetters = "abcdefghijklmnopqrstuvwxyz0123456789_.-"

// settings are what was read for one listener, one bridge, or all.
type settings struct {
	name   string
	line   Line
	values map[string]string
	list   []string // topics of a bridge
}

func (s *settings) set(key, value string) {
	if s.values == nil {
		s.values = map[string]string{}
	}
	s.values[key] = value
}

type listener struct{ settings }

type converter struct {
	line      Line
	global    settings
	first     listener // what is set before any listener is named
	listeners []*listener
	bridges   []*settings
	notes     []Note
}

func (c *converter) note(format string, args ...any) {
	c.notes = append(c.notes, Note{c.line.File, c.line.Number, fmt.Sprintf(format, args...)})
}

// listener is the one that settings are for: the last, or the one on port 1883
// that mosquitto has when none is named.
func (c *converter) listener() *listener {
	if len(c.listeners) == 0 {
		return &c.first
	}
	return c.listeners[len(c.listeners)-1]
}

func (c *converter) bridge() *settings {
	if len(c.bridges) == 0 {
		return nil
	}
	return c.bridges[len(c.bridges)-1]
}

// perListener reports whether settings of users belong to a listener.
func (c *converter) perListener() bool {
	return c.global.values["per_listener_settings"] == "true"
}

// setting is what a name means: a function that reads it, a place where it is
// put as it is, or why there is nothing.
type setting struct {
	name   string
	key    string
	number *whole // of a value that is one; nil: any text
	read   func(c *converter, s *settings)
	why    string
}

// whole is a whole number between what dunlin takes, which gets a unit.
type whole struct {
	unit        string
	least, most int
}

// into reads the line if the table has it. Settings of users are for a listener
// only where mosquitto is told so.
func (c *converter) into(table []setting, s *settings, users bool) bool {
	i := slices.IndexFunc(table, func(row setting) bool { return row.name == c.line.Name })
	if i < 0 {
		return false
	}
	row := &table[i]
	if s == nil && row.why == "" && c.line.Name != "connection" || !users && userSettings[c.line.Name] {
		return false
	}
	switch {
	case row.why != "":
		c.note("%s: %s", c.line.Name, row.why)
	case row.read != nil:
		row.read(c, s)
	case row.number != nil:
		if n, ok := c.number(row.number); ok {
			s.set(row.key, strconv.Itoa(n)+row.number.unit)
		}
	default:
		s.set(row.key, c.line.Value)
	}
	return true
}

// quote writes text for YAML.
func quote(text string) string { return strconv.Quote(text) }

// flow writes a mapping in one line, in the order given.
func flow(pairs ...[2]string) string {
	var parts []string
	for _, p := range pairs {
		if p[1] != "" {
			parts = append(parts, p[0]+": "+p[1])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// quoted is a value as text, nothing for nothing.
func (s *settings) quoted(key string) string {
	if s.values[key] == "" {
		return ""
	}
	return quote(s.values[key])
}

// yes is "true" for a switch that is on.
func (s *settings) yes(key string) string {
	if s.values[key] == "true" {
		return "true"
	}
	return ""
}

// number is a value that is a whole number within w, or a note.
func (c *converter) number(w *whole) (n int, ok bool) {
	n, err := strconv.Atoi(c.line.Value)
	switch {
	case err != nil:
		c.note("%s: %q is no number", c.line.Name, c.line.Value)
	case n < w.least && n <= 0:
		c.note("%s %d: no limit is what dunlin does not have: its own holds", c.line.Name, n)
	case n < w.least || n > w.most:
		c.note("%s %d: dunlin takes %d to %d: its own limit holds", c.line.Name, n, w.least, w.most)
	default:
		return n, true
	}
	return 0, false
}

// roomForPackets makes queues as large as the largest packet, as dunlin wants
// them, where they would be smaller.
func (c *converter) roomForPackets(lines []Line) {
	size := func(key string, otherwise int) int {
		if n, err := strconv.Atoi(strings.TrimSuffix(c.global.values[key], "B")); err == nil {
			return n
		}
		return otherwise
	}
	if size("queue_size", 1<<20) >= size("packet_size", 256<<10) {
		return
	}
	c.global.set("queue_size", "0")
	if i := slices.IndexFunc(lines, func(l Line) bool { return l.Name == "max_queued_bytes" }); i >= 0 {
		c.line = lines[i]
		c.note("max_queued_bytes %s: a queue has room for the largest packet at least", c.line.Value)
	}
}

func (c *converter) yaml() string {
	var b strings.Builder
	b.WriteString("# Made from a mosquitto.conf by 'dunlin import'. Check it with 'dunlin check'.\n\n")
	c.writeListeners(&b)
	if c.global.values["users_file"] != "" || c.global.values["acl_file"] != "" {
		b.WriteString("\nauth:\n")
		for _, key := range []string{"users_file", "acl_file"} {
			if v := c.global.quoted(key); v != "" {
				fmt.Fprintf(&b, "  %s: %s\n", key, v)
			}
		}
	}
	if len(c.bridges) > 0 {
		b.WriteString("\nbridges:\n")
	}
	for _, s := range c.bridges {
		c.writeBridge(&b, s)
	}
	if level := c.global.values["level"]; level != "" {
		fmt.Fprintf(&b, "\nlog: {level: %s}\n", level)
	}
	return b.String()
}

// nobody is what stands for rules that could not be carried over.
const nobody = `[{user: "*", deny: true, publish: ["#"], subscribe: ["#"]}, {user: anonymous, deny: true, publish: ["#"], subscribe: ["#"]}]`

// shareRules makes the acl_file of all listeners, if it is one, that of the
// gateway. Rules of one listener are no file here: what they allowed must be
// written, and until then nobody may do it.
func (c *converter) shareRules(listeners []*listener) {
	shared := listeners[0].values["acl_file"]
	for _, l := range listeners {
		if l.values["acl_file"] != shared {
			shared = ""
		}
	}
	if shared != "" {
		c.global.set("acl_file", shared)
		return
	}
	for _, l := range listeners {
		if file := l.values["acl_file"]; file != "" {
			l.set("acl", nobody)
			c.note("acl_file %s: rules of one listener stand under its acl: until they are written there, nobody may do anything at %s", file, l.values["bind"])
		}
	}
}

func (c *converter) writeListeners(b *strings.Builder) {
	b.WriteString("mqtt:\n  listeners:\n")
	listeners := c.listeners
	if len(listeners) == 0 { // without any, mosquitto serves this machine only
		local := &c.first
		local.set("bind", "127.0.0.1:1883")
		if c.global.values["anonymous"] == "" {
			c.global.set("anonymous", "true")
		}
		listeners = append(listeners, local)
	} else if len(c.first.values) > 0 {
		c.note("what is set for a listener before the first one is named is for one on port 1883 that is not there")
	}
	c.shareRules(listeners)
	for _, l := range listeners {
		anonymous := l.yes("anonymous")
		if anonymous == "" && !c.perListener() {
			anonymous = c.global.yes("anonymous")
		}
		tls := flow([2]string{"cert", l.quoted("cert")}, [2]string{"key", l.quoted("key")}, [2]string{"ca", l.quoted("ca")},
			[2]string{"crl", l.quoted("crl")}, [2]string{"require_client_cert", l.yes("require")}, [2]string{"identity", l.values["identity"]})
		if l.values["cert"] == "" && tls != "" {
			tls = ""
			c.note("%s: without certfile and keyfile there is no TLS: what else is set for it is left out", l.values["bind"])
		}
		fmt.Fprintf(b, "    - %s\n", flow([2]string{"bind", l.quoted("bind")}, [2]string{"protocol", l.values["protocol"]}, [2]string{"anonymous", anonymous},
			[2]string{"tls", tls}, [2]string{"users_file", l.quoted("users_file")}, [2]string{"acl", l.values["acl"]}, [2]string{"topic_prefix", l.quoted("topic_prefix")},
			[2]string{"limits", flow([2]string{"connections", l.values["connections"]}, [2]string{"topic_alias_maximum", l.values["topic_alias_maximum"]})},
			[2]string{"features", flow([2]string{"max_qos", l.values["max_qos"]})}))
	}
	block := func(name string, keys ...string) {
		var pairs [][2]string
		for _, key := range keys {
			pairs = append(pairs, [2]string{key, c.global.values[key]})
		}
		if text := flow(pairs...); text != "" {
			fmt.Fprintf(b, "  %s: %s\n", name, text)
		}
	}
	block("limits", "keep_alive_max", "packet_size", "receive_maximum", "queue_messages", "queue_size", "session_expiry_max")
	block("features", "retain")
	if v := c.global.values["sys_interval"]; v != "" {
		fmt.Fprintf(b, "  sys_interval: %s\n", v)
	}
}
