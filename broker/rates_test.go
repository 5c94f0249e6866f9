package broker_test

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// A client that is too fast is not read: it takes longer, nothing is lost, and
// its keep alive does not end meanwhile.
func TestMessageRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, func(o *broker.Options) { o.Limits.MessageRate = 10 })
		s := b.Client(mqtt.V311)
		s.Connect("cid=s")
		s.Send("SUBSCRIBE id=1 f=t@1")
		s.Expect("SUBACK id=1 rcs=0x01")
		c := b.Client(mqtt.V311)
		c.Connect("cid=c ka=1")
		start := time.Now()
		var all []byte
		for i := range 50 {
			v, err := brokertest.Parse(fmt.Sprintf("PUBLISH topic=t payload=x qos=1 id=%d", i+1))
			if err != nil {
				t.Fatal(err)
			}
			all = packet.Append(all, mqtt.V311, v)
		}
		go c.SendBytes(all) // the pipe has no buffer
		for i := range 50 {
			c.Expect("PUBACK ...")
			s.Expect("PUBLISH ...")
			s.Send(fmt.Sprintf("PUBACK id=%d", i+1))
		}
		if d := time.Since(start); d < 3900*time.Millisecond || d > 4200*time.Millisecond {
			t.Errorf("50 messages at 10 a second, 10 of them at once, took %s", d)
		}
		if n := b.Stats().Throttled; n == 0 {
			t.Error("nothing was counted")
		}
	})
}

func TestMessageRateOverTCP(t *testing.T) {
	_, dial := dialTCP(t, func(o *broker.Options) { o.Limits.MessageRate = 100 })
	c := dial(mqtt.V5)
	c.Connect("cid=c")
	start := time.Now()
	for i := range 10 {
		for j := range 15 {
			c.Send(fmt.Sprintf("PUBLISH topic=t payload=x qos=1 id=%d", i*15+j+1))
		}
		for range 15 {
			c.Expect("PUBACK ...")
		}
	}
	if d := time.Since(start); d < 400*time.Millisecond {
		t.Errorf("150 messages at 100 a second took %s", d)
	}
	c.Send("DISCONNECT")
	c.ExpectClosed()
}

func TestByteRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, func(o *broker.Options) { o.Limits.ByteRate = 1001 })
		c := b.Client(mqtt.V5)
		c.Connect("cid=c")
		start := time.Now()
		for i := range 5 {
			c.Send(fmt.Sprintf("PUBLISH topic=t payload=%01000d qos=1 id=%d", i, i+1))
			c.Expect("PUBACK ...")
		}
		c.Send("PINGREQ")
		c.Expect("PINGRESP")
		if d := time.Since(start); d < 3900*time.Millisecond || d > 4100*time.Millisecond {
			t.Errorf("5 messages of 1001 bytes at 1001 a second took %s", d)
		}
	})
}

// A client that is waiting for its rate can be ended at once.
func TestKickWhileThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, func(o *broker.Options) { o.Limits.MessageRate = 0.001 })
		c := b.Client(mqtt.V5)
		c.Connect("cid=c")
		c.Send("PUBLISH topic=t")
		c.Send("PUBLISH topic=t")
		start := time.Now()
		if !b.Disconnect("c", mqtt.AdministrativeAction) {
			t.Error("the client is not there")
		}
		c.Expect("DISCONNECT rc=0x98 reason=yes")
		c.ExpectClosed()
		if d := time.Since(start); d > time.Second {
			t.Errorf("it took %s", d)
		}
	})
}

func TestConnectRate(t *testing.T) {
	b, dial := dialTCP(t, func(o *broker.Options) { o.Limits.LocalConnectRate = 0.3 }) // 3 at once
	for range 3 {
		dial(mqtt.V311).Connect("cid=c")
	}
	dial(mqtt.V311).ExpectClosed()
	refused := uint64(0)
	for _, l := range b.Listeners() {
		refused += l.Refused[mqtt.ConnectionRateExceeded]
	}
	if refused != 1 {
		t.Errorf("refused %d, want 1", refused)
	}
}

func TestBannedClients(t *testing.T) {
	b, dial := dialTCP(t, func(o *broker.Options) { o.Limits.Flapping = 2 })
	c := dial(mqtt.V5)
	c.Connect("cid=c user=u")
	if err := b.Ban(broker.Ban{User: "u", For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	c.Expect("DISCONNECT rc=0x98 reason=yes")
	c.ExpectClosed()
	c = dial(mqtt.V5)
	c.Send("CONNECT cid=c user=u")
	c.Expect("CONNACK sp=0 rc=0x8a reason=yes")
	c.ExpectClosed()
	if all := b.Bans(); len(all) != 1 || all[0].User != "u" || all[0].For <= 0 || all[0].For > time.Minute {
		t.Errorf("bans: %+v", all)
	}
	if !b.Unban(broker.Ban{User: "u"}) || b.Unban(broker.Ban{User: "u"}) || len(b.Bans()) != 0 {
		t.Error("a ban does not end, or ends twice")
	}
	for range 3 { // three that end badly are one too many
		c = dial(mqtt.V5)
		c.Connect("cid=c user=u")
		c.Send("CONNECT cid=c")
		c.Expect("DISCONNECT rc=0x82 reason=yes")
		c.ExpectClosed()
	}
	c = dial(mqtt.V5)
	c.Send("CONNECT cid=c user=u")
	c.Expect("CONNACK sp=0 rc=0x8a reason=yes")
	c = dial(mqtt.V5)
	c.Connect("cid=d user=v")
	here := netip.MustParseAddr("127.0.0.1")
	for _, ban := range []broker.Ban{{Address: netip.MustParseAddr("192.0.2.1"), For: time.Minute}, {Address: here, ClientID: "c", For: time.Minute}} {
		if err := b.Ban(ban); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // neither is it; the first answer may leave with a DISCONNECT
		c.Send("PINGREQ")
		c.Expect("PINGRESP")
	}
	if err := b.Ban(broker.Ban{Address: netip.AddrFrom16(here.As16()), For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	c.Expect("DISCONNECT rc=0x98 reason=yes")
	c.ExpectClosed()
	dial(mqtt.V5).ExpectClosed()
	if !b.Unban(broker.Ban{Address: netip.AddrFrom16(here.As16()), For: time.Minute}) {
		t.Error("the ban of an address does not end")
	}
	dial(mqtt.V5).Connect("cid=d user=v")
}

func TestBansEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t)
		ban := broker.Ban{ClientID: "c", For: time.Minute}
		if err := b.Ban(ban); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if all := b.Bans(); len(all) > 0 || b.Unban(ban) {
			t.Errorf("bans that are over: %+v, or ended again", all)
		}
		b.Client(mqtt.V5).Connect("cid=c")
		if err := b.Ban(broker.Ban{Address: netip.MustParseAddr("2001:db8::1"), For: time.Minute}); err != nil {
			t.Fatal(err)
		}
		if !b.Unban(broker.Ban{Address: netip.MustParseAddr("2001:db8::2")}) {
			t.Error("a ban is not that of the whole /64")
		}
	})
}

// busy has no time for anybody.
type busy struct{ brokertest.Auth }

func (*busy) Authenticate(context.Context, *broker.Connect) (broker.Identity, error) {
	return broker.Identity{}, mqtt.Errorf(mqtt.ServerBusy, "", "too many at once")
}

func TestABusyServerIsNoFailureOfTheClient(t *testing.T) {
	_, dial := dialTCP(t, func(o *broker.Options) { o.Auth, o.Limits.FailedConnects = new(busy), 1 })
	for range 5 {
		c := dial(mqtt.V5)
		c.Send("CONNECT cid=c")
		c.Expect("CONNACK sp=0 rc=0x89 reason=yes")
	}
}

func TestWhoFailsOftenWaits(t *testing.T) {
	_, dial := dialTCP(t, func(o *broker.Options) {
		o.Auth, o.Limits.FailedConnects = &brokertest.Auth{Users: map[string]string{"u": "p", "v": "p", "": ""}}, 2
	})
	enters := func(connect string) {
		t.Helper()
		dial(mqtt.V5).Connect(connect)
	}
	// waits fails until it has to wait, which is longer each time: a machine
	// that is busy for a second cannot make it miss that.
	waits := func(name func(i int) string) {
		t.Helper()
		for i := range 20 {
			c := dial(mqtt.V5)
			c.Send("CONNECT cid=c pass=wrong user=" + name(i))
			switch answer := c.Receive(); answer {
			case "CONNACK sp=0 rc=0x9f reason=yes":
				return
			case "CONNACK sp=0 rc=0x86 reason=yes":
			default:
				t.Fatalf("%s, want 0x86 or 0x9f", answer)
			}
		}
		t.Error("nobody waits")
	}
	enters("cid=before user=u pass=p")
	waits(func(int) string { return "u" })
	enters("cid=before user=u pass=p") // proved itself
	enters("cid=c user=v pass=p")      // another device behind the same proxy
	waits(strconv.Itoa)
	enters("cid=c user=v pass=p")
	enters("cid=d") // no guess
}
