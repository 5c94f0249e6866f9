//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
)

// fromFile is a gateway whose configuration is a file that a test changes.
type fromFile struct {
	t             *testing.T
	dir, file     string
	socket        *remote
	text, address string
	gateway       *gateway
}

// startFromFile runs a gateway; DIR in the text is a directory of its own.
func startFromFile(t *testing.T, text string) *fromFile {
	t.Helper()
	dir, err := os.MkdirTemp("", "rl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &fromFile{t: t, dir: dir, file: filepath.Join(dir, "dunlin.yaml")}
	f.write("data_dir: DIR\n" + text)
	cfg, errs := config.LoadFile(f.file, tables(), os.LookupEnv)
	if cfg == nil {
		t.Fatal(errs)
	}
	g, err := wire(cfg, deps{log: slog.New(slog.NewTextHandler(t.Output(), nil)), control: true, sys: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	f.gateway, f.address = g, g.addresses[0].String()
	t.Setenv("DUNLIN_SOCKET", filepath.Join(dir, "dunlin.sock"))
	f.socket = overSocket(t, filepath.Join(dir, "dunlin.sock"))
	return f
}

func (f *fromFile) write(text string) {
	f.t.Helper()
	f.text = text
	if err := os.WriteFile(f.file, []byte(strings.ReplaceAll(text, "DIR", f.dir)), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// reload changes the file and reloads.
func (f *fromFile) reload(pairs ...string) (code int, stdout, stderr string) {
	f.t.Helper()
	f.write(strings.NewReplacer(pairs...).Replace(f.text))
	return runTool(f.t, "reload")
}

func (f *fromFile) status() (s api.Status) {
	f.t.Helper()
	f.socket.read("/api/v1/status", &s)
	return s
}

// mqttClient connects and returns the connection; it fails the test if it is
// not let in.
func mqttClient(t *testing.T, nc net.Conn, id string) net.Conn {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(time.Minute))
	if code, err := connectAs(nc, id, "", ""); code != 0 || err != nil {
		t.Fatalf("%s: CONNACK %d, %v", id, code, err)
	}
	return nc
}

// connectAs says CONNECT of MQTT 3.1.1 and returns the CONNACK's code.
func connectAs(nc net.Conn, id, user, password string) (byte, error) {
	text := func(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }
	body := "\x00\x04MQTT\x04\x02\x00\x00" + text(id)
	if user != "" {
		body = "\x00\x04MQTT\x04\xc2\x00\x00" + text(id) + text(user) + text(password)
	}
	if _, err := io.WriteString(nc, "\x10"+string([]byte{byte(len(body))})+body); err != nil {
		return 0, err
	}
	var b [4]byte
	_, err := io.ReadFull(nc, b[:])
	return b[3], err
}

// alive reports whether the server still answers PINGREQ.
func alive(nc net.Conn) bool {
	nc.Write([]byte{0xc0, 0})
	var b [2]byte
	_, err := io.ReadFull(nc, b[:])
	return err == nil && b[0] == 0xd0
}

const reloadDevices = `mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
devices:
  - {name: first, driver: sim, interval: 50ms, entities: {v: {signal: sine, min: 1, max: 1}}}
  - {name: second, driver: sim, interval: 50ms, entities: {v: {signal: sine, min: 2, max: 2}}}
bridges:
  a: {servers: ["mqtt://127.0.0.1:1"], out: [{from: "a/#"}]}
  b: {servers: ["mqtt://127.0.0.1:2"], out: [{from: "b/#"}]}
`

func TestReloadTouchesOnlyWhatIsDifferent(t *testing.T) {
	f := startFromFile(t, reloadDevices)
	until(t, "both devices are online and both bridges down", func() bool {
		s := f.status()
		return s.Devices[0].State == "online" && s.Devices[1].State == "online" && s.Bridges[0].State == "down" && s.Bridges[1].State == "down"
	})
	subscriber := mqttClient(t, dialTCP(t, f.address), "watch")
	for _, m := range []string{"a/1", "b/1"} {
		runTool(t, "pub", "-L", "mqtt://"+f.address+"/"+m, "-m", "x", "-q", "1")
	}
	runTool(t, "bridge", "pause", "a")
	before := f.status()

	// One device is different, one is new, one bridge is different.
	code, out, stderr := f.reload("min: 2, max: 2", "min: 20, max: 20", "bridges:\n", "  - {name: third, driver: sim, entities: {v: {}}}\nbridges:\n", `from: "a/#"`, `from: "aa/#"`)
	if code != exitDone || !strings.Contains(out, "~ devices.second.entities.v.max") || !strings.Contains(out, "2 → 20") ||
		!strings.Contains(strings.Join(strings.Fields(out), " "), "+ devices.third new live") || !strings.Contains(out, "~ bridges.a.out.0.from") || strings.Contains(out, "restart") {
		t.Fatalf("code %d\n%s%s", code, out, stderr)
	}
	var s api.Status
	until(t, "the device has its new value", func() bool {
		s = f.status()
		return len(s.Devices) == 3 && s.Devices[1].Name == "second" && len(s.Devices[1].Values) == 1 && s.Devices[1].Values[0].Value == 20.0
	})
	if s.Devices[0].OK < before.Devices[0].OK || s.Bridges[1].Attempts < before.Bridges[1].Attempts {
		t.Errorf("what was not different began anew: %+v %+v", s.Devices[0], s.Bridges[1])
	}
	if len(s.Bridges) != 2 || s.Bridges[0].Name != "a" || s.Bridges[0].Waiting != 1 || s.Bridges[1].Waiting != 1 {
		t.Errorf("the spools did not stay: %+v", s.Bridges)
	}
	if !s.Bridges[0].Paused || s.Bridges[1].Paused {
		t.Errorf("a bridge that was paused goes on: %+v", s.Bridges)
	}
	runTool(t, "pub", "-L", "mqtt://"+f.address+"/aa/1", "-m", "x", "-q", "1")
	if s := f.status(); s.Bridges[0].Waiting != 2 {
		t.Errorf("the new route does not queue: %+v", s.Bridges[0])
	}

	// Removed.
	code, out, _ = f.reload("  - {name: third, driver: sim, entities: {v: {}}}\n", "", "  b: {servers", "  c: {servers")
	if code != exitDone || !strings.Contains(out, "- devices.third  gone") || !strings.Contains(out, "- bridges.b      gone") || !strings.Contains(out, "+ bridges.c      new") {
		t.Errorf("code %d\n%s", code, out)
	}
	if s := f.status(); len(s.Devices) != 2 || len(s.Bridges) != 2 || s.Bridges[1].Name != "c" {
		t.Errorf("after the removal: %+v", s)
	}
	if a := f.socket.do("GET", "/api/v1/topic?topic="+strings.ReplaceAll(f.gateway.started.Gateway.Base+"/third/availability", "/", "%2F"), ""); !strings.Contains(a.body, `"status":404`) {
		t.Errorf("something is left of the device that is gone: %s", a.body)
	}
	for name, told := range map[string]bool{"a": true, "b": false, "c": true} {
		if all, err := f.gateway.broker.Retained("$SYS/dunlin/bridge/" + name + "/#"); err != nil || len(all) > 0 != told {
			t.Errorf("%d topics tell of bridge %s: %v", len(all), name, err)
		}
	}
	if !alive(subscriber) {
		t.Error("a client was disconnected")
	}
	if code, out, _ := runTool(t, "reload", "--dry-run"); code != exitDone || out != "nothing is different\n" {
		t.Errorf("once more: %d %q", code, out)
	}
}

func dialTCP(t *testing.T, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

func TestReloadOfMistakesChangesNothing(t *testing.T) {
	f := startFromFile(t, reloadDevices)
	const goodAt = "\ndunlin_config_last_reload_success_timestamp_seconds "
	at := func() string {
		return regexp.MustCompile(goodAt + ".*").FindString(f.socket.do("GET", "/metrics", "").body)
	}
	start := at()
	for _, wrong := range [][2]string{
		{"driver: sim, interval: 50ms", "driver: smi, interval: 50ms"}, {`from: "b/#"`, `from: "b/#/c"`}, {"bridges:", "brigdes:"},
		{`from: "a/#"}]}`, `from: "a/#"}], tls: {ca: /no/such/file}}`}, {"min: 1, max: 1}}}", "min: 1, max: 1}}}\n  - {name: first, driver: sim}"},
	} {
		good := f.text
		code, out, stderr := f.reload(wrong[0], wrong[1])
		if code != exitConfig || out != "" || !strings.Contains(stderr, f.file+":") || !strings.Contains(stderr, "nothing is changed") {
			t.Errorf("%s: code %d, %q, %q", wrong[1], code, out, stderr)
		}
		if a := f.socket.do("POST", "/api/v1/reload", ""); a.status != 422 || a.contentType != "application/problem+json" {
			t.Errorf("%s: %+v", wrong[1], a)
		}
		if a := f.socket.do("GET", "/metrics", ""); !strings.Contains(a.body, "\ndunlin_config_last_reload_successful 0\n") {
			t.Error("the metrics do not tell of the failed reload")
		}
		if start == "" || at() != start {
			t.Errorf("the last good reload was%q, is%q", start, at())
		}
		s := f.status()
		if len(s.Devices) != 2 || len(s.Bridges) != 2 || s.Bridges[0].Name != "a" || len(s.Attention) == 0 || !strings.Contains(s.Attention[0], "reload") {
			t.Errorf("%s has changed something, or nobody is told: %+v", wrong[1], s)
		}
		f.write(good)
	}
	if code, out, stderr := runTool(t, "reload"); code != exitDone || !strings.HasPrefix(out, "nothing is different; ") {
		t.Errorf("the good file after it: %d %s %s", code, out, stderr)
	}
	if a := f.socket.do("GET", "/metrics", ""); !strings.Contains(a.body, "\ndunlin_config_last_reload_successful 1\n") {
		t.Error("the metrics do not tell of the reload that went well")
	}
	if good := at(); good == "" || good == start {
		t.Errorf("the last good reload is still that of%q", start)
	}
}

func TestReloadSaysWhatNeedsARestart(t *testing.T) {
	f := startFromFile(t, "node: one\nhttp: {tokens: [{name: x, token: old-secret}]}\n"+reloadDevices)
	for range 2 { // as long as it is not restarted
		code, out, _ := f.reload("node: one", "node: two", "old-secret", "new-secret")
		if strings.Contains(out, "live") {
			t.Errorf("a new node is half carried out:\n%s", out)
		}
		if code != exitDone || !strings.Contains(strings.Join(strings.Fields(out), " "), "~ node one → two needs restart") {
			t.Errorf("code %d\n%s", code, out)
		}
		if strings.Contains(out, "secret") {
			t.Errorf("a secret is shown:\n%s", out)
		}
	}
	if s := f.status(); s.Node != "one" {
		t.Errorf("node is %s before the restart", s.Node)
	}
}

// A user who is taken out or has another password is disconnected, one who is
// added comes in, the others stay.
func TestReloadOfUsers(t *testing.T) {
	users := usersFile(t, "alice", "bob", "dave")
	web := freeAddress(t)
	f := startFromFile(t, "http: {bind: \""+web+"\"}\nauth: {users_file: "+users+", rules: [{user: \"*\", publish: [\"#\"], subscribe: [\"#\"]}]}\nmqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\n")
	page := &remote{t: t, base: "http://" + web}
	cookies := map[string]string{}
	for _, user := range []string{"alice", "bob", "dave"} {
		_, cookies[user] = logIn(page, user, backwards(user))
	}
	streams := []*stream{page.stream("/api/v1/events", "Cookie", cookies["bob"]), page.stream("/api/v1/watch?filter=%23", "Cookie", cookies["dave"])}
	enter := func(user string) (net.Conn, byte) {
		nc := dialTCP(t, f.address)
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(time.Minute))
		code, err := connectAs(nc, user, user, backwards(user))
		if err != nil {
			t.Fatal(err)
		}
		return nc, code
	}
	alice, _ := enter("alice")
	bob, _ := enter("bob")
	dave, _ := enter("dave")
	if !alive(alice) || !alive(bob) || !alive(dave) {
		t.Fatal("alice, bob and dave are not let in")
	}
	for _, args := range [][]string{{"-D", users, "bob"}, {"-b", users, "dave", "another"}, {"-b", users, "carol", backwards("carol")}} {
		if code, _, stderr := runTool(t, append([]string{"passwd"}, args...)...); code != exitDone {
			t.Fatal(stderr)
		}
	}
	if code, _, stderr := runTool(t, "reload"); code != exitDone {
		t.Fatal(stderr)
	}
	until(t, "bob is disconnected", func() bool { return !alive(bob) }) // the end does not overtake an answer on its way
	until(t, "dave is disconnected", func() bool { return !alive(dave) })
	if !alive(alice) {
		t.Error("alice was disconnected")
	}
	for user, want := range map[string]int{"alice": 200, "bob": 401, "dave": 401} {
		if got := page.do("GET", "/api/v1/status", "", "Cookie", cookies[user]); got.status != want {
			t.Errorf("the login of %s at the page: %d, want %d", user, got.status, want)
		}
	}
	io.WriteString(alice, "\x30\x03\x00\x01a") // PUBLISH: what is watched ends when there is something to tell
	for _, s := range streams {
		for s.text.Scan() { // to its end
		}
		if err := s.text.Err(); err != nil {
			t.Errorf("a stream of who may not look any more goes on: %v", err)
		}
	}
	if _, code := enter("carol"); code != 0 {
		t.Errorf("carol: CONNACK %d", code)
	}
	if _, code := enter("bob"); code == 0 {
		t.Error("bob is let in again")
	}
}

// Listeners come, change and go; each touches only its own clients.
func TestReloadOfListeners(t *testing.T) {
	b, c := freeAddress(t), freeAddress(t)
	f := startFromFile(t, `mqtt:
  limits: {connections: 50}
  listeners:
    - {bind: "127.0.0.1:0", anonymous: true}
    - {bind: "`+b+`", anonymous: true}
`)
	first, second := mqttClient(t, dialTCP(t, f.address), "first"), mqttClient(t, dialTCP(t, b), "second")
	plan := func(out string) string { return strings.Join(strings.Fields(out), " ") }

	more := `    - {bind: "` + c + `", anonymous: true}` + "\n"
	code, out, stderr := f.reload(`"`+b+`", anonymous: true}`+"\n", `"`+b+`", anonymous: true, topic_prefix: p/}`+"\n"+more, "connections: 50", "connections: 3")
	if code != exitDone || strings.Contains(out, "restart") || !strings.Contains(plan(out), "+ mqtt.listeners."+c+" new live") ||
		!strings.Contains(plan(out), "+ mqtt.listeners."+b+".topic_prefix p/ live") || !strings.Contains(plan(out), "~ mqtt.limits.connections 50 → 3 live") {
		t.Fatalf("code %d\n%s%s", code, out, stderr)
	}
	until(t, "the client of the changed listener is disconnected", func() bool { return !alive(second) })
	if !alive(first) {
		t.Error("a client of the listener that did not change was disconnected")
	}
	until(t, "its connection counts no more", func() bool { return f.status().Broker.Connections == 1 })
	second = mqttClient(t, dialTCP(t, b), "second")
	third := mqttClient(t, dialTCP(t, c), "third")
	if _, err := connectAs(dialTCP(t, f.address), "fourth", "", ""); err == nil {
		t.Error("the new limit is not that of new connections")
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := f.text
	code, out, stderr = f.reload(`"`+c+`", anonymous: true}`+"\n", `"`+taken.Addr().String()+`", anonymous: true}`+"\n", "connections: 3", "connections: 2")
	if code != exitFailed || out != "" || !strings.Contains(stderr, "mqtt.listeners[2]") || !strings.Contains(stderr, "in use") || !strings.Contains(stderr, "nothing is changed") {
		t.Errorf("a port that is taken: code %d, %s%s", code, out, stderr)
	}
	if !alive(first) || !alive(second) || !alive(third) {
		t.Error("a listener that cannot be bound ends connections")
	}
	f.write(good)
	if code, out, _ := runTool(t, "reload"); code != exitDone || !strings.HasPrefix(out, "nothing is different; ") {
		t.Errorf("the good file after it: %d %s", code, out)
	}

	if code, out, stderr := f.reload(more, ""); code != exitDone || !strings.Contains(out, "- mqtt.listeners."+c+"  gone") {
		t.Errorf("code %d\n%s%s", code, out, stderr)
	}
	until(t, "the client of the listener that is gone is disconnected", func() bool { return !alive(third) })
	if nc, err := net.Dial("tcp", c); err == nil {
		nc.Close()
		t.Error("the listener that is gone still accepts")
	}
	if !alive(first) || !alive(second) {
		t.Error("another listener's client was disconnected")
	}
}

// A listener moves to another address of its port, and back; nobody else gets
// the port.
func TestReloadOfAListenersAddress(t *testing.T) {
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	every, loopback := ":"+port, "127.0.0.1:"+port
	f := startFromFile(t, `mqtt:
  listeners:
    - {bind: "127.0.0.1:0", anonymous: true}
    - {bind: "`+every+`", anonymous: true}
`)
	other := mqttClient(t, dialTCP(t, f.address), "other")
	for _, move := range [][2]string{{every, loopback}, {loopback, every}, {every, "localhost:" + port}, {"localhost:" + port, loopback}} {
		moved := mqttClient(t, dialTCP(t, loopback), "moved")
		if code, out, stderr := f.reload(strconv.Quote(move[0]), strconv.Quote(move[1])); code != exitDone {
			t.Fatalf("%s to %s: code %d\n%s%s", move[0], move[1], code, out, stderr)
		}
		until(t, "the listener's client is disconnected", func() bool { return !alive(moved) })
		if nc := mqttClient(t, dialTCP(t, loopback), "after"); !alive(other) || !alive(nc) {
			t.Error(move, "ends another listener's connection, or serves none")
		}
		for _, bind := range []string{every, loopback} {
			if ln, err := net.Listen("tcp", bind); err == nil {
				ln.Close()
				t.Errorf("after %s: another server gets %s", move[1], bind)
			}
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if code, _, stderr := f.reload(strconv.Quote(loopback), strconv.Quote(taken.Addr().String())); code != exitFailed || !strings.Contains(stderr, "nothing is changed") {
		t.Errorf("a port that is taken: code %d, %s", code, stderr)
	}
	if !alive(mqttClient(t, dialTCP(t, loopback), "after")) || !alive(other) {
		t.Error("the listeners are not as they were")
	}
}

// The authority of clients is exchanged under a hundred clients.
func TestReloadOfAuthorities(t *testing.T) {
	old, fresh := serverAuthority(t), serverAuthority(t)
	f := startFromFile(t, fmt.Sprintf(`mqtt: {listeners: [{bind: "127.0.0.1:0", tls: {cert: %[1]s/server.pem, key: %[1]s/server.key, ca: %[1]s/ca.pem, require_client_cert: true}}]}
auth: {rules: [{user: me, publish: ["#"], subscribe: ["#"]}]}
`, old.dir))
	dial := func(by *authority) (net.Conn, error) {
		c := by.clientConfig(t)
		c.RootCAs = old.clientConfig(t).RootCAs
		return tls.Dial("tcp", f.address, c)
	}
	var clients []net.Conn
	for i := range 100 {
		nc, err := dial(old)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, mqttClient(t, nc, fmt.Sprintf("c%d", i)))
	}
	pem, err := os.ReadFile(fresh.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old.path("ca.pem"), pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := runTool(t, "reload"); code != exitDone {
		t.Fatal(stderr)
	}
	for i, nc := range clients {
		if nc.SetDeadline(time.Now().Add(time.Minute)); !alive(nc) {
			t.Errorf("client %d was disconnected", i)
		}
	}
	if nc, err := dial(fresh); err != nil {
		t.Errorf("a client of the new authority: %v", err)
	} else {
		mqttClient(t, nc, "new")
	}
	nc, err := dial(old)
	if err == nil { // TLS 1.3: the refusal comes with the first read
		nc.SetDeadline(time.Now().Add(time.Minute))
		_, err = connectAs(nc, "late", "", "")
		nc.Close()
	}
	if err == nil {
		t.Error("a client of the old authority is let in")
	}
}

// A plain server's # is what its clients publish.
func TestStatusTopicBeginsWithTheFirstDevice(t *testing.T) {
	f := startFromFile(t, "node: plain\nmqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\n")
	topic := func() string { return f.socket.do("GET", "/api/v1/topic?topic=dunlin%2Fplain%2Fstatus", "").body }
	if got := topic(); !strings.Contains(got, `"status":404`) {
		t.Errorf("without devices and bridges: %s", got)
	}
	f.write(f.text + "devices: [{name: first, driver: sim, entities: {v: {}}}]\n")
	if code, out, stderr := runTool(t, "reload"); code != exitDone {
		t.Fatalf("code %d\n%s%s", code, out, stderr)
	}
	until(t, "the status is there", func() bool { return strings.Contains(topic(), "online") })
	if code, _, stderr := runTool(t, "reload"); code != exitDone {
		t.Errorf("once more: %d %s", code, stderr)
	}
}

// What $SYS says of a bridge is what it is now: no fault of before, and nothing of
// one that is gone.
func TestSysOfABridge(t *testing.T) {
	_, g, _ := startGateway(t, `mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}`, deps{})
	local, err := g.broker.Attach(broker.ClientOptions{ID: bridge.LocalID("b")})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	s := newBridgeSys(local, "b", "far", nil)
	told := func(topic, want string) {
		t.Helper()
		all, err := g.broker.Retained(topic)
		if err != nil || len(all) != 1 || string(all[0].Payload) != want {
			t.Errorf("%s: %v %v, not %q", topic, all, err, want)
		}
	}
	s.publish(bridge.Stats{State: bridge.Stalled, Class: bridge.ClassStalled, Reason: "no acknowledgement"})
	told("$SYS/dunlin/bridge/b/error", "stalled: no acknowledgement")
	s.publish(bridge.Stats{State: bridge.Up})
	told("$SYS/dunlin/bridge/b/error", "none")
	s.publish(bridge.Stats{State: bridge.Up, Class: bridge.ClassQuota, Reason: "the bytes of the day"})
	told("$SYS/dunlin/bridge/b/error", "quota: the bytes of the day")
	if err := forgetBridgeSys(g.broker, "b", "far", []config.Bridge{{Name: "c", ClientID: "far"}}); err != nil {
		t.Fatal(err)
	}
	told("$SYS/broker/connection/far/state", "0")
	if err := forgetBridgeSys(g.broker, "b", "far", nil); err != nil {
		t.Fatal(err)
	}
	for _, filter := range []string{"$SYS/dunlin/bridge/#", "$SYS/broker/connection/#"} {
		if all, err := g.broker.Retained(filter); err != nil || len(all) > 0 {
			t.Errorf("%s: %d are left: %v", filter, len(all), err)
		}
	}
}
