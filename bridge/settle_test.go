package bridge

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// What a server acknowledges in one breath with its goodbye, or with what is no
// packet, is settled: it is not sent again.
func TestAcknowledgementsBeforeTheEnd(t *testing.T) {
	for name, last := range map[string][]byte{
		"DISCONNECT":      {0xE0, 1, byte(mqtt.ServerShuttingDown)},
		"what no one can": {0xFF, 0},
		"half a packet":   {0x40, 2, 0},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &abruptServer{last: last}
			r := start(t, newServer(t, nil), func(o *Options) { o.Dial = s.dial })
			r.put("out/a", "one", 1)
			r.put("out/a", "two", 1)
			after(time.Minute)
			want(t, "acknowledged", r.Stats().Queue.Removed, 2)
			r.stop()
			s.all.Wait()
			want(t, "sent", s.publishes, 2)
		})
	}
}

// abruptServer takes two messages on its first connection, acknowledges them
// together with what is last, and closes; later it takes nothing.
type abruptServer struct {
	last      []byte
	all       sync.WaitGroup
	conns     int
	publishes int
}

func (s *abruptServer) dial(context.Context, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	s.conns++
	first := s.conns == 1
	s.all.Go(func() {
		defer theirs.Close()
		var in, acks []byte
		chunk := make([]byte, 4096)
		for {
			n, err := theirs.Read(chunk)
			if err != nil {
				return
			}
			for in = append(in, chunk[:n]...); ; in = in[n:] {
				if n, err = packet.Frame(in, 0); n == 0 || err != nil {
					break
				}
				var v packet.View
				if err := packet.Decode(in[:n], mqtt.V5, &v); err != nil {
					return
				}
				switch v.Type {
				case packet.CONNECT:
					_, _ = theirs.Write(packet.Append(nil, mqtt.V5, &packet.View{Type: packet.CONNACK, SessionPresent: !first}))
				case packet.PUBLISH:
					s.publishes++
					acks = packet.Append(acks, mqtt.V5, &packet.View{Type: packet.PUBACK, ID: v.ID})
				}
				if first && s.publishes == 2 {
					_, _ = theirs.Write(append(acks, s.last...))
					return
				}
			}
		}
	})
	return ours, nil
}
