//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// reload replaces a file of the configuration and lets the program read it.
func (s *victim) reload(name, text, says string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
	s.hangup(says)
}

// hangup sends SIGHUP and waits until the log says one more time what it does.
func (s *victim) hangup(says string) {
	s.t.Helper()
	before := strings.Count(s.logged(), says)
	s.process.Signal(syscall.SIGHUP)
	eventually(s.t, 5*time.Second, says, func() bool { return strings.Count(s.logged(), says) > before })
}

const (
	reloaded = "users and rights loaded again"
	refused  = "users and rights stay as they were"
)

// The file that lets u read and write all of x, and the one that takes it away.
const (
	aclBefore = "user u\ntopic readwrite x/#\ntopic read end\nuser v\ntopic readwrite x/#\ntopic read end\n"
	aclAfter  = "user u\ntopic readwrite y/#\ntopic read end\nuser v\ntopic readwrite x/#\ntopic read end\n"
)

func staleAlias(t *testing.T) {
	s := guarded(t, "", aclBefore)
	a := s.as("u", "cid=alias")
	publish := func(topic string) string {
		a.write(frame(0x32, field(topic), u16(1), props([]byte{35}, u16(1)), []byte("x")))
		return a.receive()
	}
	if got := publish("x/1"); !strings.HasPrefix(got, "PUBACK id=1") || strings.Contains(got, "rc=0x87") {
		t.Fatalf("before: %s", got)
	}
	s.reload("acl", aclAfter, reloaded)
	if got := publish(""); !strings.HasPrefix(got, "PUBACK id=1 rc=0x87") {
		t.Errorf("through the alias: %s", got)
	}
	if got := publish("x/1"); !strings.HasPrefix(got, "PUBACK id=1 rc=0x87") {
		t.Errorf("by name: %s", got)
	}
}

func forbiddenWills(t *testing.T) {
	s := guarded(t, "", aclBefore)
	watch := s.as("boss", "cid=watch")
	watch.send("SUBSCRIBE id=1 f=#@0 f=$SYS/forged@0 f=$CONTROL/#@0 f=end@0")
	watch.until("SUBACK")
	for _, name := range []string{"y/1", "$SYS/forged", "$CONTROL/x", "dunlin/x/status", "$share/g/x"} {
		for _, v := range versions {
			a := s.dial(v)
			a.send("CONNECT cid=will user=u pass=u will=" + name + ":forged")
			if last := a.last(); hasCode(last, 0) || last == "silence" {
				t.Errorf("%s: will on %s: %s", v, name, last)
			}
		}
	}
	a := s.as("u", "cid=later will=x/will:forged")
	s.reload("acl", aclAfter, reloaded)
	a.nc.Close() // dies after the right did
	b := s.as("v", "cid=right will=x/will:right")
	b.nc.Close()
	before := watch.until("PUBLISH topic=x/will payload=right")
	time.Sleep(100 * time.Millisecond)
	s.publishAll("")
	for _, got := range append(before, watch.until("PUBLISH topic=end")...) {
		if strings.Contains(got, "forged") {
			t.Errorf("published: %s", got)
		}
	}
}

func namesAsFilters(t *testing.T) {
	names := []string{"#", "+", "a/#", "../x", "a/b", "u+", "$SYS"}
	config := strings.Replace(open, ", anonymous: true", "", 1) + `
auth:
  users_file: users
  rules:
    - ` + healthyRule + `
    - {user: "*", publish: ["d/{user}/{client}/x"], subscribe: ["d/{user}/{client}/#"]}
`
	users := someUsers(append(names, "healthy", "u")...)
	s := attackOn(t, victimOptions{config: config, files: map[string]string{"users": users}, probe: "user=healthy pass=healthy"})
	for i, name := range names {
		for _, words := range []string{"user=u pass=u cid=" + name, fmt.Sprintf("cid=c user=%s pass=%s", name, name)} {
			a := s.from(i) // an address that failed too often would be refused for that
			a.send("CONNECT " + words)
			if last := a.last(); hasCode(last, 0) || hasCode(last, mqtt.ConnectionRateExceeded) || last == "silence" {
				t.Errorf("CONNECT %s: %s", words, last)
			}
		}
	}
	a := s.as("u", "cid=c")
	a.send("SUBSCRIBE id=1 f=d/u/c/#@0 f=d/u/+/#@0 f=d/+/c/#@0")
	a.expect("SUBACK id=1 rcs=0x00,0x87,0x87 ...")
}

func namesAsPatterns(t *testing.T) {
	s := guarded(t, `    - {user: "u", publish: ["c/{client}"], subscribe: ["c/{client}", end]}`+"\n", "")
	for _, id := range []string{".*", "a|b", "$", "\\", "[a-z]", "*", "%c", "{user}", "(", "^u"} {
		a := s.dial(mqtt.V5)
		a.send("CONNECT user=u pass=u cid=" + id)
		got := a.receive()
		if !hasCode(got, 0) {
			if id != "$" { // a first level that is reserved
				t.Errorf("%s: %s", id, got)
			}
			continue
		}
		for name, want := range map[string]bool{"c/" + id: true, "c/ab": false, "c/a": false, "c/u": false} {
			a.send("PUBLISH id=1 qos=1 payload=x topic=" + name)
			if got := a.receive(); strings.Contains(got, "rc=0x87") == want {
				t.Errorf("%s publishes to %s: %s", id, name, got)
			}
		}
		a.nc.Close()
	}
	for _, name := range []string{".*", "*", "u|v", "U", "u "} { // names are compared, not matched
		a := s.dial(mqtt.V5)
		a.write(rawConnect(0xC2, props(), field("c"), field(name), field("u")))
		if last := a.last(); !hasCode(last, mqtt.BadUserNameOrPassword) {
			t.Errorf("user %q with the password of u: %s", name, last)
		}
	}
}

// What is retained was published with a right; who may read it is asked when
// it is delivered.
func retainedAfterLoss(t *testing.T) {
	s := guarded(t, "", aclBefore)
	s.publishAll("retain=1", "x/1", "y/1")
	a := s.as("u", "cid=reader se=1000")
	a.send("SUBSCRIBE id=1 f=x/#@1")
	a.until("PUBLISH id=1 topic=x/1")
	s.reload("acl", aclAfter, reloaded)
	b := s.as("u", "cid=reader clean=0")
	b.send("SUBSCRIBE id=1 f=x/#@1 f=y/#@1 f=end@1")
	got := strings.Join(append(b.until("SUBACK id=1 rcs=0x87,0x01,0x01"), b.topicsUntilEnd()...), " ")
	if strings.Contains(got, "x/1") || !strings.Contains(got, "y/1") {
		t.Errorf("delivered: %s", got)
	}
}

func rightsLost(t *testing.T) {
	s := guarded(t, "", aclBefore)
	var live []*attacker
	for i, filter := range []string{"x/#", "$share/g/x/#", "x/1"} {
		a := s.as("u", fmt.Sprintf("cid=live-%d", i))
		a.send("SUBSCRIBE id=1 f=" + filter + "@1 f=end@1")
		a.expect("SUBACK id=1 rcs=0x01,0x01")
		live = append(live, a)
	}
	offline := s.as("u", "cid=offline se=1000")
	offline.send("SUBSCRIBE id=1 f=x/#@1 f=end@1")
	offline.expect("SUBACK id=1 rcs=0x01,0x01")
	offline.send("DISCONNECT")
	offline.gone()
	other := s.as("v", "cid=other")
	other.send("SUBSCRIBE id=1 f=$share/g/x/#@1 f=end@1")
	other.expect("SUBACK id=1 rcs=0x01,0x01")
	s.reload("acl", aclAfter, reloaded)
	s.publishAll("", "x/1", "x/2", "x/1", "x/2")
	for i, a := range live {
		if got := a.topicsUntilEnd(); len(got) > 0 {
			t.Errorf("subscription %d still gets %q", i, got)
		}
	}
	back := s.as("u", "cid=offline clean=0")
	if got := back.topicsUntilEnd(); len(got) > 0 {
		t.Errorf("the session that was away gets %q", got)
	}
	if got := other.topicsUntilEnd(); len(got) != 4 {
		t.Errorf("the member of the group that may still read gets %q, want all four", got)
	}
}

func waitingAfterLoss(t *testing.T) {
	s := guarded(t, "", aclBefore)
	offline := s.as("u", "cid=offline se=1000")
	offline.send("SUBSCRIBE id=1 f=x/#@1 f=end@1")
	offline.expect("SUBACK id=1 rcs=0x01,0x01")
	offline.send("DISCONNECT")
	offline.gone()
	flying := s.as("u", "cid=flying se=1000 rm=1")
	flying.send("SUBSCRIBE id=1 f=x/#@1 f=end@1")
	flying.expect("SUBACK id=1 rcs=0x01,0x01")
	s.publishAll("", "x/1", "x/2", "x/3")
	flying.until("PUBLISH id=1 topic=x/1")
	flying.nc.Close() // x/1 is in flight, the rest waits
	s.reload("acl", aclAfter, reloaded)
	for _, cid := range []string{"offline", "flying"} {
		a := s.as("u", "cid="+cid+" clean=0 se=1000")
		if got := a.topicsUntilEnd(); len(got) > 0 {
			t.Errorf("%s: sent after the right was lost: %q", cid, got)
		}
	}
	s.reload("users", someUsers("healthy", "boss", "v"), reloaded) // u is gone
	gone := s.dial(mqtt.V5)
	gone.send("CONNECT cid=offline clean=0 user=u pass=u")
	gone.closedWith(mqtt.BadUserNameOrPassword)
}

func dollarTopics(t *testing.T) {
	s := guarded(t, `    - {user: u, publish: ["#"], subscribe: ["#"]}`+"\n", "")
	watch := s.as("boss", "cid=watch")
	watch.send("SUBSCRIBE id=1 f=$SYS/#@0 f=end@0")
	watch.expect("SUBACK ...")
	u := s.as("u", "cid=u")
	for _, filter := range []string{"$SYS/#", "$SYS/broker/uptime", "$CONTROL/#", "$share/g/$SYS/#"} {
		u.send("SUBSCRIBE id=1 f=" + filter + "@0")
		u.expect("SUBACK id=1 rcs=0x87 ...")
	}
	u.send("SUBSCRIBE id=1 f=#@0 f=+/+/+@0")
	u.until("SUBACK id=1 rcs=0x00,0x00") // retained messages may come first
	for _, who := range []*attacker{u, s.as("boss", "cid=boss2")} {
		for _, name := range []string{"$SYS/broker/uptime", "$CONTROL/x", "$SYS/dunlin/x", "$x"} {
			who.send("PUBLISH id=1 qos=1 retain=1 payload=forged topic=" + name)
			who.until("PUBACK id=1 rc=0x87")
		}
	}
	s.publishAll("")
	for _, got := range watch.until("PUBLISH topic=end") {
		if strings.Contains(got, "forged") {
			t.Errorf("delivered: %s", got)
		}
	}
	for _, got := range u.until("PUBLISH topic=end") {
		if strings.Contains(got, "topic=$") {
			t.Errorf("# matches %s", got)
		}
	}
}

// What a route makes of a topic from upstream at run time is held to the same
// by TestReceive of the bridge.
func bridgeIntoSys(t *testing.T) {
	for _, to := range []string{"$SYS/dunlin/#", "$CONTROL/#", "$SYS/x"} {
		from := "x/#"
		if !strings.HasSuffix(to, "#") {
			from = "x"
		}
		o := victimOptions{config: open + fmt.Sprintf(`
node: n
bridges:
  cloud:
    servers: ["mqtt://127.0.0.1:1"]
    client_id: c
    in: [{from: %q, to: %q}]
`, from, to)}
		out, err := programCommand(t, o, "check", layOut(t, &o)).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "topics that start with $") {
			t.Errorf("in to %s: %v\n%s", to, err, out)
		}
	}
}
