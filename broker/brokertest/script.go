package brokertest

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// RunScript plays a wire script in a synctest bubble, once for each version
// that its line "versions 3.1.1 5" names (all if there is none). Lines are:
//
//	a> PACKET words     client a, connected at its first line, sends
//	a> hex 10 00        bytes as they are
//	a< PACKET words     a receives exactly this packet next; "..." at the end
//	                    leaves other words open
//	a quiet             nothing has come that was not received
//	a closed            the server closed the connection
//	a kill              a cuts the connection; the name is free again
//	+90m                time passes
//	== statement        a subtest begins: same broker, new clients
func RunScript(t *testing.T, path string, change ...func(*broker.Options)) {
	lines := readScript(t, path)
	versions := []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l.text, "versions "); ok {
			versions = parseVersions(t, rest)
		}
	}
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{t: t, path: path, version: v, broker: New(t, change...), clients: make(map[string]*Client)}
				for _, l := range lines {
					s.play(l)
				}
			})
		})
	}
}

type line struct {
	number int
	text   string
}

type script struct {
	t       *testing.T
	path    string
	about   string
	version mqtt.Version
	broker  *Broker
	clients map[string]*Client
}

func readScript(t *testing.T, path string) (lines []line) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		if text := strings.TrimSpace(s.Text()); text != "" && !strings.HasPrefix(text, "#") {
			lines = append(lines, line{n, text})
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func parseVersions(t *testing.T, names string) (all []mqtt.Version) {
	for name := range strings.FieldsSeq(names) {
		switch name {
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
	switch {
	case strings.HasPrefix(l.text, "versions "):
		return
	case strings.HasPrefix(l.text, "=="):
		s.about = strings.TrimSpace(l.text[2:])
		for name := range s.clients {
			s.kill(name)
		}
		synctest.Wait()
		return
	case l.text[0] == '+':
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
		if got := s.next(name); got != "" {
			err = fmt.Errorf("received %s, want nothing", got)
		}
	case rest == "closed":
		if got := s.next(name); got != "closed" {
			err = fmt.Errorf("received %q, want the end of the connection", got)
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
		c = s.broker.Client(s.version)
		s.clients[name] = c
	}
	if digits, ok := strings.CutPrefix(words, "hex "); ok {
		b, err := Hex(digits)
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
	synctest.Wait()
	return nil
}

func (s *script) receive(name, words string) error {
	got := s.next(name)
	if got == "" {
		return fmt.Errorf("received nothing, want %s", words)
	}
	return Compare(words, got)
}

func (s *script) next(name string) string {
	synctest.Wait()
	c := s.clients[name]
	if c == nil {
		return "no such client"
	}
	return c.Pending()
}

func (s *script) kill(name string) {
	if c := s.clients[name]; c != nil {
		c.Close()
	}
	delete(s.clients, name)
	synctest.Wait()
}

func (s *script) fail(l line, err error) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s: %v", s.path, l.number, s.about, err)
}
