//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
)

// secretFile writes a file that only its owner may read.
func secretFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// usersFile makes a users file with passwords that are the names backwards.
func usersFile(t *testing.T, names ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	for _, name := range names {
		if r := dunlin(t, "", "passwd", "-b", "--calibrate", "1ms", path, name, backwards(name)); r.code != exitDone {
			t.Fatal(r.err)
		}
	}
	return path
}

func backwards(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// What mosquitto's tools see of users and rules, in each version.
func TestUsersAndRulesWithMosquittosTools(t *testing.T) {
	t.Parallel() // it waits more than it works
	needClients(t)
	address, _, _ := startGateway(t, fmt.Sprintf(`
node: barn
mqtt: {listeners: [{bind: "127.0.0.1:0"}]}
auth:
  users_file: %q
  admins: [root]
  roles: {crew: [ann, bob]}
  rules:
    - {user: "*", publish: ["cmd/stop"], subscribe: ["private/{user}/deny"], deny: true}
    - {role: crew, publish: ["cmd/#"], subscribe: ["out/#"]}
    - {user: "esp-*", publish: ["devices/{user}/#"], subscribe: ["cmd/{user}/#"], max_qos: 1, retain: false}
    - {user: root, publish: ["#"], subscribe: ["#"]}
`, usersFile(t, "ann", "esp-1", "root")), deps{})
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"31", "311", "5"} {
		pub := func(name, password, topic string, more ...string) result {
			args := []string{"-h", "127.0.0.1", "-p", port, "-V", "mqttv" + version, "-q", "1", "-t", topic, "-m", "x"}
			if name != "" {
				args = append(args, "-u", name, "-P", password)
			}
			return mosquitto(t, "pub", "", append(args, more...)...)
		}
		for _, c := range []struct {
			name, user, password string
			code                 int // of mosquitto_pub, before 5.0
			five                 int
		}{
			{"case 64: no user", "", "", 5, 135}, {"case 66: unknown user", "eve", "x", 4, 134},
			{"wrong password", "ann", "x", 4, 134}, {"right", "ann", "nna", 0, 0},
		} {
			r, want := pub(c.user, c.password, "cmd/x"), c.code
			if version == "5" {
				want = c.five
			}
			if r.code != want {
				t.Errorf("%s, %s: code %d, want %d; %s", version, c.name, r.code, want, r.err)
			}
		}
		if version != "5" {
			continue // the others get an acknowledgement for what they may not publish
		}
		for _, c := range []struct {
			user, topic string
			more        []string
			ok          bool
		}{
			{"ann", "cmd/x", nil, true}, {"ann", "cmd/stop", nil, false}, {"ann", "other", nil, false}, {"ann", "dunlin/barn/x", nil, false},
			{"esp-1", "devices/esp-1/t", nil, true}, {"esp-1", "devices/esp-2/t", nil, false}, {"esp-1", "devices/esp-1/t", []string{"-r"}, false},
			{"esp-1", "devices/esp-1/t", []string{"-q", "2"}, false}, {"root", "dunlin/barn/x", nil, true}, {"root", "$SYS/x", nil, false},
		} {
			r := pub(c.user, backwards(c.user), c.topic, c.more...)
			if refused := strings.Contains(r.err, "Not authorized"); refused == c.ok {
				t.Errorf("%s publishes to %s %q: code %d, %s", c.user, c.topic, c.more, r.code, r.err)
			}
		}
		for _, c := range []struct {
			user, filter string
			ok           bool
		}{
			{"ann", "out/#", true}, {"ann", "#", false}, {"ann", "out/+", true}, {"ann", "$SYS/#", false}, {"root", "$SYS/broker/uptime", true},
			{"esp-1", "cmd/esp-1/+", true}, {"esp-1", "cmd/+/x", false}, {"esp-1", "$share/g/cmd/#", false}, {"esp-1", "$share/g/cmd/esp-1/#", true},
		} {
			r := dunlin(t, "", "sub", "-p", port, "-V", "5", "-u", c.user, "-P", backwards(c.user), "-t", c.filter, "-W", "1")
			if refused := r.code == exitRefused; refused == c.ok {
				t.Errorf("%s subscribes to %s: code %d, %s", c.user, c.filter, r.code, r.err)
			}
		}
	}
}

// mosquitto lets in whom a file of ours names.
func TestMosquittoReadsOurUsersFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if r := dunlin(t, "", "passwd", "--format", "mosquitto", "-b", path, "ann", "sec ret"); r.code != exitDone {
		t.Fatal(r.err)
	}
	s := bridgetest.Mosquitto(t, "password_file "+path)
	needClients(t)
	for password, code := range map[string]int{"sec ret": 0, "secret": 5} { // mosquitto 2.0 says 5 for both
		r := mosquitto(t, "pub", "", "-h", "127.0.0.1", "-p", fmt.Sprint(s.Port()), "-u", "ann", "-P", password, "-t", "a", "-m", "x")
		if r.code != code {
			t.Errorf("%q: code %d, %s", password, r.code, r.err)
		}
	}
}

// A Unix socket that is not anonymous takes the system user's name.
func TestSystemUserOfAUnixSocket(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "dunlin") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	startGateway(t, fmt.Sprintf(`
mqtt: {listeners: [{bind: "unix:%s"}]}
auth: {rules: [{user: %q, publish: ["mine"]}]}
`, socket, me.Username), deps{})
	for topic, ok := range map[string]bool{"mine": true, "other": false} {
		r := dunlin(t, "", "pub", "--unix", socket, "-V", "5", "-q", "1", "-t", topic, "-m", "x")
		if refused := r.code == exitRefused || strings.Contains(r.err, "ot authorized"); refused == ok {
			t.Errorf("%s: code %d, %s", topic, r.code, r.err)
		}
	}
}

// dunlin check names the line and the cure, and no secret.
func TestCheckReadsTheFilesOfAuth(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const hash = "$7$101$T4mTpFoFwy+u17nd$FnXZehOyA5cFLTeCchJP5Fm0/tbPSCoBGJbYHDae3/sMBVjwm2fWGLVtyAqoTiaKu5suUakK54TBlJ9RLVz3TQ=="
	write("users", "ann:"+hash+"\nbob\n:x\n", 0o600)
	write("open", "ann:"+hash+"\n", 0o644)
	write("good", "ann:"+hash+"\n", 0o600)
	write("acl", "# nothing\n", 0o644)
	for _, c := range []struct{ auth, says, cure string }{
		{"users_file: users", "users:2:1: error: the line has no colon", ""},
		{"users_file: users", "users:3:1: error: the line has no user name", ""},
		{"users_file: open", "others may read or change it (mode 0644)", "chmod 600"},
		{"users_file: none", "no such file", ""},
		{"users_file: good, acl_file: acl", "it holds no rule", "topic readwrite"},
		{"jwt: {keys: acl}", "no key set, no PEM, and no secret", ""},
	} {
		file := write("dunlin.yaml", "auth: {"+c.auth+"}\n", 0o644)
		r := dunlin(t, "", "check", file)
		if r.code != exitConfig || !strings.Contains(r.err, c.says) || !strings.Contains(r.err, c.cure) || strings.Contains(r.err, hash[20:]) {
			t.Errorf("%s: code %d\n%s", c.auth, r.code, r.err)
		}
	}
	if r := dunlin(t, "", "check", write("dunlin.yaml", "auth: {users_file: good}\n", 0o644)); r.code != exitDone {
		t.Error(r.err)
	}
}

// On a terminal the password is asked for twice and not shown; an interrupt
// leaves the terminal as it was.
func TestPasswdOnATerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skip(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	users := filepath.Join(t.TempDir(), "users")
	ask := func(ctx context.Context, typed string) (int, string) {
		t.Helper()
		if _, err := master.WriteString(typed); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		code := runPasswd(ctx, []string{"--calibrate", "1ms", users, "ann"}, streams{terminal, &said, &said})
		tio, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		if err != nil || tio.Lflag&unix.ECHO == 0 {
			t.Errorf("the terminal does not show what is typed: %v", err)
		}
		return code, said.String()
	}
	if code, said := ask(t.Context(), "secret\nsecret\n"); code != exitDone || !letsIn(t, users, "ann", "secret") || strings.Contains(said, "secret") {
		t.Errorf("code %d, %s", code, said)
	}
	if code, said := ask(t.Context(), "one\ntwo\n"); code != exitFailed || !strings.Contains(said, "not the same") {
		t.Errorf("code %d, %s", code, said)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errInterrupted) })
	if code, said := ask(ctx, ""); code != exitInterrupted {
		t.Errorf("code %d, %s", code, said)
	}
}

// The same acl_file, here and in mosquitto: who may publish what, and who
// gets what.
func TestACLFileAsInMosquitto(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some 300 processes")
	}
	needClients(t)
	acl := secretFile(t, "acl", `topic read public/#
user ann
topic a/#
topic deny a/secret
topic write out
topic read $SYS/broker/version
user root
topic #
topic readwrite $SYS/#
pattern write dev/%u/%c/#
pattern read cmd/%c
pattern deny dev/+/no/#
`)
	users := filepath.Join(t.TempDir(), "users")
	for _, name := range []string{"ann", "eve", "root"} {
		if r := dunlin(t, "", "passwd", "--format", "mosquitto", "-b", users, name, backwards(name)); r.code != exitDone {
			t.Fatal(r.err)
		}
	}
	theirs := bridgetest.Mosquitto(t, "password_file "+users, "acl_file "+acl)
	address, _, _ := startGateway(t, fmt.Sprintf(`
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}], limits: {connect_rate: 0/s}}
auth: {users_file: %q, acl_file: %q}
`, users, acl), deps{})
	_, ours, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"", "ann", "eve", "root"}
	topics := []string{"public/x", "a", "a/b", "a/secret", "out", "dev/ann/c-ann/t", "dev/eve/c-ann/t", "dev/eve/c-eve/t", "dev/ann/no/x", "dev/c-eve", "cmd/c-ann", "cmd/c-eve", "other"}
	login := func(name, id string, args ...string) []string {
		if name != "" {
			args = append(args, "-u", name, "-P", backwards(name))
		}
		return append(args, "-h", "127.0.0.1", "-i", id)
	}
	for _, name := range names {
		t.Run("as "+name, func(t *testing.T) {
			t.Parallel()
			var may, gets [2]string
			id := "c-" + name
			for i, port := range []string{fmt.Sprint(theirs.Port()), ours} {
				publish := func(as, id, topic, payload string, more ...string) {
					mosquitto(t, "pub", "", login(as, id, append(more, "-p", port, "-q", "1", "-t", topic, "-m", payload)...)...)
				}
				publish("root", "p-"+name, "cmd/"+id, "ready", "-r")
				// seen returns the topics of payload until the end, which
				// everybody may see.
				seen := func(w *viewer, payload string) string {
					t.Helper()
					publish("root", "p-"+name, "cmd/"+id, "end of "+payload)
					w.line("cmd/" + id + " end of " + payload)
					var topics []string
					for _, line := range w.seen {
						if topic, is := strings.CutSuffix(line, " "+payload); is {
							topics = append(topics, topic)
						}
					}
					return strings.Join(topics, " ")
				}
				subscribe := func(as, client string) *viewer {
					t.Helper()
					n, err := strconv.Atoi(port)
					if err != nil {
						t.Fatal(err)
					}
					w := startViewer(t, n, login(as, client, "-t", "#")...)
					w.line("cmd/" + id + " ready")
					return w
				}
				root := subscribe("root", "r-"+name)
				for _, topic := range topics {
					publish(name, id, topic, "by:"+name)
				}
				may[i] = seen(root, "by:"+name)
				mine := subscribe(name, id)
				for _, topic := range topics {
					publish("root", "p-"+name, topic, "to:"+name)
				}
				gets[i] = seen(mine, "to:"+name)
			}
			if may[0] != may[1] || gets[0] != gets[1] {
				t.Errorf("may publish:\nmosquitto %s\ndunlin    %s\ngets:\nmosquitto %s\ndunlin    %s", may[0], may[1], gets[0], gets[1])
			}
			if may[1] == "" && name == "ann" || gets[1] == "" {
				t.Error("the test shows nothing")
			}
		})
	}
}

// An operator sees who was refused, and never with what.
func TestRefusedClientsAreLogged(t *testing.T) {
	var log lockedLog
	address, _, stop := startGateway(t, fmt.Sprintf(`
mqtt: {listeners: [{bind: "127.0.0.1:0"}]}
auth: {users_file: %q}
`, usersFile(t, "ann")), deps{log: slog.New(slog.NewTextHandler(&log, nil))})
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	r := dunlin(t, "", "pub", "-p", port, "-i", "c1", "-u", "ann", "-P", "canary-password", "-t", "a", "-m", "x")
	if r.code != 4 {
		t.Errorf("code %d, %s", r.code, r.err)
	}
	stop()
	text := log.String()
	if !strings.Contains(text, `level=WARN msg="client refused"`) || !strings.Contains(text, "client_id=c1 user=ann") || strings.Contains(text, "canary") {
		t.Error(text)
	}
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
