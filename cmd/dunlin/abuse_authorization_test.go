//go:build linux

package main

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// E. Authorization.
func attacksOnAuthorization() []attack {
	return []attack{
		{number: 40, name: "filters wider than the right", run: wideFilters},
		{number: 41, name: "a refusal inside a wider right", run: refusalsInside},
		{number: 42, name: "templates and an empty name", run: emptyNames},
		{number: 43, name: "a Topic Alias from before the right was lost", run: staleAlias},
		{number: 44, name: "another user with the same Client Identifier", run: func(t *testing.T) { foreignSession(t, "clean=0") }},
		{number: 45, name: "another user who destroys the session", run: func(t *testing.T) { foreignSession(t, "clean=1") }},
		{number: 46, name: "the same from an anonymous listener", run: anonymousTakeover},
		{number: 47, name: "a storm of take-overs", run: takeoverStorm},
		{number: 48, name: "a take-over of a connection that is stuck", run: stuckTakeover},
		{number: 49, name: "wills without the right to publish", run: forbiddenWills},
		{number: 50, name: "names that are filters", run: namesAsFilters},
		{number: 51, name: "names that are patterns elsewhere", run: namesAsPatterns},
		{number: 52, name: "retained messages when a right is lost", run: retainedAfterLoss},
		{number: 53, name: "rights lost while subscribed", run: rightsLost},
		{number: 54, name: "what waits when a right is lost", run: waitingAfterLoss},
		{number: 55, name: "$-topics by every way", run: dollarTopics},
		{number: 56, name: "a bridge that writes where it must not", run: bridgeIntoSys},
		{number: 57, name: "re-authentication as somebody else", elsewhere: "broker TestEnhancedAuthentication"},
	}
}

// sha512Hash is a line of a users file in mosquitto's oldest format, which is
// cheap to check.
func sha512Hash(user, password string) string {
	salt := []byte("saltsaltsalt")
	sum := sha512.Sum512(append([]byte(password), salt...))
	return user + ":$6$" + base64.StdEncoding.EncodeToString(salt) + "$" + base64.StdEncoding.EncodeToString(sum[:]) + "\n"
}

// someUsers have their names as passwords.
func someUsers(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(sha512Hash(name, name))
	}
	return b.String()
}

// healthyRule lets the healthy client work.
const healthyRule = `{user: healthy, publish: ["#"], subscribe: ["#"]}`

// guarded starts a victim with users u, v, boss (who may do everything) and
// the rules of a test; acl is what its acl_file says.
func guarded(t *testing.T, rules, acl string) *victim {
	t.Helper()
	config := strings.Replace(open, ", anonymous: true", "", 1) + `
auth:
  users_file: users
  admins: [boss]
  rules:
    - ` + healthyRule + `
    - {user: boss, publish: ["#", "$SYS/#", "$CONTROL/#"], subscribe: ["#", "$SYS/#"]}
` + rules
	files := map[string]string{"users": someUsers("healthy", "boss", "u", "v")}
	if acl != "" {
		config += "  acl_file: acl\n"
		files["acl"] = acl
	}
	return attackOn(t, victimOptions{config: config, files: files, probe: "user=healthy pass=healthy"})
}

// as connects a user whose password is the name.
func (s *victim) as(user, words string) *attacker {
	s.t.Helper()
	a := s.dial(mqtt.V5)
	a.connect(fmt.Sprintf("user=%s pass=%s %s", user, user, words))
	return a
}

// publishAll publishes to each topic as boss, and then to "end".
func (s *victim) publishAll(words string, topics ...string) {
	s.t.Helper()
	p := s.as("boss", "cid=boss")
	for _, name := range append(topics, "end") {
		p.send("PUBLISH id=1 qos=1 payload=x topic=" + name + " " + words)
		p.until("PUBACK id=1")
	}
	p.nc.Close()
}

// topicsUntilEnd returns the topics of the messages up to the one on "end".
func (a *attacker) topicsUntilEnd() (topics []string) {
	a.t.Helper()
	for {
		got := a.receive()
		words := strings.Fields(got)
		if got == "silence" || got == "closed" {
			a.t.Fatalf("%s after %q", got, topics)
		}
		for _, w := range words {
			if name, ok := strings.CutPrefix(w, "topic="); ok {
				if name == "end" {
					return topics
				}
				topics = append(topics, name)
			}
		}
	}
}

func wideFilters(t *testing.T) {
	s := guarded(t, `    - {user: u, publish: [a/b], subscribe: [a/b, end]}`+"\n", "")
	for _, v := range versions {
		a := s.dial(v)
		a.connect("cid=wide user=u pass=u")
		for i, filter := range []string{"#", "a/+", "+/b", "$share/g/#", "a/b/#", "+/+", "$queue/#", "$SYS/#", "a/b", "end"} {
			a.send(fmt.Sprintf("SUBSCRIBE id=%d f=%s@1", i+1, filter))
			got := a.receive()
			if granted := strings.Contains(got, "rcs=0x01"); granted != (filter == "a/b" || filter == "end") && !strings.Contains(got, "rcs=0x87") && !strings.Contains(got, "rcs=0x80") {
				t.Errorf("%s: %s: %s", v, filter, got)
			}
		}
		s.publishAll("", "a/b", "a/c", "x/b", "secret", "a/b/c", "a", "/")
		for _, name := range a.topicsUntilEnd() {
			if name != "a/b" {
				t.Errorf("%s: a message on %s", v, name)
			}
		}
		a.nc.Close()
	}
}

func refusalsInside(t *testing.T) {
	s := guarded(t, `    - {user: u, publish: ["a/secret/#"], subscribe: ["a/secret/#"], deny: true}
    - {user: u, publish: ["a/#"], subscribe: ["a/#", end]}
    - {user: v, publish: ["a/#"], subscribe: ["a/#", end]}
    - {user: v, publish: ["a/secret/#"], subscribe: ["a/secret/#"], deny: true}
    - {user: v, publish: ["caf\u00e9/#"]}
`, "")
	for _, tc := range []struct {
		user    string
		secrets int
	}{{"u", 0}, {"v", 2}} { // for v the first rule that matches is the wide one
		a := s.as(tc.user, "cid=inside-"+tc.user)
		a.send("SUBSCRIBE id=1 f=a/#@1 f=end@1")
		a.expect("SUBACK id=1 rcs=0x01,0x01 ...")
		s.publishAll("", "a/x", "a/secret/x", "a/Secret/x", "a/secret")
		got := strings.Join(a.topicsUntilEnd(), " ")
		if n := strings.Count(got, "a/secret"); n != tc.secrets || !strings.Contains(got, "a/x") || !strings.Contains(got, "a/Secret/x") {
			t.Errorf("%s got %s", tc.user, got)
		}
	}
	p := s.as("v", "cid=writer")
	for name, want := range map[string]string{
		"caf\u00e9/x": "PUBACK id=1 rc=0x10", "cafe\u0301/x": "PUBACK id=1 rc=0x87", "CAF\u00c9/x": "PUBACK id=1 rc=0x87", "other": "PUBACK id=1 rc=0x87",
	} {
		p.send("PUBLISH id=1 qos=1 payload=x topic=" + name)
		if got := p.receive(); !strings.HasPrefix(got, want) {
			t.Errorf("PUBLISH to %s: %s, want %s", name, got, want)
		}
	}
}

func emptyNames(t *testing.T) {
	s := guarded(t, `    - {user: "*", publish: ["d/{user}/#"], subscribe: ["d/{user}/#"]}
    - {user: anonymous, publish: ["d/{user}/#", "open/#"], subscribe: ["d/{user}/#", "open/#"]}
`, "")
	for name, packet := range map[string][]byte{
		"an empty name":              rawConnect(0xC2, props(), field("c"), field(""), field("")),
		"no name":                    rawConnect(0x02, props(), field("c")),
		"a password without a name":  rawConnect(0x42, props(), field("c"), field("u")),
		"a name without a password":  rawConnect(0x82, props(), field("c"), field("u")),
		"the name of nobody at all":  rawConnect(0xC2, props(), field("c"), field("anonymous"), field("")),
		"a name with another's part": rawConnect(0xC2, props(), field("c"), field("u/../v"), field("u")),
	} {
		a := s.dial(mqtt.V5)
		a.write(packet)
		if last := a.last(); !hasCode(last, mqtt.BadUserNameOrPassword) && !hasCode(last, mqtt.NotAuthorized) {
			t.Errorf("%s: %s", name, last)
		}
	}
	a := s.as("u", "cid=c")
	for name, want := range map[string]string{"d/u/x": "rc=0x10", "d//x": "rc=0x87", "d/v/x": "rc=0x87", "d/{user}/x": "rc=0x87", "d/+/x": ""} {
		if want == "" {
			continue
		}
		a.send("PUBLISH id=1 qos=1 payload=x topic=" + name)
		if got := a.receive(); !strings.Contains(got, want) {
			t.Errorf("PUBLISH to %s: %s, want %s", name, got, want)
		}
	}
}

func foreignSession(t *testing.T, clean string) {
	s := guarded(t, `    - {user: "*", publish: ["#"], subscribe: ["#"]}`+"\n", "")
	for _, v := range versions {
		online := s.dial(v)
		online.connect("cid=owned clean=0 se=1000 user=u pass=u")
		online.send("SUBSCRIBE id=1 f=mine/#@1")
		online.until("SUBACK")
		for _, theirs := range versions {
			b := s.dial(theirs)
			b.send("CONNECT cid=owned user=v pass=v se=0 will=mine/will:x " + clean)
			if last := b.last(); !hasCode(last, mqtt.ClientIdentifierNotValid) && !hasCode(last, mqtt.NotAuthorized) && !strings.Contains(last, "CONNACK sp=0 rc=0x02") {
				t.Errorf("%s takes the session of %s: %s", theirs, v, last)
			}
		}
		online.alive()
		online.send("DISCONNECT")
		online.gone() // the server knows
		s.publishAll("", "mine/1")
		b := s.dial(v) // also while its owner is away
		b.send("CONNECT cid=owned user=v pass=v " + clean)
		if last := b.last(); hasCode(last, 0) || last == "silence" {
			t.Errorf("%s: the session of a client that is away was taken: %s", v, last)
		}
		back := s.dial(v)
		back.send("CONNECT cid=owned clean=0 user=u pass=u")
		if got := back.receive(); !hasCode(got, 0) || v != mqtt.V31 && !strings.Contains(got, "sp=1") { // 3.1 cannot say that the session was there
			t.Fatalf("%s: its owner comes back: %s", v, got)
		}
		back.until("PUBLISH id=1 topic=mine/1")
		back.nc.Close()
	}
}

func anonymousTakeover(t *testing.T) {
	s := attackOn(t, victimOptions{config: strings.Replace(open, ", anonymous: true}", `}, {bind: "127.0.0.1:0", anonymous: true}`, 1) + `
auth:
  users_file: users
  rules:
    - {user: "*", publish: ["#"], subscribe: ["#"]}
    - {user: anonymous, publish: ["#"], subscribe: ["#"]}
`, files: map[string]string{"users": someUsers("healthy", "u")}, probe: "user=healthy pass=healthy"})
	owner := s.as("u", "cid=owned se=1000")
	for _, words := range []string{"clean=0", "clean=1", "user=u clean=0", "user=u clean=1"} {
		b := newAttacker(t, s.openAt(1), mqtt.V5)
		b.send("CONNECT cid=owned " + words)
		if last := b.last(); hasCode(last, 0) || last == "silence" {
			t.Errorf("CONNECT %s: %s", words, last)
		}
	}
	owner.alive()
}

// takeoverStorm runs with the race detector when the tests do.
func takeoverStorm(t *testing.T) {
	s := attackOn(t, victimOptions{config: open, self: true, budget: 512 << 20})
	watch := s.dial(mqtt.V5)
	watch.connect("cid=watch rm=60000")
	watch.send("SUBSCRIBE id=1 f=storm/#@2")
	watch.expect("SUBACK ...")
	var storm sync.WaitGroup
	for worker := range 5 {
		storm.Go(func() {
			for i := range scale(30, 300) {
				a := newAttacker(t, s.open(), versions[1+i%2])
				a.patient = 3 * time.Second
				a.send("CONNECT cid=storm clean=0 se=1000")
				a.send(fmt.Sprintf("SUBSCRIBE id=1 f=jitter/%d@1", i%7))
				a.send(fmt.Sprintf("PUBLISH topic=jitter/%d qos=1 id=2 payload=x", i%7))
				a.send(fmt.Sprintf("PUBLISH topic=storm/%d qos=0 payload=%d-%d", worker, worker, i))
				if i%3 == 0 {
					a.send("DISCONNECT")
				}
				a.receive()
				a.receive()
				a.nc.Close()
			}
		})
	}
	storm.Wait()
	p := s.dial(mqtt.V5)
	p.connect("cid=end")
	p.send("PUBLISH topic=storm/end qos=1 id=1 payload=end")
	p.expect("PUBACK id=1")
	seen := map[string]bool{}
	for {
		got := watch.receive()
		if strings.Contains(got, "payload=end") {
			break
		}
		if got == "silence" || got == "closed" {
			t.Fatalf("%s before the end", got)
		}
		if seen[got] {
			t.Errorf("delivered twice: %s", got)
		}
		seen[got] = true
	}
	last := s.dial(mqtt.V5)
	last.connect("cid=storm clean=0 se=0")
	last.alive()
}

func stuckTakeover(t *testing.T) {
	s, a := secured(t)
	for i, open := range []func() *attacker{
		func() *attacker { return s.dial(mqtt.V5) },
		func() *attacker { return newAttacker(t, a.client(t, s.openAt(1)), mqtt.V5) },
	} {
		stuck := open()
		stuck.connect("cid=stuck se=1000")
		stuck.send("SUBSCRIBE id=1 f=fill@0")
		stuck.expect("SUBACK ...")
		p := s.dial(mqtt.V5)
		p.connect("cid=filler")
		payload := strings.Repeat("x", 100_000)
		p.flood(200, func(int) string { return "PUBLISH topic=fill payload=" + payload }) // more than sockets hold
		begin := time.Now()
		fresh := open()
		fresh.connect("cid=stuck clean=0 se=1000")
		fresh.alive()
		if took := time.Since(begin); took > time.Duration(scale(10, 2))*time.Second {
			t.Errorf("listener %d: the new connection was served after %s", i, took)
		}
		p.nc.Close()
		stuck.nc.Close()
	}
}
