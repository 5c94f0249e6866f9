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

// C. Topics and retained messages.
func attacksOnTopics() []attack {
	return []attack{
		{number: 20, name: "PUBLISH to topics that are not for clients", run: reservedTopics},
		{number: 21, name: "empty topics", run: emptyTopics},
		{number: 22, name: "deep topics", run: deepTopics},
		{number: 23, name: "a million retained topics", run: manyRetained},
		{number: 24, name: "retained messages of changing size", run: retainedSizes},
		{number: 25, name: "one filter as normal and shared subscription in turn", run: subscriptionChurn},
		{number: 26, name: "retained, expiry and deletion race on one topic", run: retainedRace},
		{number: 27, name: "extremes in the configuration", run: configExtremes},
		{number: 28, name: "ten thousand filters", run: manyFilters},
		{number: 29, name: "wildcard explosion", run: wildcardExplosion},
	}
}

// with is the open configuration with more limits.
func with(limits string) string {
	return strings.Replace(open, "connect_rate: 0/s", "connect_rate: 0/s, "+limits, 1)
}

func reservedTopics(t *testing.T) {
	s := attackOpen(t)
	spy := s.dial(mqtt.V5)
	spy.connect("cid=spy")
	spy.send("SUBSCRIBE id=1 f=#@0 f=$SYS/forged/#@0 f=$CONTROL/#@0 f=/leading@0")
	spy.until("SUBACK")
	for _, v := range versions {
		a := s.dial(v)
		a.connect("cid=forger")
		for _, name := range []string{"$SYS/forged/x", "$share/g/t", "$SYS/dunlin/x", "$CONTROL/dynamic-security/v1", "$", "$queue/t"} {
			a.send("PUBLISH id=1 qos=1 retain=1 payload=forged topic=" + name)
			if got := a.receive(); v == mqtt.V5 && !strings.HasPrefix(got, "PUBACK id=1 rc=0x87") || v != mqtt.V5 && got != "PUBACK id=1" {
				t.Errorf("%s: PUBLISH to %s: %s", v, name, got)
			}
		}
		a.send("PUBLISH id=1 qos=1 payload=legal topic=/leading")
		a.expect("PUBACK id=1 ...")
		for _, name := range []string{"#", "a/+", "", "a\x00b", "\xED\xA0\x80"} {
			a := s.dial(v)
			a.connect("cid=forger2")
			p := []byte(nil)
			if v == mqtt.V5 {
				p = props()
			}
			a.write(frame(0x32, field(name), u16(1), p))
			a.closedWith(mqtt.TopicNameInvalid, mqtt.MalformedPacket, mqtt.ProtocolError)
		}
	}
	spy.until("PUBLISH topic=/leading")
	for _, got := range append(spy.until("PUBLISH topic=/leading"), spy.until("PUBLISH topic=/leading")...) {
		if strings.Contains(got, "forged") {
			t.Errorf("delivered: %s", got)
		}
	}
}

func emptyTopics(t *testing.T) {
	s := attackOpen(t)
	a := s.dial(mqtt.V5)
	a.write(rawConnect(0x06, props(), field("c"), props(), field(""), field("gone")))
	if last := a.last(); !hasCode(last, mqtt.TopicNameInvalid) && !hasCode(last, mqtt.MalformedPacket) && !hasCode(last, mqtt.ProtocolError) {
		t.Errorf("will without a topic: %s", last)
	}
	old := s.dial(mqtt.V311)
	old.write(frame(0x10, field("MQTT"), []byte{4, 6, 0, 60}, field("c"), field(""), field("gone")))
	old.gone()
	refusedAfterConnect(t, s, map[string][]byte{
		"retained":          frame(0x31, field(""), props(), []byte("x")),
		"after an alias":    append(frame(0x30, field("t"), props([]byte{35}, u16(1))), frame(0x30, field(""), props([]byte{35}, u16(2)))...),
		"with Response":     frame(0x30, field("t"), props([]byte{8}, field("")), []byte("x")),
		"PUBLISH, no alias": frame(0x30, field(""), props(), []byte("x")),
	}, append(malformed, mqtt.TopicNameInvalid)...)
	f := s.dial(mqtt.V5)
	f.connect("cid=filter")
	f.write(frame(0x82, u16(1), props(), field(""), []byte{0}))
	f.expect("SUBACK id=1 rcs=0x8f ...")
	f.write(frame(0xA2, u16(2), props(), field("")))
	f.expect("UNSUBACK id=2 rcs=0x8f ...")
}

func deepTopics(t *testing.T) {
	s := attackOn(t, victimOptions{config: open, budget: 32 << 20})
	deep := strings.Repeat("/", 32_767)
	a := s.dial(mqtt.V5)
	a.connect("cid=deep")
	before := s.status("VmRSS")
	for n, name := range []string{deep, strings.Repeat("a/", 16) + "a", strings.Repeat("x", 1025)} {
		a.send(fmt.Sprintf("PUBLISH id=1 qos=1 retain=1 payload=x topic=%s", name))
		a.expect("PUBACK id=1 rc=0x90 ...")
		a.send("SUBSCRIBE id=2 f=" + name + "@1")
		a.expect("SUBACK id=2 rcs=0x8f ...")
		a.send("SUBSCRIBE id=3 f=$share/g/" + name + "@1")
		a.expect("SUBACK id=3 rcs=0x8f ...")
		w := s.dial(mqtt.V5)
		w.send(fmt.Sprintf("CONNECT cid=will-%d will=%s:x", n, name))
		if last := w.last(); !hasCode(last, mqtt.TopicNameInvalid) {
			t.Errorf("will: %s", last)
		}
	}
	for n := range scale(300, 3000) {
		a.send(fmt.Sprintf("PUBLISH id=1 qos=1 retain=1 payload=x topic=%d/%s", n, strings.Repeat("y/", 190)))
		a.expect("PUBACK id=1 rc=0x90 ...")
	}
	if grown := s.status("VmRSS") - before; grown > 12<<20 {
		t.Errorf("RSS grew by %d MiB", grown>>20)
	}
	fits := strings.Repeat("a/", 15) + "a"
	a.send("SUBSCRIBE id=2 f=" + fits + "@0")
	a.expect("SUBACK id=2 rcs=0x00")
}

// flood sends packets in batches and returns when all were worked off.
func (a *attacker) flood(n int, line func(i int) string) {
	a.t.Helper()
	var batch []byte
	for i := range n {
		batch = append(batch, a.encode(line(i))...)
		if len(batch) > 64<<10 || i == n-1 {
			a.write(batch)
			a.alive()
			batch = batch[:0]
		}
	}
}

// retained counts the retained messages below a filter.
func (s *victim) retained(filter string) (n int) {
	s.t.Helper()
	a := s.dial(mqtt.V311)
	a.connect("cid=counter")
	a.send("SUBSCRIBE id=1 f=" + filter + "@0")
	n += len(a.until("SUBACK"))
	a.patient = time.Second
	for {
		switch got := a.receive(); {
		case strings.HasPrefix(got, "PUBLISH") && strings.Contains(got, "retain=1"):
			n++
		case got == "silence", got == "closed":
			a.nc.Close()
			return n
		}
	}
}

func manyRetained(t *testing.T) {
	s := attackOn(t, victimOptions{config: with("retained_size: 16MiB"), budget: 64 << 20})
	a := s.dial(mqtt.V5)
	a.connect("cid=hoarder")
	n := scale(40_000, 1_000_000)
	a.flood(n, func(i int) string { return fmt.Sprintf("PUBLISH topic=hoard/%d retain=1 payload=value", i) })
	if got := s.retained("hoard/#"); got != 20_000 { // all reach one subscriber
		t.Errorf("%d retained messages, want the limit of 20,000", got)
	}
	a.flood(n, func(i int) string { return fmt.Sprintf("PUBLISH topic=hoard/%d retain=1 payload=", i) })
	if got := s.retained("hoard/#"); got != 0 {
		t.Errorf("%d retained messages after all were cleared", got)
	}
	t.Run("of one user of several", hoardingUser)
}

// A user that hoards leaves room to the others, with each version and by its
// wills, too.
func hoardingUser(t *testing.T) {
	config := strings.Replace(with("retained_messages: 800"), ", anonymous: true", "", 1) + `
auth: {users_file: users, rules: [{user: "*", publish: ["#"], subscribe: ["#"]}]}
`
	s := attackOn(t, victimOptions{config: config, files: map[string]string{"users": someUsers("healthy", "u", "v")}, probe: "user=healthy pass=healthy"})
	v := s.as("v", "cid=modest")
	v.send("PUBLISH id=1 qos=1 topic=v/0 retain=1 payload=x")
	v.expect("PUBACK id=1 ...")
	for i, version := range versions {
		u := s.dial(version)
		u.connect("cid=hoarder user=u pass=u")
		u.flood(1000, func(n int) string { return fmt.Sprintf("PUBLISH topic=u/%d/%d retain=1 payload=x", i, n) })
		u.nc.Close()
	}
	for i := range 3 {
		s.as("u", fmt.Sprintf("cid=dies-%d wretain=1 will=u/will/%d:x", i, i)).nc.Close()
	}
	for i := range 150 {
		v.send(fmt.Sprintf("PUBLISH id=1 qos=1 topic=v/%d retain=1 payload=x", i))
		if got := v.receive(); i < 101 && !strings.HasPrefix(got, "PUBACK id=1 rc=0x10") || i == 101 && !strings.HasPrefix(got, "PUBACK id=1 rc=0x97") {
			t.Fatalf("the modest user's message %d: %s", i, got)
		}
	}
}

// The sizes that are accounted must not drift: what fits at the start fits
// after many changes.
func retainedSizes(t *testing.T) {
	s := attackOn(t, victimOptions{config: with("retained_size: 1MiB")})
	a := s.dial(mqtt.V5)
	a.connect("cid=swing")
	fill := func() int {
		a.flood(1500, func(i int) string { return fmt.Sprintf("PUBLISH topic=fill/%04d retain=1 payload=%01000d", i, i) })
		n := s.retained("fill/#")
		a.flood(1500, func(i int) string { return fmt.Sprintf("PUBLISH topic=fill/%04d retain=1 payload=", i) })
		return n
	}
	first := fill()
	small, large := strings.Repeat("s", 256), strings.Repeat("l", 100_000)
	a.flood(scale(20_000, 1_000_000), func(i int) string {
		switch payload := small; i % 3 {
		case 0:
			if i%300 == 0 {
				payload = large
			}
			return fmt.Sprintf("PUBLISH topic=swing/%d retain=1 payload=%s", i*7919%1000, payload)
		case 1:
			return fmt.Sprintf("PUBLISH topic=swing/%d retain=1 payload=%s", i*7919%1000, payload[:i%256])
		default:
			return fmt.Sprintf("PUBLISH topic=swing/%d retain=1 payload=", i*7919%1000)
		}
	})
	a.flood(1000, func(i int) string { return fmt.Sprintf("PUBLISH topic=swing/%d retain=1 payload=", i) })
	if again := fill(); again != first || first < 500 || first > 1048 {
		t.Errorf("%d messages of 1000 bytes fit into 1 MiB at the start, %d after the changes", first, again)
	}
}

func subscriptionChurn(t *testing.T) {
	s := attackOpen(t)
	a := s.dial(mqtt.V5)
	a.connect("cid=churn")
	before := s.status("VmRSS")
	for i := range scale(2_000, 50_000) {
		for _, f := range []string{"churn/+/x", "$share/g/churn/+/x", fmt.Sprintf("churn/%d", i), fmt.Sprintf("$share/g%d/churn/%d", i, i)} {
			a.send("SUBSCRIBE id=1 f=" + f + "@1")
			a.expect("SUBACK id=1 rcs=0x01")
			a.send("UNSUBSCRIBE id=2 f=" + f)
			a.expect("UNSUBACK id=2 rcs=0x00")
		}
	}
	for _, name := range []string{"churn/1/x", "churn/1"} {
		a.send("PUBLISH id=3 qos=1 payload=x topic=" + name)
		a.expect("PUBACK id=3 rc=0x10 ...")
	}
	if grown := s.status("VmRSS") - before; grown > 8<<20 {
		t.Errorf("RSS grew by %d MiB", grown>>20)
	}
}

func retainedRace(t *testing.T) {
	s := attackOpen(t)
	var racing sync.WaitGroup
	for n := range 50 {
		a := s.dial(mqtt.V5)
		a.connect(fmt.Sprintf("cid=racer-%d", n))
		racing.Go(func() {
			for i := range scale(100, 2000) {
				a.send(fmt.Sprintf("PUBLISH topic=race/one retain=1 expiry=%d payload=%d", 1+i%2, i))
				a.send("PUBLISH topic=race/one retain=1 payload=")
				if i%10 == 0 {
					a.send("SUBSCRIBE id=1 f=race/+@1")
					a.until("SUBACK")
					a.send("UNSUBSCRIBE id=1 f=race/+")
					a.until("UNSUBACK")
				}
			}
			a.alive()
		})
	}
	racing.Wait()
	a := s.dial(mqtt.V5)
	a.connect("cid=last")
	a.send("PUBLISH id=1 qos=1 topic=race/one retain=1 payload=last")
	a.expect("PUBACK id=1 ...")
	a.send("SUBSCRIBE id=2 f=race/one@0")
	a.until("PUBLISH topic=race/one payload=last qos=0 retain=1")
}
