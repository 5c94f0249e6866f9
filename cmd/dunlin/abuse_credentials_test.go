//go:build linux

package main

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
)

// F. Configuration and credentials.
func attacksOnCredentials() []attack {
	return []attack{
		{number: 58, name: "ACL files that say nothing", run: emptyACLs},
		{number: 59, name: "listeners that would let everybody in", run: openListeners},
		{number: 60, name: "users files with mistakes", run: wrongUsersFiles},
		{number: 61, name: "a reload of files that are not right", run: wrongReloads},
		{number: 62, name: "no configuration at all", run: noConfiguration},
		{number: 63, name: "user names as Client Identifiers", elsewhere: "none: no key makes one of the other; both stay what CONNECT says"},
		{number: 64, name: "missing and empty names and passwords", run: missingCredentials},
		{number: 65, name: "passwords that are empty, large or binary", run: oddPasswords},
		{number: 66, name: "telling users by the time it takes", run: timings},
		{number: 67, name: "hashes that cost too much", run: costlyHashes},
	}
}

// refusedAtStart wants both check and run to refuse a configuration, with
// these words.
func refusedAtStart(t *testing.T, o victimOptions, words ...string) {
	t.Helper()
	file := layOut(t, &o)
	for _, args := range [][]string{{"check", file}, {"run", "-c", file}} {
		cmd := programCommand(t, o, args...)
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() }) // it started after all
		out, err := cmd.CombinedOutput()
		timer.Stop()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != exitConfig {
			t.Errorf("%s: %v, want exit code %d\n%s", args[0], err, exitConfig, out)
		}
		for _, w := range words {
			if !strings.Contains(string(out), w) {
				t.Errorf("%s does not say %q:\n%s", args[0], w, out)
			}
		}
	}
}

const withUsers = `mqtt: {listeners: [{bind: "127.0.0.1:0"}], limits: {connect_rate: 0/s}, sys_interval: 0s}
auth: {users_file: users}
`

func emptyACLs(t *testing.T) {
	config := `mqtt: {listeners: [{bind: "127.0.0.1:0"}]}
auth: {users_file: users, acl_file: acl}
`
	users := someUsers("u")
	for name, acl := range map[string]string{"empty": "", "of comments": "# nothing\n\n#\n", "half a line": "user u\ntopic", "not text": "\x00\x01"} {
		t.Run(name, func(t *testing.T) {
			refusedAtStart(t, victimOptions{config: config, files: map[string]string{"users": users, "acl": acl}}, "acl")
		})
	}
	t.Run("missing", func(t *testing.T) {
		refusedAtStart(t, victimOptions{config: config, files: map[string]string{"users": users}}, "acl")
	})
	t.Run("a directory", func(t *testing.T) {
		o := victimOptions{config: config, files: map[string]string{"users": users}, dir: t.TempDir()}
		if err := os.Mkdir(filepath.Join(o.dir, "acl"), 0o700); err != nil {
			t.Fatal(err)
		}
		refusedAtStart(t, o, "acl")
	})
	t.Run("no rule at all", func(t *testing.T) {
		refusedAtStart(t, victimOptions{config: "mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\nauth: {users_file: users, rules: []}\n", files: map[string]string{"users": users}}, "rules")
	})
}

func openListeners(t *testing.T) {
	for _, bind := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		refusedAtStart(t, victimOptions{config: fmt.Sprintf("mqtt: {listeners: [{bind: %q}]}\n", bind)}, "anonymous")
	}
	refusedAtStart(t, victimOptions{
		config: "mqtt: {listeners: [{bind: \"127.0.0.1:0\", users_file: users}, {bind: \":0\"}]}\n",
		files:  map[string]string{"users": someUsers("u")},
	}, "anonymous", "listeners[1]")

	s := startVictim(t, victimOptions{config: `mqtt: {listeners: [{bind: "0.0.0.0:0", anonymous: true}, {bind: "127.0.0.1:0", users_file: users}]}`,
		files: map[string]string{"users": someUsers("u")}})
	if !strings.Contains(s.logged(), `"level":"WARN"`) || !strings.Contains(s.logged(), "everybody who can reach the listener is let in") {
		t.Errorf("an open listener is not in the log:\n%s", s.tail())
	}
	a := newAttacker(t, s.openAt(1), mqtt.V5)
	a.send("CONNECT cid=c")
	if last := a.last(); !hasCode(last, mqtt.NotAuthorized) && !hasCode(last, mqtt.BadUserNameOrPassword) {
		t.Errorf("the listener with users lets nobody in without a name: %s", last)
	}
}

func wrongUsersFiles(t *testing.T) {
	good := someUsers("u")
	for name, tc := range map[string]struct{ text, line string }{
		"no colon":         {good + "mallory\n", "users:2"},
		"empty hash":       {good + "mallory:\n", "users:2"},
		"empty user":       {"\n:" + strings.SplitN(good, ":", 2)[1], "users:2"},
		"a plain password": {good + "mallory:secret\n", "users:2"},
		"a line of 1 MB":   {good + "mallory:" + strings.Repeat("x", 1<<20) + "\n", "users:2"},
		"byte order mark":  {"\ufeff" + good, "users:1"},
		"CRLF":             {strings.ReplaceAll(good, "\n", "\r\n"), "users:1"},
		"a user twice":     {good + good, "users:2"},
		"a broken hash":    {good + "mallory:$6$x$y\n", "users:2"},
		"an unknown hash":  {good + "mallory:$9$x$y\n", "users:2"},
		"a zero byte":      {good + "mal\x00lory:$6$x$y\n", "users:2"},
	} {
		t.Run(name, func(t *testing.T) {
			refusedAtStart(t, victimOptions{config: withUsers, files: map[string]string{"users": tc.text}}, tc.line)
		})
	}
	t.Run("readable by others", func(t *testing.T) {
		o := victimOptions{config: withUsers, dir: t.TempDir()}
		if err := os.WriteFile(filepath.Join(o.dir, "users"), []byte(good), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(o.dir, "users"), 0o644); err != nil {
			t.Fatal(err)
		}
		refusedAtStart(t, o, "chmod")
	})
	t.Run("a symbolic link", func(t *testing.T) {
		o := victimOptions{config: withUsers, files: map[string]string{"real": good}, dir: t.TempDir()}
		if err := os.Symlink("real", filepath.Join(o.dir, "users")); err != nil {
			t.Fatal(err)
		}
		refusedAtStart(t, o, "users")
	})
}

func wrongReloads(t *testing.T) {
	s := guarded(t, "", aclBefore)
	const refused = "nothing is changed by the reload"
	works := func(what string) {
		t.Helper()
		a := s.as("u", "cid=still")
		a.send("PUBLISH id=1 qos=1 payload=x topic=x/1")
		if got := a.receive(); !strings.HasPrefix(got, "PUBACK id=1") || strings.Contains(got, "0x87") {
			t.Errorf("%s: %s", what, got)
		}
		a.nc.Close()
	}
	for what, change := range map[string]func(){
		"half-written users": func() { s.reload("users", someUsers("healthy", "boss", "u", "v", "new")+"mallory:$6$abc", refused) },
		"empty ACL":          func() { s.reload("acl", "# nothing\n", refused) },
		"no users": func() {
			if err := os.Remove(filepath.Join(s.dir, "users")); err != nil {
				t.Fatal(err)
			}
			s.hangup(refused)
		},
	} {
		change()
		works(what)
		fresh := s.dial(mqtt.V5)
		fresh.send("CONNECT cid=fresh user=new pass=new")
		fresh.closedWith(mqtt.BadUserNameOrPassword)
		if err := os.WriteFile(filepath.Join(s.dir, "acl"), []byte(aclBefore), 0o600); err != nil {
			t.Fatal(err)
		}
		s.reload("users", someUsers("healthy", "boss", "u", "v"), reloaded)
		works("after " + what)
	}
}

func noConfiguration(t *testing.T) {
	c := config.Default(tables())
	for _, l := range c.MQTT.Listeners {
		if !l.Local() {
			t.Errorf("without a configuration %s is listened on", l.Bind)
		}
	}
	if len(c.MQTT.Listeners) != 1 || len(c.Bridges) != 0 || len(c.Devices) != 0 {
		t.Errorf("without a configuration there are %d listeners, %d bridges and %d devices", len(c.MQTT.Listeners), len(c.Bridges), len(c.Devices))
	}
}

func missingCredentials(t *testing.T) {
	for backend, config := range map[string]string{
		"users file": withUsers,
		"tokens":     strings.Replace(withUsers, "users_file: users", "jwt: {keys: secret}", 1),
		"both":       strings.Replace(withUsers, "users_file: users", "users_file: users, jwt: {keys: secret}", 1),
	} {
		s := attackOn(t, victimOptions{config: config, noProbe: true,
			files: map[string]string{"users": someUsers("u"), "secret": "0123456789abcdef0123456789abcdef"}})
		tries := 0
		for flags, fields := range map[byte][][]byte{
			0x02: {},
			0x82: {field("u")},
			0x42: {field("u")},
			0xC2: {field(""), field("")},
			0xC3: {field("u"), field("u")}, // with the reserved flag
		} {
			for _, more := range [][][]byte{fields, {field(""), field("u")}, {field("u"), field("")}, {field("nobody"), field("u")}} {
				for _, version := range []byte{4, 5} {
					p := []byte(nil)
					if version == 5 {
						p = props()
					}
					tries++
					a := s.from(tries)
					a.v = mqtt.Version(version)
					a.write(frame(0x10, field("MQTT"), []byte{version, flags, 0, 60}, p, field("c"), slices.Concat(more...)))
					if last := a.last(); strings.Contains(last, "CONNACK") && hasCode(last, 0) || last == "silence" {
						t.Errorf("%s, flags %#x, version %d, %q: %s", backend, flags, version, more, last)
					}
					a.nc.Close()
				}
			}
		}
		s.stop()
	}
}

func oddPasswords(t *testing.T) {
	s := guarded(t, "", aclBefore)
	tries := 0
	for name, password := range map[string]string{
		"empty": "", "NUL behind it": "u\x00", "NUL": "\x00", "64 KB": strings.Repeat("u", 65_000), "513 bytes": strings.Repeat("u", 513), "a blank behind it": "u ",
		"another case": "U", "its hash": strings.TrimSpace(strings.SplitN(sha512Hash("u", "u"), ":", 2)[1]),
	} {
		tries++
		a := s.from(tries)
		a.write(rawConnect(0xC2, props(), field("c"), field("u"), field(password)))
		if last := a.last(); !hasCode(last, mqtt.BadUserNameOrPassword) && !hasCode(last, mqtt.NotAuthorized) {
			t.Errorf("%s: %s", name, last)
		}
	}
}

// pbkdf2Hash is a line of a users file that takes a moment to check.
func pbkdf2Hash(t *testing.T, user, password string, iterations int) string {
	t.Helper()
	salt := []byte("saltsaltsalt")
	sum, err := pbkdf2.Key(sha512.New, password, salt, iterations, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:$7$%d$%s$%s\n", user, iterations, base64.StdEncoding.EncodeToString(salt), base64.StdEncoding.EncodeToString(sum))
}

// from connects from another address of this host, so that what is held
// against one address does not count against the next.
func (s *victim) from(n int) *attacker {
	s.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(n>>8), byte(n))}, Timeout: 5 * time.Second}
	nc, err := d.Dial("tcp", s.addresses[0])
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return newAttacker(s.t, nc, mqtt.V5)
}

func timings(t *testing.T) {
	s := attackOn(t, victimOptions{config: withUsers, noProbe: true, files: map[string]string{"users": pbkdf2Hash(t, "u", "right", 4000)}})
	took := map[string][]time.Duration{}
	answers := map[string]bool{}
	var known, unknown time.Duration
	near := float64(scale(20, 5)) / 100
	for round, tries := 0, scale(150, 2000); round < 4; round++ { // more of them where the machine is not quiet
		for i := range tries {
			for _, user := range []string{"ux"[i%2 : i%2+1], "xu"[i%2 : i%2+1]} { // in turn, for the second finds a warm server
				a := s.from(round*tries + i)
				begin := time.Now()
				a.send("CONNECT cid=c pass=wrong user=" + user)
				answers[a.receive()] = true
				took[user] = append(took[user], time.Since(begin))
				a.nc.Close()
			}
		}
		known, unknown = median(took["u"]), median(took["x"])
		t.Logf("wrong password %s, unknown user %s", known, unknown)
		if ratio := float64(known) / float64(unknown); ratio > 1-near && ratio < 1+near {
			break
		}
	}
	// With other tests beside it, only what an attacker could see at once is told apart.
	if most, ratio := float64(scale(15, 11))/10, float64(known)/float64(unknown); ratio < 1/most || ratio > most {
		t.Errorf("a wrong password takes %s, an unknown user %s", known, unknown)
	}
	if len(answers) != 1 {
		t.Errorf("different answers: %v", answers)
	}
	levels := map[string]bool{}
	for line := range strings.Lines(s.logged()) {
		if strings.Contains(line, "wrong user name or password") {
			_, rest, _ := strings.Cut(line, `"level":"`)
			levels[rest[:4]] = true
		}
	}
	if len(levels) > 1 {
		t.Errorf("different log levels: %v", levels)
	}
}

func costlyHashes(t *testing.T) {
	sum := base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	salt := base64.RawStdEncoding.EncodeToString([]byte("saltsaltsaltsalt"))
	long := base64.StdEncoding.EncodeToString(make([]byte, 64))
	for _, hash := range []string{
		"$argon2id$v=19$m=4194304,t=100,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=4096,t=100000,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=4096,t=3,p=255$" + salt + "$" + sum,
		"$argon2id$v=19$m=0,t=0,p=0$" + salt + "$" + sum,
		"$argon2i$v=19$m=4096,t=3,p=1$" + salt + "$" + sum,
		"$7$2147483647$" + salt + "$" + long,
		"$7$0$" + salt + "$" + long,
		"$7$-1$" + salt + "$" + long,
		"$scram-sha-256$2147483647:" + salt + "$" + sum + ":" + sum,
	} {
		refusedAtStart(t, victimOptions{config: withUsers, files: map[string]string{"users": "u:" + hash + "\n"}}, "users:1")
	}
}

func passwordFlood(t *testing.T) {
	o := victimOptions{config: withUsers, dir: t.TempDir(), probe: "user=healthy pass=right", budget: 96 << 20}
	file := filepath.Join(o.dir, "users")
	for _, args := range [][]string{{"-c", "-b", file, "healthy", "right"}, {"-b", file, "u", "right"}} { // the hash that new users get
		if out, err := programCommand(t, o, append([]string{"passwd"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("passwd: %v\n%s", err, out)
		}
	}
	s := attackOn(t, o)
	known := s.dial(mqtt.V5)
	known.connect("cid=known user=u pass=right")
	stop := time.Now().Add(time.Duration(scale(3, 20)) * time.Second)
	var refused, busy, waits atomic.Int64
	var flood sync.WaitGroup
	for range 20 {
		flood.Go(func() {
			for i := 0; time.Now().Before(stop); i++ {
				a := newAttacker(t, s.openFrom(1000), mqtt.V5)
				a.send("CONNECT cid=c user=u pass=wrong")
				switch got := a.receive(); {
				case hasCode(got, mqtt.ServerBusy):
					busy.Add(1)
				case hasCode(got, mqtt.ConnectionRateExceeded):
					waits.Add(1)
				case hasCode(got, 0):
					t.Error("let in with a wrong password")
				default:
					refused.Add(1)
				}
				a.nc.Close()
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	for time.Now().Before(stop) { // who was let in before is let in at once
		begin := time.Now()
		back := s.dial(mqtt.V5)
		back.connect("cid=known user=u pass=right")
		if took := time.Since(begin); took > time.Duration(scale(5, 1))*time.Second {
			t.Errorf("the right password takes %s", took)
		}
		back.nc.Close()
		time.Sleep(200 * time.Millisecond)
	}
	flood.Wait()
	t.Logf("%d refused, %d told that the server is busy, %d that they must wait; RSS %d MiB", refused.Load(), busy.Load(), waits.Load(), s.status("VmRSS")>>20)
	if waits.Load() == 0 {
		t.Error("no address had to wait after its failures")
	}
}

// openFrom is from without a client.
func (s *victim) openFrom(n int) net.Conn { return s.from(n).nc }
