package broker_test

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// forbidding refuses what starts with no; filters with a wildcard are granted
// with Each.
type forbidding struct {
	brokertest.Auth
	no atomic.Pointer[string]
}

func newForbidding(no string) *forbidding {
	f := new(forbidding)
	f.no.Store(&no)
	f.May = func(a *broker.Access) broker.Decision {
		if no := *f.no.Load(); no != "" && strings.HasPrefix(a.Topic, no) {
			return broker.Decision{Code: mqtt.NotAuthorized}
		}
		return broker.Decision{MaxQoS: mqtt.ExactlyOnce, Each: a.Action == broker.Subscribe && strings.ContainsAny(a.Topic, "+#")}
	}
	return f
}

func (f *forbidding) forbid(no string) {
	f.no.Store(&no)
	f.Change()
}

func TestAWildcardDeliversOnlyWhatMayBeReceived(t *testing.T) {
	b := brokertest.New(t, func(o *broker.Options) {
		auth := newForbidding("secret")
		grant := auth.May
		auth.May = func(a *broker.Access) broker.Decision { // publishing is free
			if a.Action == broker.Publish {
				return broker.Decision{MaxQoS: mqtt.ExactlyOnce}
			}
			return grant(a)
		}
		o.Auth = auth
	})
	p := b.Client(mqtt.V5)
	p.Connect("cid=p")
	p.Send("PUBLISH topic=secret/retained retain=1 payload=x")
	for _, filter := range []string{"#", "+/a", "$share/g/#"} {
		c := b.Client(mqtt.V5)
		c.Connect("cid=c")
		c.Send("SUBSCRIBE id=1 f=" + filter + "@1 f=secret/a@1")
		c.Expect("SUBACK id=1 rcs=0x01,0x87 reason=yes")
		for _, topic := range []string{"secret/a", "open/a"} {
			p.Send("PUBLISH payload=x qos=1 id=1 topic=" + topic)
			p.Expect("PUBACK id=1 ...")
		}
		c.Expect("PUBLISH topic=open/a payload=x qos=1 id=1")
		c.Send("PINGREQ")
		c.Expect("PINGRESP")
		c.Send("DISCONNECT")
		c.ExpectClosed()
	}
	if n := b.Stats().ReceiveRefused; n < 3 {
		t.Errorf("ReceiveRefused = %d, want 3 or more", n)
	}
}

// The rights to a/# go while one client is there, one is away, one is a member
// of a group, and messages wait.
// The log says the first filter and the first message of a connection that are
// refused, whatever a client asks for again and again.
func TestRefusalsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := brokertest.New(t, func(o *broker.Options) {
			o.Auth, o.Log = newForbidding("secret"), slog.New(slog.NewTextHandler(&log, nil))
		})
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			synctest.Wait() // nobody writes to it
			log.Reset()
			c := b.Client(v)
			c.Connect("cid=c")
			for range 3 {
				c.Send("SUBSCRIBE id=1 f=open@1 f=secret/#@1 f=secret/a@1")
				c.Receive()
				for _, topic := range []string{"open", "secret/b", "secret/c"} {
					c.Send("PUBLISH id=2 qos=1 payload=x topic=" + topic)
					c.Receive()
				}
			}
			c.Close()
			w := b.Client(v)
			w.Send("CONNECT cid=w will=secret/w:x")
			w.Receive()
			synctest.Wait()
			for said, want := range map[string]int{
				`msg="subscription refused" user="" topic=secret/# err="not authorized to subscribe" remote=pipe client_id=c`:        1,
				`msg="message refused" user="" topic=secret/b err="not authorized to publish to this topic" remote=pipe client_id=c`: 1,
				`the will may not be published to \"secret/w\"`:                                                                      1,
				" refused": 3,
			} {
				if got := strings.Count(log.String(), said); got != want {
					t.Errorf("%s: %d times, want %d: %s\n%s", v, got, want, said, &log)
				}
			}
		}
	})
}

func TestRightsThatGoStopDeliveries(t *testing.T) {
	for _, how := range []string{"noticed by the next SUBSCRIBE", "told by RightsChanged"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				auth := newForbidding("")
				b := brokertest.New(t, func(o *broker.Options) { o.Auth = auth })
				live, away, shared, p := b.Client(mqtt.V5), b.Client(mqtt.V5), b.Client(mqtt.V5), b.Client(mqtt.V5)
				live.Connect("cid=live rm=1")
				away.Connect("cid=away se=100")
				shared.Connect("cid=shared")
				p.Connect("cid=p")
				for c, filter := range map[*brokertest.Client]string{live: "a/x", away: "a/x", shared: "$share/g/a/x"} {
					c.Send("SUBSCRIBE id=1 f=" + filter + "@1 f=b@1")
					c.Expect("SUBACK id=1 rcs=0x01,0x01")
				}
				away.Close()
				synctest.Wait()
				p.Send("PUBLISH topic=a/x payload=1 qos=1 id=1")
				p.Expect("PUBACK id=1")
				p.Send("PUBLISH topic=a/x payload=2 qos=1 id=1")
				p.Expect("PUBACK id=1")
				live.Expect("PUBLISH topic=a/x payload=1 qos=1 id=1")
				shared.Expect("PUBLISH topic=a/x payload=1 qos=1 id=1")
				shared.Expect("PUBLISH topic=a/x payload=2 qos=1 id=2")
				forbid := func(prefix string) {
					if auth.forbid(prefix); how == "told by RightsChanged" {
						b.RightsChanged()
						return
					}
					p.Send("SUBSCRIBE id=9 f=other")
					p.Expect("SUBACK id=9 rcs=0x00")
				}
				forbid("a/")
				p.Send("PUBLISH topic=a/x payload=3 qos=1 id=1")
				p.Expect("PUBACK id=1 rc=0x87 reason=yes")
				p.Send("PUBLISH topic=b payload=4 qos=1 id=1")
				p.Expect("PUBACK id=1")
				live.Send("PUBACK id=1")
				live.Expect("PUBLISH topic=b payload=4 qos=1 id=3") // 2 was waiting, and was given up
				shared.Expect("PUBLISH topic=b payload=4 qos=1 id=3")
				away = b.Client(mqtt.V5)
				away.Send("CONNECT cid=away clean=0")
				away.Expect("CONNACK sp=1 rc=0x00 ...")
				away.Expect("PUBLISH topic=b payload=4 qos=1 id=3")
				forbid("")
				p.Send("PUBLISH topic=a/x payload=5 qos=1 id=1")
				p.Expect("PUBACK id=1 rc=0x10") // the subscriptions have ended
			})
		})
	}
}

func TestRightsAreAskedAgainWhenASessionIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := newForbidding("")
		b := brokertest.New(t, func(o *broker.Options) { o.Auth = auth })
		c, p := b.Client(mqtt.V5), b.Client(mqtt.V5)
		c.Connect("cid=c se=100")
		p.Connect("cid=p")
		c.Send("SUBSCRIBE id=1 f=a@2 f=b@2")
		c.Expect("SUBACK id=1 rcs=0x02,0x02")
		for _, topic := range []string{"a", "b"} {
			p.Send("PUBLISH qos=2 id=1 payload=x topic=" + topic)
			p.Expect("PUBREC id=1")
			p.Send("PUBREL id=1")
			p.Expect("PUBCOMP id=1")
		}
		c.Expect("PUBLISH topic=a payload=x qos=2 id=1")
		c.Expect("PUBLISH topic=b payload=x qos=2 id=2")
		c.Close()
		synctest.Wait()
		no := "a"
		auth.no.Store(&no) // without a word
		c = b.Client(mqtt.V5)
		c.Send("CONNECT cid=c clean=0 se=100")
		c.Expect("CONNACK sp=1 rc=0x00 ...")
		c.Expect("PUBREL id=1") // it may hold the identifier
		c.Expect("PUBLISH topic=b payload=x qos=2 id=2 dup=1")
		c.Send("PUBCOMP id=1 rc=0x92")
		c.Send("UNSUBSCRIBE id=3 f=a f=b")
		c.Expect("UNSUBACK id=3 rcs=0x11,0x00")
	})
}

func TestTopicPrefix(t *testing.T) {
	brokertest.RunScript(t, "testdata/wire-options/prefix.txt", func(o *broker.Options) {
		o.Listeners[0].TopicPrefix = "plant/"
	})
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, func(o *broker.Options) { o.Listeners[0].TopicPrefix = "plant/" })
		local, err := b.Attach(broker.ClientOptions{ID: "local"})
		if err != nil {
			t.Fatal(err)
		}
		if err := local.Subscribe(t.Context(), mqtt.Subscription{Filter: "plant/#"}); err != nil {
			t.Fatal(err)
		}
		c := b.Client(mqtt.V5)
		c.Connect("cid=c will=will:gone")
		c.Send("SUBSCRIBE id=1 f=#@1")
		c.Expect("SUBACK id=1 rcs=0x01")
		c.Send("PUBLISH topic=t payload=out rt=reply")
		m, err := local.Next(t.Context())
		if err != nil || m.Topic != "plant/t" || m.Properties.ResponseTopic != "plant/reply" {
			t.Errorf("received %+v, %v", m, err)
		}
		c.Expect("PUBLISH topic=t payload=out qos=0 rt=reply")
		for _, topic := range []string{"other", "plant", "plant/in"} {
			if err := local.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		c.Expect("PUBLISH topic=in payload=x qos=0")
		c.Close()
		for _, want := range []string{"plant", "plant/in", "plant/will"} {
			if m, err := local.Next(t.Context()); err != nil || m.Topic != want {
				t.Errorf("received %+v, %v, want %s", m, err, want)
			}
		}
	})
}

func TestTopicPrefixMustBeATopic(t *testing.T) {
	for _, p := range []string{"plant", "+/", "$SYS/", "\x00/"} {
		o := broker.Options{Listeners: []broker.ListenerOptions{{Listener: bound(t), TopicPrefix: p}}}
		if _, err := broker.New(o); err == nil {
			t.Errorf("prefix %q is taken", p)
		}
	}
}

func bound(t *testing.T) net.Listener {
	ln, err := broker.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// losing is an authenticator whose proofs are lost.
type losing struct {
	brokertest.Auth
	lost atomic.Bool
}

func (l *losing) Lost(*broker.Identity, string) bool { return l.lost.Load() }

func TestLostProofsEndConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := new(losing)
		b := brokertest.New(t, func(o *broker.Options) { o.Auth = auth })
		c := b.Client(mqtt.V5)
		c.Connect("cid=c se=100")
		b.RightsChanged()
		c.Send("PINGREQ")
		c.Expect("PINGRESP")
		auth.lost.Store(true)
		b.RightsChanged()
		c.Expect("DISCONNECT rc=0x98 ...")
		c.ExpectClosed()
		// And between the proof and the session, when RightsChanged finds nothing.
		late := b.Client(mqtt.V5)
		late.Send("CONNECT cid=c clean=0 se=100")
		late.Expect("CONNACK rc=0x86 ...")
		late.ExpectClosed()
		synctest.Wait()
		if n := b.Stats().ClientsConnected; n != 0 {
			t.Errorf("%d are connected", n)
		}
	})
}

// withRevoked gives connections whose client's certificate was revoked while
// their CONNECT was judged.
type withRevoked struct{ *listen.Memory }

type revokedConn struct{ net.Conn }

func (revokedConn) Revoked() bool { return true }

func (l withRevoked) Accept() (net.Conn, error) {
	nc, err := l.Memory.Accept()
	if err != nil {
		return nil, err
	}
	return revokedConn{nc}, nil
}

// Who looks for connections of revoked certificates finds sessions, and may
// have looked before this one had its own.
func TestRevokedBeforeTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := listen.NewMemory()
		brokertest.New(t, func(o *broker.Options) {
			o.Listeners = []broker.ListenerOptions{{Name: "tls", Listener: withRevoked{m}}}
		})
		nc, err := m.Dial()
		if err != nil {
			t.Fatal(err)
		}
		c := brokertest.NewClient(t, nc, mqtt.V5)
		c.Send("CONNECT cid=a")
		c.Expect("CONNACK sp=0 rc=0x86 ...")
		c.ExpectClosed()
	})
}
