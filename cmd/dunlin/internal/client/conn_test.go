package client

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// server is the other end of a pipe: it decodes what the client writes and
// writes what the test says.
type server struct {
	t       *testing.T
	net     net.Conn
	buf     []byte
	version mqtt.Version
}

// read returns the next packet; nil when the client has closed.
func (s *server) read() *packet.View {
	s.t.Helper()
	for {
		n, err := packet.Frame(s.buf, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		if n > 0 && n <= len(s.buf) {
			v := &packet.View{}
			if err := packet.Decode(s.buf[:n], s.version, v); err != nil {
				s.t.Fatal(err)
			}
			s.buf = append([]byte(nil), s.buf[n:]...)
			return v
		}
		b := make([]byte, 4096)
		n, err = s.net.Read(b)
		if err != nil {
			return nil
		}
		s.buf = append(s.buf, b[:n]...)
	}
}

func (s *server) expect(typ packet.Type) *packet.View {
	s.t.Helper()
	v := s.read()
	if v == nil || v.Type != typ {
		s.t.Fatalf("got %+v, want %s", v, typeName(typ))
	}
	return v
}

func (s *server) write(v *packet.View) {
	s.t.Helper()
	if _, err := s.net.Write(packet.Append(nil, s.version, v)); err != nil {
		s.t.Fatal(err)
	}
}

// connect opens a connection over a pipe; the server accepts it with ack.
func connect(t *testing.T, o Options, s *Session, ack packet.View) (*Conn, *server) {
	t.Helper()
	near, far := net.Pipe()
	srv := &server{t: t, net: far, version: o.Version}
	t.Cleanup(func() { far.Close() })
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		srv.expect(packet.CONNECT)
		ack.Type = packet.CONNACK
		srv.write(&ack)
	}()
	if len(s.pending()) == 0 {
		c, err := open(t.Context(), near, o, s)
		if err != nil {
			t.Fatal(err)
		}
		<-accepted
		return c, srv
	}
	opened := make(chan *Conn, 1) // open sends packets again, the test reads them
	go func() {
		c, err := open(t.Context(), near, o, s)
		if err != nil {
			t.Error(err)
		}
		opened <- c
	}()
	<-accepted
	for range s.pending() {
		v := srv.read()
		t.Logf("again: %s m%d dup %v", typeName(v.Type), v.ID, v.Publish.Dup)
		if v.Type == packet.PUBLISH && v.Publish.Dup != ack.SessionPresent {
			t.Errorf("MQTT-3.3.1-1 DUP is %v on a session that is present: %v", v.Publish.Dup, ack.SessionPresent)
		}
	}
	return <-opened, srv
}

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestKeepAlive(t *testing.T) {
	bubble(t, "MQTT-3.1.2-20 a silent client sends PINGREQ", func(t *testing.T) {
		c, srv := connect(t, Options{Version: mqtt.V5, KeepAlive: 60}, &Session{}, packet.View{})
		for range 3 {
			before := time.Now()
			srv.expect(packet.PINGREQ)
			if d := time.Since(before); d > time.Minute {
				t.Errorf("PINGREQ after %v", d)
			}
			srv.write(&packet.View{Type: packet.PINGRESP})
		}
		c.Abort()
	})
	bubble(t, "MQTT-3.1.2-21 the server's Keep Alive wins", func(t *testing.T) {
		ack := packet.View{}
		ack.Properties.Has, ack.Properties.ServerKeepAlive = packet.HasServerKeepAlive, 10
		c, srv := connect(t, Options{Version: mqtt.V5, KeepAlive: 60}, &Session{}, ack)
		before := time.Now()
		srv.expect(packet.PINGREQ)
		if d := time.Since(before); d > 10*time.Second {
			t.Errorf("PINGREQ after %v", d)
		}
		c.Abort()
	})
	bubble(t, "a server that does not answer is given up", func(t *testing.T) {
		c, srv := connect(t, Options{Version: mqtt.V311, CleanStart: true, KeepAlive: 5}, &Session{}, packet.View{})
		srv.expect(packet.PINGREQ)
		if _, err := c.Next(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("got %v", err)
		}
		c.Abort()
	})
}

func TestReceive(t *testing.T) {
	publish := func(id uint16, q mqtt.QoS, dup bool, payload string) *packet.View {
		return &packet.View{Type: packet.PUBLISH, ID: id, Publish: packet.Publish{
			Topic: []byte("t"), Payload: []byte(payload), QoS: q, Dup: dup,
		}}
	}
	bubble(t, "a QoS 1 message is acknowledged once it was consumed", func(t *testing.T) {
		c, srv := connect(t, Options{Version: mqtt.V5}, &Session{}, packet.View{})
		srv.write(publish(5, 1, false, "x"))
		if e, err := c.Next(t.Context()); err != nil || string(e.Message.Payload) != "x" {
			t.Fatal(e, err)
		}
		closed := make(chan struct{})
		go func() { c.Close(mqtt.Success, packet.Properties{}); close(closed) }()
		if v := srv.expect(packet.PUBACK); v.ID != 5 {
			t.Errorf("PUBACK for %d", v.ID)
		}
		srv.expect(packet.DISCONNECT)
		<-closed
	})
	bubble(t, "MQTT-4.3.3-10 a resent QoS 2 message is delivered once, also over a new connection", func(t *testing.T) {
		var s Session
		c, srv := connect(t, Options{Version: mqtt.V5}, &s, packet.View{})
		srv.write(publish(5, 2, false, "x"))
		srv.expect(packet.PUBREC)
		c.Abort()
		c, srv = connect(t, Options{Version: mqtt.V5}, &s, packet.View{SessionPresent: true})
		srv.write(publish(5, 2, true, "x"))
		srv.expect(packet.PUBREC)
		srv.write(&packet.View{Type: packet.PUBREL, ID: 5})
		if e, err := c.Next(t.Context()); err != nil || string(e.Message.Payload) != "x" {
			t.Fatal(e, err)
		}
		ended := make(chan error, 1)
		go func() { _, err := c.Next(t.Context()); ended <- err }()
		if v := srv.expect(packet.PUBCOMP); v.ID != 5 || v.Reason != mqtt.Success {
			t.Errorf("got %+v", v)
		}
		srv.write(&packet.View{Type: packet.PUBREL, ID: 5})
		if v := srv.expect(packet.PUBCOMP); v.Reason != mqtt.PacketIdentifierNotFound {
			t.Errorf("a second PUBREL got %v", v.Reason)
		}
		c.Abort()
		<-ended
	})
	bubble(t, "MQTT-3.3.2-7 a Topic Alias stands for its topic", func(t *testing.T) {
		o := Options{Version: mqtt.V5}
		o.Properties.Has, o.Properties.TopicAliasMaximum = packet.HasTopicAliasMaximum, 1
		c, srv := connect(t, o, &Session{}, packet.View{})
		for _, topic := range []string{"t", ""} {
			v := publish(0, 0, false, "x")
			v.Publish.Topic = []byte(topic)
			v.Properties.Has, v.Properties.TopicAlias = packet.HasTopicAlias, 1
			srv.write(v)
			if e, err := c.Next(t.Context()); err != nil || e.Message.Topic != "t" {
				t.Fatal(e, err)
			}
		}
		c.Abort()
	})
	bubble(t, "a server that sends what only clients send is told and left", func(t *testing.T) {
		c, srv := connect(t, Options{Version: mqtt.V5}, &Session{}, packet.View{})
		srv.write(&packet.View{Type: packet.PINGREQ})
		if v := srv.expect(packet.DISCONNECT); v.Reason != mqtt.ProtocolError {
			t.Errorf("got %v", v.Reason)
		}
		c.Abort()
	})
}

func TestPublishWindow(t *testing.T) {
	bubble(t, "MQTT-3.3.4-9 never more than Receive Maximum are in flight", func(t *testing.T) {
		ack := packet.View{}
		ack.Properties.Has, ack.Properties.ReceiveMaximum = packet.HasReceiveMaximum, 2
		var s Session
		c, srv := connect(t, Options{Version: mqtt.V5}, &s, ack)
		flushed := make(chan error, 1)
		go func() {
			for range 3 {
				if err := c.Publish(t.Context(), Publication{Topic: "t", QoS: 1}); err != nil {
					t.Error(err)
				}
			}
			flushed <- c.Flush(t.Context())
		}()
		first := srv.expect(packet.PUBLISH)
		srv.expect(packet.PUBLISH)
		synctest.Wait()
		if n := len(s.pending()); n != 2 {
			t.Errorf("%d in flight", n)
		}
		srv.write(&packet.View{Type: packet.PUBACK, ID: first.ID})
		third := srv.expect(packet.PUBLISH)
		srv.write(&packet.View{Type: packet.PUBACK, ID: third.ID})
		srv.write(&packet.View{Type: packet.PUBACK, ID: first.ID + 1})
		if err := <-flushed; err != nil || len(s.pending()) != 0 {
			t.Error(err, len(s.pending()))
		}
		c.Abort()
	})
}

func TestResume(t *testing.T) {
	for _, present := range []bool{true, false} {
		name := "MQTT-4.4.0-1 unacknowledged publications are sent again"
		if !present {
			name = "publications are sent as new when the server lost the session"
		}
		bubble(t, name, func(t *testing.T) {
			var s Session
			o := Options{Version: mqtt.V5}
			c, srv := connect(t, o, &s, packet.View{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.Publish(t.Context(), Publication{Topic: "a", QoS: 1})
				c.Publish(t.Context(), Publication{Topic: "b", QoS: 2})
			}()
			srv.expect(packet.PUBLISH)
			two := srv.expect(packet.PUBLISH)
			<-done
			srv.write(&packet.View{Type: packet.PUBREC, ID: two.ID})
			srv.expect(packet.PUBREL)
			c.Abort()
			if len(s.pending()) != 2 {
				t.Fatalf("%d pending", len(s.pending()))
			}
			if !present {
				s.lost() // as the handshake will: the released one is the server's
			}
			c, _ = connect(t, o, &s, packet.View{SessionPresent: present})
			if want := 1 + map[bool]int{true: 1}[present]; len(s.pending()) != want {
				t.Errorf("%d pending, want %d", len(s.pending()), want)
			}
			c.Abort()
		})
	}
}

func TestLimitsOfTheServer(t *testing.T) {
	bubble(t, "refused before anything is sent", func(t *testing.T) {
		ack := packet.View{}
		ack.Properties = packet.Properties{
			Has:               packet.HasMaximumPacketSize | packet.HasMaximumQoS | packet.HasRetainAvailable,
			MaximumPacketSize: 30, MaximumQoS: 1,
		}
		c, _ := connect(t, Options{Version: mqtt.V5}, &Session{}, ack)
		for _, tc := range []struct {
			p    Publication
			want error
		}{
			{Publication{Topic: "t", QoS: 2}, ErrQoSNotSupported},
			{Publication{Topic: "t", Retain: true}, ErrRetainNotAllowed},
			{Publication{Topic: "t", Payload: make([]byte, 30)}, ErrPayloadTooLarge},
		} {
			if err := c.Publish(t.Context(), tc.p); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		}
		c.Abort()
	})
}

func TestHandshake(t *testing.T) {
	bubble(t, "a refusal keeps the code of the wire", func(t *testing.T) {
		for _, tc := range []struct {
			v      mqtt.Version
			reason mqtt.ReasonCode
			code   int
		}{
			{mqtt.V311, mqtt.NotAuthorized, 5}, {mqtt.V311, mqtt.BadUserNameOrPassword, 4},
			{mqtt.V31, mqtt.UnsupportedProtocolVersion, 1}, {mqtt.V5, mqtt.NotAuthorized, 135},
		} {
			near, far := net.Pipe()
			srv := &server{t: t, net: far, version: tc.v}
			go func() {
				srv.expect(packet.CONNECT)
				srv.write(&packet.View{Type: packet.CONNACK, Reason: tc.reason})
			}()
			_, err := open(t.Context(), near, Options{Version: tc.v, ClientID: "x", CleanStart: true}, &Session{})
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.Code() != tc.code {
				t.Errorf("%v %v: got %v", tc.v, tc.reason, err)
			}
			far.Close()
		}
	})
	bubble(t, "a server that never answers is given up in time", func(t *testing.T) {
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := open(ctx, near, Options{Version: mqtt.V5}, &Session{}); err == nil {
			t.Error("connected")
		}
		far.Close()
	})
}

func TestProperties(t *testing.T) {
	var s PropertySets
	for _, tc := range []struct {
		packet, name string
		values       []string
		ok           bool
	}{
		{"publish", "content-type", []string{"text"}, true},
		{"publish", "content-type", []string{"again"}, false},
		{"publish", "user-property", []string{"k", "v"}, true},
		{"publish", "user-property", []string{"k", "w"}, true},
		{"publish", "user-property", []string{"k"}, false},
		{"publish", "topic-alias", []string{"0"}, false},
		{"publish", "topic-alias", []string{"65536"}, false},
		{"publish", "topic-alias", []string{"9"}, true},
		{"publish", "subscription-identifier", []string{"1"}, false},
		{"subscribe", "subscription-identifier", []string{"1"}, true},
		{"connect", "receive-maximum", []string{"x"}, false},
		{"connect", "message-expiry-interval", []string{"1"}, false},
		{"will", "will-delay-interval", []string{"4294967295"}, true},
		{"puback", "user-property", []string{"a", "b"}, false},
		{"connect", "nonsense", []string{"1"}, false},
		{"publish", "response-topic", []string{"\xff"}, false},
		{"publish", "correlation-data", []string{"\xff"}, true},
	} {
		if err := s.Add(tc.packet, tc.name, tc.values); (err == nil) != tc.ok {
			t.Errorf("-D %s %s %q: %v", tc.packet, tc.name, tc.values, err)
		}
	}
	if len(s.Publish.User) != 2 || s.Publish.TopicAlias != 9 || string(s.Publish.ContentType) != "text" {
		t.Errorf("got %+v", s.Publish)
	}
}
