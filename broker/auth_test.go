package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// steps is an exchange whose client says "user" and then "password".
type steps struct{ user string }

func (s *steps) Step(_ context.Context, data []byte) (reply []byte, done bool, id broker.Identity, err error) {
	switch {
	case s.user == "":
		s.user = string(data)
		return []byte("password?"), false, id, nil
	case string(data) != "secret":
		return nil, false, id, mqtt.Errorf(mqtt.NotAuthorized, "", "wrong")
	}
	id = broker.Identity{User: s.user}
	s.user = ""
	return []byte("welcome"), true, id, nil
}

func withSteps(o *broker.Options) {
	o.Auth = &brokertest.Auth{Methods: map[string]func(*broker.Connect) broker.Exchange{
		"STEPS": func(*broker.Connect) broker.Exchange { return new(steps) },
	}}
}

func TestEnhancedAuthentication(t *testing.T) {
	brokertest.RunScript(t, "testdata/wire-options/auth.txt", withSteps)
}

func TestASessionBelongsToWhoMadeIt(t *testing.T) {
	users := func(o *broker.Options) {
		o.Auth = &brokertest.Auth{Users: map[string]string{"alice": "a", "bob": "b", "": ""}}
	}
	for _, other := range []string{"user=bob pass=b", ""} {
		for _, clean := range []string{"clean=0", "clean=1"} {
			t.Run("MQTT-3.1.4-3 not for others, "+other+" "+clean, func(t *testing.T) {
				b := brokertest.New(t, users)
				a := b.Client(mqtt.V5)
				a.Connect("cid=c user=alice pass=a se=100")
				a.Send("SUBSCRIBE id=1 f=t@1")
				a.Expect("SUBACK id=1 rcs=0x01")
				for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
					x := b.Client(v)
					x.Send("CONNECT cid=c " + other + " " + clean)
					x.Expect("CONNACK rc=0x85 ...")
					x.ExpectClosed()
				}
				a.Send("PUBLISH topic=t payload=mine qos=1 id=2") // alice is not disturbed
				a.Expect("PUBACK id=2")
				a.Expect("PUBLISH topic=t payload=mine qos=1 id=1")
				a.Close()
				x := b.Client(mqtt.V5)
				x.Send("CONNECT cid=c " + other + " " + clean)
				x.Expect("CONNACK rc=0x85 ...")
				a = b.Client(mqtt.V5)
				a.Send("CONNECT cid=c clean=0 user=alice pass=a")
				a.Expect("CONNACK sp=1 rc=0x00 ...")
				a.Expect("PUBLISH topic=t payload=mine qos=1 id=1 dup=1")
			})
		}
	}
}

func TestAWillIsJudgedAgainWhenItIsPublished(t *testing.T) {
	allowed := true
	auth := &brokertest.Auth{}
	auth.May = func(a *broker.Access) broker.Decision {
		if a.Action == broker.Publish && a.Topic == "will" && !allowed {
			return broker.Decision{Code: mqtt.NotAuthorized}
		}
		return broker.Decision{MaxQoS: mqtt.ExactlyOnce}
	}
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, func(o *broker.Options) { o.Auth = auth })
		s := b.Client(mqtt.V5)
		s.Connect("cid=s")
		s.Send("SUBSCRIBE id=1 f=will")
		s.Expect("SUBACK id=1 rcs=0x00")
		c := b.Client(mqtt.V5)
		c.Connect("cid=c will=will:gone")
		allowed = false
		c.Close()
		synctest.Wait()
		if got := s.Pending(); got != "" {
			t.Errorf("received %s, want nothing", got)
		}
		if n := b.Stats().WillsRefused; n != 1 {
			t.Errorf("WillsRefused = %d, want 1", n)
		}
		c = b.Client(mqtt.V5)
		c.Send("CONNECT cid=c will=will:gone")
		c.Expect("CONNACK sp=0 rc=0x87 reason=yes")
	})
}

// A bridge of mosquitto has the state of its connection as its will.
func TestStateOfTheOwnConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t)
		s := b.Client(mqtt.V5)
		s.Connect("cid=s")
		s.Send("SUBSCRIBE id=1 f=$SYS/broker/connection/#")
		s.Expect("SUBACK id=1 rcs=0x00")
		c := b.Client(mqtt.V5)
		c.Connect("cid=c will=$SYS/broker/connection/c/state:0")
		c.Send("PUBLISH topic=$SYS/broker/connection/c/state payload=1 qos=1 id=1")
		c.Expect("PUBACK id=1 ...")
		s.Expect("PUBLISH topic=$SYS/broker/connection/c/state payload=1 ...")
		c.Send("PUBLISH topic=$SYS/broker/connection/s/state payload=0 qos=1 id=2")
		c.Expect("PUBACK id=2 rc=0x87 ...")
		c.Close()
		s.Expect("PUBLISH topic=$SYS/broker/connection/c/state payload=0 ...")
		c = b.Client(mqtt.V5)
		c.Send("CONNECT cid=c will=$SYS/broker/connection/s/state:0")
		c.Expect("CONNACK sp=0 rc=0x87 ...")
	})
}

// expiring proves everybody for a minute.
type expiring struct{ brokertest.Auth }

func (e *expiring) Authenticate(context.Context, *broker.Connect) (broker.Identity, error) {
	return broker.Identity{User: "u", Expires: time.Now().Add(time.Minute)}, nil
}

func TestTheEndOfTheProofEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, func(o *broker.Options) { o.Auth = new(expiring) })
		c := b.Client(mqtt.V5)
		c.Connect("cid=c")
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if got := c.Pending(); got != "" {
			t.Fatalf("received %s before the proof ended", got)
		}
		c.Expect("DISCONNECT rc=0xa0 reason=yes")
		c.ExpectClosed()
	})
}

func TestLimitOfSessionsThatAreKept(t *testing.T) {
	b := brokertest.New(t, func(o *broker.Options) { o.Limits.Sessions, o.Limits.SessionsPerUser = 3, 2 })
	connect := func(words, want string) {
		t.Helper()
		c := b.Client(mqtt.V5)
		c.Send("CONNECT " + words)
		c.Expect(want + " ...")
		if strings.Contains(want, "rc=0x00") {
			c.Send("DISCONNECT")
			c.ExpectClosed()
		}
	}
	connect("cid=1 se=100 user=a", "CONNACK rc=0x00")
	connect("cid=2 se=100 user=a", "CONNACK rc=0x00")
	connect("cid=3 se=100 user=a", "CONNACK rc=0x97")
	connect("cid=3 se=0 user=a", "CONNACK rc=0x00")
	connect("cid=2 se=100 user=a clean=0", "CONNACK sp=1 rc=0x00")
	connect("cid=2 se=100 user=a clean=1", "CONNACK sp=0 rc=0x00")
	connect("cid=4 se=100 user=b", "CONNACK rc=0x00")
	connect("cid=5 se=100 user=b", "CONNACK rc=0x97")
	connect("cid=1 se=0 user=a clean=0", "CONNACK sp=1 rc=0x00") // ends with its connection
	connect("cid=5 se=100 user=b", "CONNACK rc=0x00")
	if n := b.Stats().SessionsRefused; n != 2 {
		t.Errorf("SessionsRefused = %d, want 2", n)
	}
}

// Who invents Client Identifiers leaves room for the sessions of others.
func TestOneUserHasNotAllSessions(t *testing.T) {
	b := brokertest.New(t, func(o *broker.Options) { o.Limits.Sessions = 8 })
	for i := range 9 {
		c, user, want := b.Client(mqtt.V5), "a", "0x00"
		switch i {
		case 7:
			want = "0x97"
		case 8:
			user = "b"
		}
		c.Send(fmt.Sprintf("CONNECT cid=%d se=100 user=%s", i, user))
		c.Expect("CONNACK rc=" + want + " ...")
	}
}
