package interop

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The command-line clients of mosquitto, one process per connection. Rows of
// the matrix are those of the other clients: TestMosquittoWill is its Will.

// tool is a mosquitto_pub or mosquitto_sub of one version, for one broker.
type tool struct {
	version string
	b       *broker
	by      transport
	login   []string
}

// eachTool runs test for every version, against a broker of its own.
func eachTool(t *testing.T, test func(t *testing.T, m tool)) {
	t.Helper()
	if !everybody() {
		t.Skip("for make interop")
	}
	for _, v := range []string{"3.1", "3.1.1", "5.0"} {
		t.Run("mosquitto "+v, func(t *testing.T) { test(t, tool{version: v, b: start(t)}) })
	}
}

// line is how mosquitto_sub shows a message here.
func line(m message) string {
	retain := 0
	if m.retain {
		retain = 1
	}
	return fmt.Sprintf("MESSAGE %s %d %d %s", m.topic, m.qos, retain, m.payload)
}

func (m tool) args(args ...string) []string {
	version := map[string]string{"3.1": "mqttv31", "3.1.1": "mqttv311", "5.0": "mqttv5"}[m.version]
	host, port, _ := net.SplitHostPort(m.b.addr[m.by]) // comes from a listener
	all := append([]string{"-V", version, "-h", host, "-p", port}, m.login...)
	if m.by.tls() {
		all = append(all, "--cafile", authority())
	}
	if m.by == mutual {
		cert, key := clientPair()
		all = append(all, "--cert", cert, "--key", key)
	}
	return append(all, args...)
}

// pub publishes one message and wants mosquitto_pub to say that it could.
func (m tool) pub(t *testing.T, msg message, args ...string) {
	t.Helper()
	all := append(m.args("-t", msg.topic, "-q", fmt.Sprint(msg.qos)), args...)
	if msg.payload == "" {
		all = append(all, "-n")
	} else {
		all = append(all, "-s")
	}
	if msg.retain {
		all = append(all, "-r")
	}
	if out, err := command(t, msg.payload, "mosquitto_pub", all...); err != nil {
		t.Fatalf("mosquitto_pub %q: %v\n%s", args, err, out)
	}
}

// command runs a tool to its end.
func command(t *testing.T, in, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// process is a running mosquitto_sub.
type process struct {
	cmd   *exec.Cmd
	lines chan string // closed at its end
}

// sub starts mosquitto_sub and waits until it is subscribed.
func (m tool) sub(t *testing.T, args ...string) *process {
	t.Helper()
	p := m.run(t, args...)
	p.until(t, "Subscribed (mid:")
	return p
}

// run starts mosquitto_sub; stdbuf lets it write its lines at once.
func (m tool) run(t *testing.T, args ...string) *process {
	t.Helper()
	format := []string{"-d", "-F", "MESSAGE %t %q %r %p"}
	p := &process{lines: make(chan string, inboxSize)}
	p.cmd = exec.Command("stdbuf", append([]string{"-oL", "mosquitto_sub"}, m.args(append(format, args...)...)...)...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	go func() { // ends with the process, which Cleanup ends
		defer close(p.lines)
		for r := bufio.NewReader(out); ; {
			text, err := r.ReadString('\n')
			if err != nil {
				return
			}
			p.lines <- strings.TrimSuffix(text, "\n")
		}
	}()
	return p
}

// until reads lines up to one that begins so, and returns it.
func (p *process) until(t *testing.T, prefix string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case text, ok := <-p.lines:
			if !ok {
				t.Fatalf("mosquitto_sub ended before %q", prefix)
			}
			if strings.HasPrefix(text, prefix) {
				return text
			}
		case <-deadline:
			t.Fatalf("mosquitto_sub does not write %q", prefix)
		}
	}
}

func (p *process) expect(t *testing.T, m message) {
	t.Helper()
	if got, want := p.until(t, "MESSAGE "), line(m); got != want {
		t.Fatalf("mosquitto_sub shows %.80q, want %.80q", got, want)
	}
}

// kill ends the process without DISCONNECT.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // an error means that it has ended
		_ = p.cmd.Wait()         // killed: not 0
	}
}

func (m tool) exchange(t *testing.T, topic string, sizes ...int) {
	t.Helper()
	for granted := range byte(3) {
		s := m.sub(t, "-t", topic+"/+", "-q", fmt.Sprint(granted))
		for qos := range byte(3) {
			for _, size := range sizes {
				msg := message{topic: topic + "/x", payload: strings.Repeat("m", size), qos: qos}
				m.pub(t, msg)
				msg.qos = min(qos, granted)
				s.expect(t, msg)
			}
		}
		s.kill()
	}
}

func TestMosquittoEveryQoSBetweenAllVersions(t *testing.T) {
	eachTool(t, func(t *testing.T, m tool) { m.exchange(t, "matrix", 10) })
}

func TestMosquittoLargePayload(t *testing.T) {
	eachTool(t, func(t *testing.T, m tool) { m.exchange(t, "large", 1<<20) })
}

func TestMosquittoTransports(t *testing.T) {
	eachTool(t, func(t *testing.T, m tool) {
		for _, by := range []transport{secure, mutual} {
			t.Run(by.String(), func(t *testing.T) {
				m.by = by
				m.exchange(t, "over/"+by.String(), 10, 1<<20)
			})
		}
	})
}

func TestMosquittoThousandMessages(t *testing.T) {
	const n = 1000
	eachTool(t, func(t *testing.T, m tool) {
		for _, qos := range []byte{1, 2} {
			s := m.sub(t, "-t", "count", "-q", fmt.Sprint(qos))
			var in strings.Builder
			for i := range n {
				fmt.Fprintln(&in, i)
			}
			if out, err := command(t, in.String(), "mosquitto_pub", m.args("-t", "count", "-q", fmt.Sprint(qos), "-l")...); err != nil {
				t.Fatalf("mosquitto_pub: %v\n%s", err, out)
			}
			for i := range n {
				s.expect(t, message{topic: "count", payload: fmt.Sprint(i), qos: qos})
			}
			s.kill()
		}
	})
}

func TestMosquittoRetained(t *testing.T) {
	eachTool(t, func(t *testing.T, m tool) {
		kept := message{topic: "room/light", payload: "on", qos: 1, retain: true}
		m.pub(t, kept)
		m.sub(t, "-t", "room/#", "-q", "2").expect(t, kept)
		m.pub(t, message{topic: kept.topic, qos: 1, retain: true})
		if out, _ := command(t, "", "mosquitto_sub", m.args("-t", "room/#", "-W", "1")...); out != "" && !strings.Contains(out, "Timed out") {
			t.Errorf("MQTT-3.3.1-6 after it was cleared: %q", out)
		}
	})
}

func TestMosquittoWill(t *testing.T) {
	eachTool(t, func(t *testing.T, m tool) {
		watch := m.sub(t, "-t", "status", "-q", "2")
		for qos := range byte(3) {
			device := m.sub(t, "-t", "nothing", "--will-topic", "status", "--will-payload", "offline", "--will-qos", fmt.Sprint(qos), "--will-retain")
			device.kill()
			watch.expect(t, message{topic: "status", payload: "offline", qos: qos})
			m.sub(t, "-t", "status", "-q", "2").expect(t, message{topic: "status", payload: "offline", qos: qos, retain: true})
		}
	})
}

func TestMosquittoSessionResume(t *testing.T) {
	const n = 20
	eachTool(t, func(t *testing.T, m tool) {
		session := []string{"-i", "sleeper", "-c", "-t", "queue/+", "-q", "2"}
		if m.version == "5.0" {
			session = append(session, "-x", fmt.Sprint(sessionExpiry))
		}
		if out, err := command(t, "", "mosquitto_sub", m.args(append(session, "-E")...)...); err != nil {
			t.Fatalf("mosquitto_sub: %v\n%s", err, out)
		}
		for i := range n {
			m.pub(t, message{topic: "queue/x", payload: fmt.Sprint(i), qos: byte(1 + i*2/n)})
		}
		s := m.run(t, session...)
		for i := range n {
			s.expect(t, message{topic: "queue/x", payload: fmt.Sprint(i), qos: byte(1 + i*2/n)})
		}
	})
}

func TestMosquittoSharedSubscription(t *testing.T) {
	const n = 10
	eachTool(t, func(t *testing.T, m tool) {
		group := []string{"-t", "$share/crew/jobs/#", "-q", "1"}
		one, two := m.sub(t, group...), m.sub(t, group...)
		for i := range n {
			m.pub(t, message{topic: "jobs/x", payload: fmt.Sprint(i), qos: 1})
		}
		for i := range n { // in turn
			member := one
			if i%2 == 1 {
				member = two
			}
			member.expect(t, message{topic: "jobs/x", payload: fmt.Sprint(i), qos: 1})
		}
	})
}

func TestMosquittoProperties(t *testing.T) {
	if !everybody() {
		t.Skip("for make interop")
	}
	t.Run("mosquitto 5.0", func(t *testing.T) {
		m := tool{version: "5.0", b: start(t)}
		m.pub(t, message{topic: "sensor/json", payload: "21.5", qos: 1, retain: true},
			"-D", "publish", "user-property", "k", "1", "-D", "publish", "user-property", "a", "2", "-D", "publish", "user-property", "k", "3",
			"-D", "publish", "payload-format-indicator", "1", "-D", "publish", "content-type", "text/plain", "-D", "publish", "message-expiry-interval", "3600",
			"-D", "publish", "response-topic", "re/ply", "-D", "publish", "correlation-data", "c-d")
		out, err := command(t, "", "mosquitto_sub", m.args("-t", "sensor/#", "-C", "1", "-F", "%C|%D|%F|%P|%R|%p")...)
		if want := "text/plain|c-d|1|k:1 a:2 k:3|re/ply|21.5\n"; err != nil || out != want {
			t.Errorf("MQTT-3.3.2-17 %q %v, want %q", out, err, want)
		}
	})
}

// Users that mosquitto_passwd wrote log in, with every client; others do not.
// Each has a broker of its own: one that sees many wrong passwords from an
// address refuses it for a while.
func TestLogin(t *testing.T) {
	for _, v := range clients() {
		t.Run(v.name, func(t *testing.T) {
			b, users := startWithUsers(t)
			for user, password := range users {
				p := v.dial(t, b, dialOptions{id: "login", user: user, password: password})
				m := message{topic: "home/" + user, payload: "x", qos: 1}
				p.mustSubscribe(t, m.topic, 1)
				p.mustPublish(t, m)
				p.expect(t, m)
				p.disconnect()
				v.dial(t, b, dialOptions{id: "login", user: user, password: password + "x", refused: true})
			}
			v.dial(t, b, dialOptions{id: "login", refused: true})
		})
	}
}

func TestMosquittoLogin(t *testing.T) {
	for _, v := range []string{"3.1", "3.1.1", "5.0"} {
		t.Run("mosquitto "+v, func(t *testing.T) {
			b, users := startWithUsers(t)
			for user, password := range users {
				m := tool{version: v, b: b, login: []string{"-u", user, "-P", password}}
				m.exchange(t, "home/"+user, 10)
				m.login[3] += "x"
				if out, err := command(t, "", "mosquitto_pub", m.args("-t", "home/x", "-m", "x", "-q", "1")...); err == nil {
					t.Errorf("MQTT-3.1.4-2 %s with a wrong password was let in: %s", user, out)
				}
			}
		})
	}
}

// startWithUsers starts a broker that lets in who is in a file of
// mosquitto_passwd, and returns their passwords.
func startWithUsers(t *testing.T) (*broker, map[string]string) {
	t.Helper()
	if !everybody() {
		t.Skip("for make interop")
	}
	users := map[string]string{"alice": "correct horse", "böb": "pässword"}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for user, password := range users {
		if out, err := command(t, "", "mosquitto_passwd", "-b", file, user, password); err != nil {
			t.Fatalf("mosquitto_passwd: %v\n%s", err, out)
		}
	}
	return startWith(t, file), users
}
