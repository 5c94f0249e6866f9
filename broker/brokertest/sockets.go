package brokertest

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// runOnSockets plays a wire script over TCP and in real time, so that what
// drives sockets is held to the same statements as what drives pipes. A section
// ends at its first line that lets time pass, and "quiet" proves less: what was
// sent may still be under way.
func runOnSockets(t *testing.T, path string, sections []section, change []func(*broker.Options)) {
	for _, v := range allVersions {
		t.Run(v.String(), func(t *testing.T) {
			for _, section := range sections {
				if slices.Contains(section.versions, v) {
					t.Run(section.about, func(t *testing.T) { playOnSockets(t, path, v, section, change) })
				}
			}
		})
	}
}

func playOnSockets(t *testing.T, path string, v mqtt.Version, section section, change []func(*broker.Options)) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	change = append(slices.Clone(change), func(o *broker.Options) {
		l := o.Listeners[0] // what the test wants of a listener holds for this one
		l.Name, l.Listener = "tcp", ln
		o.Listeners = append(o.Listeners, l)
	})
	s := &script{t: t, path: path, version: v, broker: New(t, change...), clients: make(map[string]*Client), address: ln.Addr().String()}
	for _, l := range section.lines {
		switch {
		case !slices.Contains(l.versions, v):
		case strings.HasPrefix(l.text, "+"):
			return
		default:
			s.play(l)
		}
	}
}

// dialSocket opens a connection over TCP.
func (s *script) dialSocket() *Client {
	var d net.Dialer
	nc, err := d.DialContext(s.t.Context(), "tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	return NewClient(s.t, nc, s.version)
}

// workedOff waits until the broker has read what was sent, or it will not: a
// client may have been closed meanwhile.
func (s *script) workedOff() {
	for until := time.Now().Add(30 * time.Millisecond); s.broker.Stats().Received.Bytes < s.sent && time.Now().Before(until); {
		time.Sleep(50 * time.Microsecond) // a condition is waited for, not time
	}
}

// hangUp cuts c and waits until the broker has seen it.
func (s *script) hangUp(c *Client) {
	if t, ok := c.nc.(*net.TCPConn); !ok || t.CloseWrite() != nil {
		return
	}
	for c.take(patience).text != end.text {
	}
}
