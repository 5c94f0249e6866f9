package brokertest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// RunScript plays a wire script. Each of its sections is a subtest of its own,
// with a new broker in a synctest bubble, once for each version, and then once
// more over TCP as far as it needs no time to pass. Lines are:
//
//	== MQTT-4.3.2-4 ...   a section begins; its name says what it proves
//	versions 3.1.1 5      the versions of the script, or of one section; all if
//	                      there is none
//	a> PACKET words       client a, connected at its first line, sends
//	a> hex 10 00          bytes as they are, also as 'text'; $head is the protocol
//	                      name and level of the version, $none its Property
//	                      Length 0 if it has one
//	a> raw 30 0001'a'     a packet of these bytes, its Remaining Length added
//	a< PACKET words       a receives exactly this packet next; "..." at the end
//	                      leaves other words open
//	a< hex 30 03 00 ...   exactly these bytes
//	a quiet               nothing has come that was not received
//	a closed              the server closed the connection
//	a kill                a cuts the connection; the name is free again
//	+90m                  time passes
//	[5] a> ...            a line for some versions only; [3] is 3.1 and 3.1.1
func RunScript(t *testing.T, path string, change ...func(*broker.Options)) {
	sections := readScript(t, path)
	t.Run("sockets", func(t *testing.T) { runOnSockets(t, path, sections, change) })
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			for _, section := range sections {
				if !slices.Contains(section.versions, v) {
					continue
				}
				t.Run(section.about, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := &script{t: t, path: path, version: v, broker: New(t, change...), clients: make(map[string]*Client)}
						for _, l := range section.lines {
							if slices.Contains(l.versions, v) {
								s.play(l)
							}
						}
					})
				})
			}
		})
	}
}

var allVersions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

type section struct {
	about    string
	versions []mqtt.Version
	lines    []line
}

type line struct {
	number   int
	text     string
	versions []mqtt.Version
}

type script struct {
	t       *testing.T
	path    string
	version mqtt.Version
	broker  *Broker
	clients map[string]*Client

	address string // of a TCP listener to use; "" in a bubble
	sent    uint64 // bytes
}

func readScript(t *testing.T, path string) (sections []section) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	versions := allVersions
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if about, ok := strings.CutPrefix(text, "=="); ok {
			sections = append(sections, section{about: strings.TrimSpace(about), versions: versions})
			continue
		}
		names, isVersions := strings.CutPrefix(text, "versions ")
		switch {
		case isVersions && sections == nil:
			versions = parseVersions(t, names)
		case sections == nil:
			t.Fatalf("%s:%d: a line before the first section", path, n)
		case isVersions:
			sections[len(sections)-1].versions = parseVersions(t, names)
		default:
			last := &sections[len(sections)-1]
			last.lines = append(last.lines, parseLine(t, n, text))
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return sections
}

// parseLine takes "[5]" from the front of a line.
func parseLine(t *testing.T, n int, text string) line {
	l := line{number: n, text: text, versions: allVersions}
	if names, rest, ok := strings.Cut(text, "]"); ok && text[0] == '[' {
		l.text, l.versions = strings.TrimSpace(rest), parseVersions(t, names[1:])
	}
	return l
}

func parseVersions(t *testing.T, names string) (all []mqtt.Version) {
	for name := range strings.FieldsSeq(names) {
		switch name {
		case "3":
			all = append(all, mqtt.V31, mqtt.V311)
		case "3.1":
			all = append(all, mqtt.V31)
		case "3.1.1":
			all = append(all, mqtt.V311)
		case "5":
			all = append(all, mqtt.V5)
		default:
			t.Fatalf("unknown version %q", name)
		}
	}
	return all
}

func (s *script) play(l line) {
	if l.text[0] == '+' {
		d, err := time.ParseDuration(l.text[1:])
		if err != nil {
			s.fail(l, err)
		}
		time.Sleep(d)
		synctest.Wait()
		return
	}
	name, rest, _ := strings.Cut(l.text, " ")
	rest = strings.TrimSpace(rest)
	var err error
	switch {
	case strings.HasSuffix(name, ">"):
		err = s.send(strings.TrimSuffix(name, ">"), rest)
	case strings.HasSuffix(name, "<"):
		err = s.receive(strings.TrimSuffix(name, "<"), rest)
	case rest == "kill":
		s.kill(name)
	case rest == "quiet":
		if got := s.unexpected(name); got.text != "" {
			err = fmt.Errorf("received %s, want nothing", got.text)
		}
	case rest == "closed":
		if got := s.next(name); got.text != end.text {
			err = fmt.Errorf("received %q, want the end of the connection", got.text)
		}
		delete(s.clients, name)
	default:
		err = fmt.Errorf("unknown line %q", l.text)
	}
	if err != nil {
		s.fail(l, err)
	}
}

func (s *script) send(name, words string) error {
	c := s.clients[name]
	if c == nil {
		if s.address != "" {
			c = s.dialSocket()
		} else {
			c = s.broker.Client(s.version)
		}
		s.clients[name] = c
	}
	before := c.sent
	if isBytes(words) {
		b, err := s.bytes(words)
		if err != nil {
			return err
		}
		c.SendBytes(b)
	} else {
		if _, err := Parse(words); err != nil {
			return err
		}
		c.Send(words)
	}
	s.sent += c.sent - before
	s.wait()
	return nil
}

// wait waits until the broker has worked off what was sent.
func (s *script) wait() {
	if s.address != "" {
		s.workedOff()
		return
	}
	synctest.Wait()
}

func (s *script) receive(name, words string) error {
	got := s.next(name)
	if got.text == "" {
		return fmt.Errorf("received nothing, want %s", words)
	}
	if !isBytes(words) {
		return Compare(words, got.text)
	}
	want, err := s.bytes(words)
	if err == nil && !bytes.Equal(got.raw, want) {
		return fmt.Errorf("received % x (%s)\n    want % x", got.raw, got.text, want)
	}
	return err
}

func (s *script) next(name string) received {
	s.wait()
	c := s.clients[name]
	switch {
	case c == nil:
		return received{text: "no such client"}
	case s.address != "":
		return c.take(patience)
	}
	return c.pending()
}

// unexpected is what has come without being received.
func (s *script) unexpected(name string) received {
	if c := s.clients[name]; c != nil && s.address != "" {
		s.wait()
		return c.pending()
	}
	return s.next(name)
}

func isBytes(words string) bool {
	return strings.HasPrefix(words, "hex ") || strings.HasPrefix(words, "raw ")
}

// bytes reads what stands behind hex or raw.
func (s *script) bytes(words string) ([]byte, error) {
	head := map[mqtt.Version]string{mqtt.V31: "0006'MQIsdp'03", mqtt.V311: "0004'MQTT'04", mqtt.V5: "0004'MQTT'05"}
	none := ""
	if s.version == mqtt.V5 {
		none = "00"
	}
	b, err := unhex(strings.NewReplacer("$head", head[s.version], "$none", none).Replace(words[4:]))
	if err != nil || words[0] == 'h' {
		return b, err
	}
	packet := binary.AppendUvarint(b[:1:1], uint64(len(b)-1))
	return append(packet, b[1:]...), nil
}

func (s *script) kill(name string) {
	if c := s.clients[name]; c != nil {
		if s.address != "" {
			s.hangUp(c)
		}
		c.Close()
	}
	delete(s.clients, name)
	s.wait()
}

func (s *script) fail(l line, err error) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %v", s.path, l.number, err)
}
