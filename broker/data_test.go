package broker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// kill copies a data directory as it is: what the end of the process leaves.
func kill(t *testing.T, dir string) (copied string) {
	t.Helper()
	copied = t.TempDir()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, e.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

func onDisk(dir string) func(*broker.Options) {
	return func(o *broker.Options) { o.Data = &broker.Data{Dir: dir} }
}

// What was acknowledged is there after a restart, clean or not.
func TestStateOutlivesTheProcess(t *testing.T) {
	for _, clean := range []bool{true, false} {
		name := map[bool]string{true: "stopped", false: "killed"}[clean]
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := brokertest.New(t, onDisk(dir))
			s := b.Client(mqtt.V5)
			s.Connect("cid=s clean=1 se=1000")
			s.Send("SUBSCRIBE id=1 f=t/#@2 sid=7")
			s.Expect("SUBACK id=1 rcs=0x02")
			s.Send("SUBSCRIBE id=2 f=gone@2")
			s.Expect("SUBACK id=2 rcs=0x02")
			s.Send("UNSUBSCRIBE id=3 f=gone")
			s.Expect("UNSUBACK id=3 rcs=0x00")
			p := b.Client(mqtt.V5)
			p.Connect("cid=p clean=1 se=1000")
			p.Send("PUBLISH topic=t/1 payload=one qos=2 id=1")
			p.Expect("PUBREC id=1")
			s.Expect("PUBLISH id=1 topic=t/1 payload=one qos=2 sid=7")
			s.Send("PUBREC id=1")
			s.Expect("PUBREL id=1")
			p.Send("PUBLISH topic=t/2 payload=two qos=1 id=2 retain=1")
			p.Expect("PUBACK id=2")
			s.Expect("PUBLISH id=2 topic=t/2 payload=two qos=1 sid=7")
			p.Send("PUBLISH topic=t/3 payload=three qos=2 id=3 up=a:b")
			p.Expect("PUBREC id=3")
			s.Expect("PUBLISH id=3 topic=t/3 payload=three qos=2 sid=7 up=a:b")
			for id, payload := range []string{"four", ""} { // what is cleared stays so
				p.Send(fmt.Sprintf("PUBLISH topic=c/4 payload=%s qos=1 id=%d retain=1", payload, 10+id))
				p.Expect(fmt.Sprintf("PUBACK id=%d rc=0x10", 10+id))
			}
			if clean {
				b.Stop()
			} else {
				dir = kill(t, dir)
				b.Stop()
			}
			b = brokertest.New(t, onDisk(dir))
			s = b.Client(mqtt.V5)
			s.Connect("cid=s clean=0 se=1000 sp=1")
			// Received already: PUBREL is what is left [MQTT-4.4.0-1].
			s.Expect("PUBREL id=1")
			s.Expect("PUBLISH id=2 topic=t/2 payload=two qos=1 dup=1 sid=7")
			s.Expect("PUBLISH id=3 topic=t/3 payload=three qos=2 dup=1 sid=7 up=a:b")
			p = b.Client(mqtt.V5)
			p.Connect("cid=p clean=0 se=1000 sp=1")
			p.Send("PUBLISH topic=t/1 payload=one qos=2 id=1 dup=1")
			p.Expect("PUBREC id=1") // MQTT-4.3.3-10: once
			p.Send("PUBREL id=1")
			p.Expect("PUBCOMP id=1")
			p.Send("PUBLISH topic=gone payload=x qos=1 id=4")
			p.Expect("PUBACK id=4 rc=0x10")
			s.Send("PINGREQ")
			s.Expect("PINGRESP")
			n := b.Client(mqtt.V311)
			n.Connect("cid=n")
			n.Send("SUBSCRIBE id=1 f=t/2@0")
			got := []string{n.Receive(), n.Receive()} // in either order (3.8.4)
			slices.Sort(got)
			if got[0] != "PUBLISH topic=t/2 payload=two qos=0 retain=1" {
				t.Errorf("received %q", got)
			}
			n.Send("SUBSCRIBE id=2 f=c/#@0")
			n.Expect("SUBACK id=2 rcs=0x00")
			n.Send("PINGREQ")
			n.Expect("PINGRESP")
		})
	}
}

// A value for which there was no room takes the one before along, for good: it
// must not pass for the current one.
func TestARetainedValueThatWasRefused(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.New(t, onDisk(dir), func(o *broker.Options) { o.Limits.RetainedSize = 100 })
	p := b.Client(mqtt.V5)
	p.Connect("cid=p clean=1")
	p.Send("PUBLISH topic=c/1 payload=old qos=1 id=1 retain=1")
	p.Expect("PUBACK id=1 rc=0x10")
	p.Send("PUBLISH topic=c/1 payload=" + strings.Repeat("x", 100) + " qos=1 id=2 retain=1")
	p.Expect("PUBACK id=2 rc=0x97 reason=yes")
	b.Stop()
	b = brokertest.New(t, onDisk(dir))
	n := b.Client(mqtt.V5)
	n.Connect("cid=n")
	n.Send("SUBSCRIBE id=1 f=c/#@0")
	n.Expect("SUBACK id=1 rcs=0x00")
	n.Send("PINGREQ")
	n.Expect("PINGRESP")
}

// Who was connected with a will when the process was killed left without a
// word: the will is published before anybody new is served.
func TestWillsOfTheKilled(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.New(t, onDisk(dir))
	w := b.Client(mqtt.V5)
	w.Connect("cid=w will=w/1:lost wretain=1")
	gone := b.Client(mqtt.V5)
	gone.Connect("cid=g will=w/2:not wretain=1")
	gone.Send("DISCONNECT")
	gone.ExpectClosed()
	attach(t, b, broker.ClientOptions{ID: "dev:x", Will: &mqtt.Will{Message: mqtt.Message{Topic: "w/3", Payload: []byte("offline"), Retain: true, QoS: 1}}})
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	publish(t, p, mqtt.Message{Topic: "x", QoS: 1, Retain: true, Payload: []byte("1")}) // a commit
	dir = kill(t, dir)
	b.Stop()
	b = brokertest.New(t, onDisk(dir))
	c := attach(t, b, broker.ClientOptions{ID: "c"})
	if err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: "w/#", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for range 2 {
		m := next(t, c)
		got[m.Topic] = string(m.Payload)
	}
	if got["w/1"] != "lost" || got["w/3"] != "offline" {
		t.Errorf("wills %v", got)
	}
}

// $SYS tells what the store has kept.
func TestSysTellsOfTheStore(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.New(t, func(o *broker.Options) {
		o.Data, o.SysInterval = &broker.Data{Dir: dir, Durability: broker.Always}, 100*time.Millisecond
	})
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	publish(t, p, mqtt.Message{Topic: "x", QoS: 1, Retain: true, Payload: []byte("1")})
	if err := p.Subscribe(t.Context(), mqtt.Subscription{Filter: "$SYS/dunlin/store/#"}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for got["written_bytes/journal"] == "" || got["written_bytes/journal"] == "0" {
		m := next(t, p)
		got[strings.TrimPrefix(m.Topic, "$SYS/dunlin/store/")] = string(m.Payload)
	}
	for name, want := range map[string]string{"mode": "ok", "unsynced/messages": "0", "failures": "0", "bad_pages": "0"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// [MQTT-3.3.1-3] DUP says that a message is sent again: what came while the
// client was away has never been sent, a restart in between or not.
func TestDupAfterARestart(t *testing.T) {
	for v, connect := range map[mqtt.Version]string{mqtt.V311: "cid=s clean=0", mqtt.V5: "cid=s clean=0 se=1000"} {
		t.Run(v.String(), func(t *testing.T) {
			dir := t.TempDir()
			b := brokertest.New(t, onDisk(dir))
			s := b.Client(v)
			s.Connect(connect)
			s.Send("SUBSCRIBE id=1 f=t/#@1")
			s.Expect("SUBACK id=1 rcs=0x01")
			p := attach(t, b, broker.ClientOptions{ID: "p"})
			publish(t, p, mqtt.Message{Topic: "t/1", QoS: 1, Payload: []byte("sent")})
			s.Expect("PUBLISH id=1 topic=t/1 payload=sent qos=1")
			before := b.Stats().ClientsConnected
			s.Close()
			for until := time.Now().Add(10 * time.Second); b.Stats().ClientsConnected == before; {
				if time.Now().After(until) {
					t.Fatal("the server does not see that the client is gone")
				}
				time.Sleep(time.Millisecond)
			}
			publish(t, p, mqtt.Message{Topic: "t/2", QoS: 1, Payload: []byte("waits")})
			b.Stop()
			b = brokertest.New(t, onDisk(dir))
			s = b.Client(v)
			s.Connect(connect + " sp=1")
			s.Expect("PUBLISH id=1 topic=t/1 payload=sent qos=1 dup=1")
			s.Expect("PUBLISH id=2 topic=t/2 payload=waits qos=1")
		})
	}
}

// SUBACK comes first, though it waits for the disk and the retained message
// does not: clients that wait for SUBACK alone are many.
func TestSubackComesFirst(t *testing.T) {
	b := brokertest.New(t, onDisk(t.TempDir()), func(o *broker.Options) { o.Data.Durability = broker.Always })
	for i := range 20 {
		c := b.Client(mqtt.V311)
		c.Connect(fmt.Sprintf("cid=c%d clean=0", i))
		topic := fmt.Sprintf("r/%d", i)
		c.Send("PUBLISH topic=" + topic + " payload=1 retain=1")
		c.Send("SUBSCRIBE id=1 f=" + topic + "@0")
		c.Expect("SUBACK id=1 rcs=0x00")
		c.Expect("PUBLISH topic=" + topic + " payload=1 qos=0 retain=1")
		c.Close()
	}
}

// A queue goes on where it was: what was removed stays away, what was received
// by the other side says so, and retained messages are not queued again.
func TestQueueOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.New(t, onDisk(dir))
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	publish(t, p, mqtt.Message{Topic: "r", QoS: 1, Retain: true, Payload: []byte("retained")})
	o := broker.QueueOptions{Name: "cloud", Filters: []mqtt.Subscription{{Filter: "#", QoS: 2}}}
	q, err := b.AttachQueue(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"1", "2", "3"} {
		publish(t, p, mqtt.Message{Topic: "t", QoS: 2, Payload: []byte(text)})
	}
	ctx := t.Context()
	var seq []uint64
	for range 3 {
		e, err := q.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seq = append(seq, e.Seq)
	}
	if err := q.Remove(ctx, seq[0]); err != nil {
		t.Fatal(err)
	}
	if err := q.Received(ctx, seq[1]); err != nil {
		t.Fatal(err)
	}
	dir = kill(t, dir)
	b.Stop()
	b = brokertest.New(t, onDisk(dir))
	if q, err = b.AttachQueue(o); err != nil {
		t.Fatal(err)
	}
	p = attach(t, b, broker.ClientOptions{ID: "p"})
	publish(t, p, mqtt.Message{Topic: "t", QoS: 2, Payload: []byte("4")})
	var got []string
	for range 4 {
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		e, err := q.Next(short)
		cancel()
		if err != nil {
			t.Fatal(got, err)
		}
		text := string(e.Message.Payload)
		if e.Received {
			text += " received"
		}
		if e.Sent > 0 {
			text += " sent"
		}
		got = append(got, text)
	}
	if want := "1 received sent, 2 sent, 3 sent, 4"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if s := q.Stats(); s.Messages != 4 {
		t.Errorf("%+v", s)
	}
}

// Many publish at once: each message is kept in its place.
func TestManyPublishersAreAllKept(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.New(t, onDisk(dir))
	o := broker.QueueOptions{Name: "cloud", Filters: []mqtt.Subscription{{Filter: "#", QoS: 2}}}
	q, err := b.AttachQueue(o)
	if err != nil {
		t.Fatal(err)
	}
	const publishers, each = 8, 300
	var all sync.WaitGroup
	for i := range publishers {
		c := attach(t, b, broker.ClientOptions{ID: string(rune('a' + i))})
		all.Go(func() {
			for n := range each {
				if n%10 == 0 {
					q.Put(t.Context(), mqtt.Message{Topic: "put", QoS: 1})
				} else {
					c.Publish(t.Context(), mqtt.Message{Topic: "t", QoS: mqtt.QoS(n % 3)})
				}
			}
		})
	}
	all.Wait()
	b.Stop()
	b = brokertest.New(t, onDisk(dir))
	if q, err = b.AttachQueue(o); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); s.Messages != publishers*each {
		t.Errorf("%d of %d messages are there after a restart", s.Messages, publishers*each)
	}
}
