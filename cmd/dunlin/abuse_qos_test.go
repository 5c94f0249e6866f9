//go:build linux

package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// D. The state of QoS 1 and 2.
func attacksOnQoS() []attack {
	return []attack{
		{number: 30, name: "QoS 2 without end and without PUBREL", run: neverReleased},
		{number: 31, name: "the same over many connections of one session", run: neverReleasedResumed},
		{number: 32, name: "acknowledgements that nobody waits for", run: foreignAcknowledgements},
		{number: 33, name: "a subscriber that never acknowledges", run: neverAcknowledged},
		{number: 34, name: "Receive Maximum and Maximum Packet Size at their ends", run: smallMaxima},
		{number: 35, name: "ten thousand sessions that never expire", run: manySessions},
		{number: 36, name: "Message Expiry at its ends", run: messageExpiry},
		{number: 37, name: "shared subscriptions that cannot be, or never acknowledge", run: sharedAbuse},
		{number: 38, name: "DISCONNECT that raises the Session Expiry from 0", run: raisedExpiry},
		{number: 39, name: "large Correlation Data, Subscription Identifier 0", run: largeCorrelation},
	}
}

func neverReleased(t *testing.T) {
	s := attackOpen(t)
	a := s.dial(mqtt.V5)
	a.connect("cid=never")
	for id := 1; id <= 20; id++ {
		a.send(fmt.Sprintf("PUBLISH topic=q qos=2 id=%d payload=x", id))
		a.until(fmt.Sprintf("PUBREC id=%d", id))
	}
	a.send("PUBLISH topic=q qos=2 id=21 payload=x")
	a.closedWith(mqtt.ReceiveMaximumExceeded)

	old := s.dial(mqtt.V311) // cannot be told a maximum, and can have no more than there are identifiers
	old.connect("cid=never")
	before := s.status("VmRSS")
	last := scale(20_000, 65_535)
	for id := 1; id <= last; id++ {
		old.send(fmt.Sprintf("PUBLISH topic=q qos=2 id=%d payload=x", id))
		if id%1000 == 0 || id == last {
			old.until(fmt.Sprintf("PUBREC id=%d", id))
		}
	}
	if grown := s.status("VmRSS") - before; grown > 16<<20 {
		t.Errorf("RSS grew by %d MiB", grown>>20)
	}
}

func neverReleasedResumed(t *testing.T) {
	s := attackOpen(t)
	sub := s.dial(mqtt.V5)
	sub.connect("cid=sub rm=65535")
	sub.send("SUBSCRIBE id=1 f=q@0")
	sub.expect("SUBACK ...")
	var before int64
	id := 1
	for n := range scale(200, 3000) {
		if n == 50 {
			before = s.status("VmRSS")
		}
		a := s.dial(mqtt.V5)
		a.connect("cid=again clean=0 se=1000")
		for range 20 {
			a.send(fmt.Sprintf("PUBLISH topic=q qos=2 id=%d payload=%d", id, id))
			a.until(fmt.Sprintf("PUBREC id=%d", id))
			id++
		}
		a.send(fmt.Sprintf("PUBLISH topic=q qos=2 id=%d payload=beyond", id))
		a.closedWith(mqtt.ReceiveMaximumExceeded)
		a.nc.Close()
	}
	if grown := s.status("VmRSS") - before; grown > 12<<20 {
		t.Errorf("RSS grew by %d MiB", grown>>20)
	}
	a := s.dial(mqtt.V5) // what was received before is not routed again
	a.connect("cid=again clean=0 se=1000")
	a.send("PUBLISH topic=q qos=2 id=5 dup=1 payload=again")
	a.until("PUBREC id=5")
	a.send("PUBREL id=5")
	a.expect("PUBCOMP id=5")
	a.send("PUBLISH topic=q payload=end")
	for _, got := range sub.until("PUBLISH topic=q payload=end") {
		if strings.Contains(got, "payload=again") || strings.Contains(got, "payload=beyond") {
			t.Errorf("delivered: %s", got)
		}
	}
}

func foreignAcknowledgements(t *testing.T) {
	s := attackOpen(t)
	a := s.dial(mqtt.V5)
	a.connect("cid=foreign")
	a.send("PUBREL id=77")
	a.expect("PUBCOMP id=77 rc=0x92 ...")
	a.send("PUBREC id=78")
	a.expect("PUBREL id=78 rc=0x92 ...")
	a.send("PUBCOMP id=79")
	a.send("PUBACK id=80")
	a.alive()

	sub := s.dial(mqtt.V5)
	sub.connect("cid=sub")
	sub.send("SUBSCRIBE id=1 f=once@2")
	sub.expect("SUBACK ...")
	var racing sync.WaitGroup
	for range 30 { // two connections of one session race with one identifier
		var both [2]*attacker
		for i := range both {
			both[i] = s.dial(mqtt.V5)
		}
		for i, a := range both {
			racing.Go(func() {
				a.send("CONNECT cid=twice clean=0 se=1000")
				a.send(fmt.Sprintf("PUBLISH topic=once qos=2 id=9 dup=%d payload=x", i))
				a.receive()
				a.receive()
			})
		}
		racing.Wait()
	}
	end := s.dial(mqtt.V5)
	end.connect("cid=twice clean=0 se=1000")
	end.send("PUBLISH topic=once qos=2 id=10 payload=end")
	end.until("PUBREC id=10")
	if got := sub.until("PUBLISH id=2 topic=once payload=end"); len(got) != 1 {
		t.Errorf("a message of QoS 2 with one identifier was delivered %d times", len(got))
	}
}

func neverAcknowledged(t *testing.T) {
	s := attackOpen(t)
	stuck := s.dial(mqtt.V5)
	stuck.connect("cid=stuck se=1000 rm=5")
	stuck.send("SUBSCRIBE id=1 f=never/#@1")
	stuck.expect("SUBACK ...")
	offline := s.dial(mqtt.V5)
	offline.connect("cid=offline se=1000")
	offline.send("SUBSCRIBE id=1 f=never/#@1")
	offline.expect("SUBACK ...")
	offline.send("DISCONNECT")
	offline.gone() // nothing of what follows was sent to it before
	p := s.dial(mqtt.V311)
	p.connect("cid=publisher")
	before := s.status("VmRSS")
	messages := scale(5_000, 50_000)
	payload := strings.Repeat("x", 1000)
	for i := range messages {
		p.send(fmt.Sprintf("PUBLISH topic=never/x qos=1 id=%d payload=%d.%s", 1+i%60000, i, payload))
		p.until(fmt.Sprintf("PUBACK id=%d", 1+i%60000))
	}
	if grown := s.status("VmRSS") - before; grown > 16<<20 {
		t.Errorf("RSS grew by %d MiB for two queues of 1 MiB", grown>>20)
	}
	for id := range 5 {
		stuck.expect(fmt.Sprintf("PUBLISH id=%d topic=never/x payload=%d.%s qos=1", id+1, id, payload))
	}
	for id := 1; id < 65536; id++ {
		if id > 5 {
			stuck.write(frame(0x40, u16(id)))
			stuck.write(frame(0x70, u16(id)))
		}
	}
	stuck.alive() // foreign identifiers free nothing
	if got := stuck.receive(); got != "silence" {
		t.Errorf("after acknowledgements of foreign identifiers came %.100s", got)
	}
	stuck.send("PUBACK id=3")
	if got := stuck.receive(); !strings.HasPrefix(got, "PUBLISH id=") {
		t.Errorf("after one true acknowledgement came %.100s", got)
	}
	back := s.dial(mqtt.V5)
	back.connect("cid=offline clean=0 se=1000")
	first := back.receive()
	var id, n int
	if _, err := fmt.Sscanf(first, "PUBLISH id=%d topic=never/x payload=%d.", &id, &n); err != nil || n < messages-1100 {
		t.Errorf("the queue of the offline session starts with %.100s", first)
	}
}

func smallMaxima(t *testing.T) {
	s := attackOpen(t)
	p := s.dial(mqtt.V5)
	p.connect("cid=publisher")
	for name, property := range map[string][]byte{
		"Receive Maximum 0":     append([]byte{33}, u16(0)...),
		"Maximum Packet Size 0": append([]byte{39}, u32(0)...),
	} {
		a := s.dial(mqtt.V5)
		a.write(rawConnect(2, props(property), field("c")))
		if last := a.last(); !hasCode(last, mqtt.ProtocolError) {
			t.Errorf("%s: %s", name, last)
		}
	}
	one := s.dial(mqtt.V5)
	one.connect("cid=one rm=1")
	one.send("SUBSCRIBE id=1 f=max/#@1")
	one.expect("SUBACK ...")
	tiny := s.dial(mqtt.V5)
	tiny.send("CONNECT cid=tiny mps=1") // not even CONNACK fits
	small := s.dial(mqtt.V5)
	small.send("CONNECT cid=small mps=20")
	if got := small.receive(); len(got) == 0 || strings.HasPrefix(got, "PUBLISH") {
		t.Errorf("Maximum Packet Size 20: %s", got)
	}
	small.send("SUBSCRIBE id=1 f=max/#@1")
	small.send("PINGREQ")
	for i, payload := range []string{"1", strings.Repeat("x", 100), "3"} {
		p.send(fmt.Sprintf("PUBLISH topic=max/t qos=1 id=%d payload=%s", i+1, payload))
		p.expect(fmt.Sprintf("PUBACK id=%d", i+1))
	}
	one.expect("PUBLISH id=1 topic=max/t payload=1 qos=1")
	one.patient = 300 * time.Millisecond
	if got := one.receive(); got != "silence" {
		t.Errorf("Receive Maximum 1: a second message came: %s", got)
	}
	small.patient = time.Second
	for got := ""; got != "silence" && got != "closed"; got = small.receive() {
		if strings.Contains(got, "xxxx") {
			t.Errorf("larger than the client's maximum: %s", got)
		}
	}
}

func manySessions(t *testing.T) {
	s := attackOn(t, victimOptions{config: open, budget: 64 << 20})
	n := scale(3_000, 10_000)
	refused := 0
	for i := range n {
		a := s.dial(mqtt.V5)
		a.write(rawConnect(0, props([]byte{17}, u32(-1)), field(fmt.Sprintf("eternal-%d", i))))
		got := a.receive()
		if !strings.Contains(got, "se=604800") && hasCode(got, 0) {
			t.Fatalf("the Session Expiry is not capped: %s", got)
		}
		if !hasCode(got, 0) {
			refused++
		}
		a.send("SUBSCRIBE id=1 f=eternal@1")
		a.receive()
		a.nc.Close()
	}
	t.Logf("%d of %d sessions were refused, RSS is %d MiB", refused, n, s.status("VmRSS")>>20)
	if refused < n-10_000 {
		t.Errorf("%d sessions are kept", n-refused)
	}
}

func messageExpiry(t *testing.T) {
	s := attackOpen(t)
	a := s.dial(mqtt.V5)
	a.connect("cid=offline se=1000")
	a.send("SUBSCRIBE id=1 f=expiry/#@1")
	a.expect("SUBACK ...")
	a.send("DISCONNECT")
	a.gone() // what is published now was never sent to it
	p := s.dial(mqtt.V5)
	p.connect("cid=publisher")
	for i, expiry := range []string{"expiry=0", "expiry=1", "expiry=4294967295", ""} {
		p.send(fmt.Sprintf("PUBLISH topic=expiry/%d retain=1 qos=1 id=%d payload=x %s", i, i+1, expiry))
		p.until(fmt.Sprintf("PUBACK id=%d", i+1))
	}
	time.Sleep(1200 * time.Millisecond)
	for _, cid := range []string{"cid=offline clean=0", "cid=fresh"} {
		b := s.dial(mqtt.V5)
		b.connect(cid)
		if cid == "cid=fresh" {
			b.send("SUBSCRIBE id=1 f=expiry/#@1")
		}
		var got []string
		for {
			if len(got) == 2 {
				b.patient = 500 * time.Millisecond // nothing is to come any more
			}
			words := b.receive()
			if words == "silence" {
				break
			}
			if !strings.HasPrefix(words, "SUBACK") {
				got = append(got, words)
			}
		}
		if len(got) != 2 || !strings.Contains(strings.Join(got, " "), "topic=expiry/2") || !strings.Contains(strings.Join(got, " "), "topic=expiry/3") ||
			!strings.Contains(strings.Join(got, " "), "expiry=42949672") {
			t.Errorf("%s got %q, want the message that lasts and the one without an expiry", cid, got)
		}
	}
}

func sharedAbuse(t *testing.T) {
	s := attackOpen(t)
	a := s.dial(mqtt.V5)
	a.connect("cid=shared")
	for _, f := range []string{"$share//t", "$share/a+b/t", "$share/a#/t", "$share/g", "$share/g/", "$share/", "$share"} {
		a := s.dial(mqtt.V5)
		a.connect("cid=shared2")
		a.send("SUBSCRIBE id=1 f=" + f + "@1")
		if got := a.receive(); f != "$share" && !strings.HasPrefix(got, "SUBACK id=1 rcs=0x8f") && !hasCode(got, mqtt.ProtocolError) && !hasCode(got, mqtt.MalformedPacket) {
			t.Errorf("%s: %s", f, got)
		}
	}
	n := s.dial(mqtt.V5)
	n.connect("cid=nolocal")
	n.send("SUBSCRIBE id=1 f=$share/g/t@1,nl")
	n.closedWith(mqtt.ProtocolError)

	refused := 0
	for i := range 1000 {
		a.send(fmt.Sprintf("SUBSCRIBE id=1 f=$share/g%d/many@0", i))
		if got := a.receive(); strings.HasPrefix(got, "SUBACK id=1 rcs=0x97") {
			refused++
		}
	}
	if refused != 500 {
		t.Errorf("%d of 1000 groups were refused, want 500", refused)
	}

	silent := s.dial(mqtt.V5) // takes, and never acknowledges
	silent.connect("cid=silent rm=5")
	silent.send("SUBSCRIBE id=1 f=$share/g/work@1")
	silent.expect("SUBACK ...")
	p := s.dial(mqtt.V5)
	p.connect("cid=publisher")
	for i := range 3 {
		p.send(fmt.Sprintf("PUBLISH topic=work qos=1 id=1 payload=%d", i))
		p.expect("PUBACK id=1")
		silent.expect(fmt.Sprintf("PUBLISH id=%d topic=work payload=%d qos=1", i+1, i))
	}
	worker := s.dial(mqtt.V5)
	worker.connect("cid=worker")
	worker.send("SUBSCRIBE id=1 f=$share/g/work@1")
	worker.expect("SUBACK ...")
	silent.nc.Close()
	for i := range 3 {
		worker.expect(fmt.Sprintf("PUBLISH id=%d topic=work payload=%d qos=1", i+1, i))
	}
}

func raisedExpiry(t *testing.T) {
	s := attackOpen(t)
	a := s.dial(mqtt.V5)
	a.connect("cid=raise se=0")
	a.send("DISCONNECT se=100")
	a.closedWith(mqtt.ProtocolError)
	b := s.dial(mqtt.V5)
	b.send("CONNECT cid=raise clean=0")
	b.expect("CONNACK sp=0 rc=0x00 ...")
}

func largeCorrelation(t *testing.T) {
	s := attackOpen(t)
	a := s.dial(mqtt.V5)
	a.connect("cid=correlation")
	a.send("SUBSCRIBE id=1 f=ask@1")
	a.expect("SUBACK ...")
	data := strings.Repeat("d", 65_535)
	a.send("PUBLISH topic=ask qos=1 id=2 rt=answer payload=x cd=" + data)
	before := a.until("PUBACK id=2")
	if len(before) == 0 {
		before = append(before, a.receive())
	}
	if !strings.Contains(before[0], "cd="+data) || !strings.Contains(before[0], "rt=answer") {
		t.Errorf("the answer's data was changed: %.200s", before[0])
	}
	refusedAfterConnect(t, s, map[string][]byte{
		"Subscription Identifier 0": frame(0x82, u16(1), props([]byte{11, 0}), field("a"), []byte{0}),
	}, mqtt.ProtocolError)
}
