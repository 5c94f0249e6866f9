//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

// upstreamCloud serves a fake cloud on a port until the test ends.
func upstreamCloud(t *testing.T) (cloud *cloudtest.Cloud, address string) {
	t.Helper()
	cloud, err := cloudtest.New(cloudtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { cloud.Serve(ln); close(served) }()
	t.Cleanup(func() { ln.Close(); <-served; cloud.Close() })
	return cloud, ln.Addr().String()
}

// bridgeRig is a gateway with a bridge to a cloud, and the command line.
type bridgeRig struct {
	t      *testing.T
	socket *remote
	port   *remote
	cloud  *cloudtest.Cloud
}

func newBridgeRig(t *testing.T) *bridgeRig {
	cloud, address := upstreamCloud(t)
	r := &bridgeRig{t: t, cloud: cloud}
	r.socket, r.port, _ = startAPI(t, "127.0.0.1:1", address)
	return r
}

// run runs dunlin bridge, which must end with code and say all the texts.
func (r *bridgeRig) run(args string, code int, texts ...string) string {
	r.t.Helper()
	got, stdout, stderr := runTool(r.t, append([]string{"bridge"}, strings.Fields(args)...)...)
	if got != code {
		r.t.Errorf("bridge %s: exit code %d, not %d\n%s%s", args, got, code, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			r.t.Errorf("bridge %s does not say %q:\n%s%s", args, text, stdout, stderr)
		}
	}
	return stdout
}

func (r *bridgeRig) publish(topic, payload string) {
	r.t.Helper()
	if a := r.socket.do("POST", "/api/v1/publish", fmt.Sprintf(`{"topic":%q,"payload":%q,"qos":1}`, topic, payload)); a.status != 204 {
		r.t.Fatalf("publish: %+v", a)
	}
}

func TestBridgeCommandWorksOnTheSpool(t *testing.T) {
	r := newBridgeRig(t)
	r.run("test cloud", exitDone, "✓ connect", "✓ mqtt", "QoS 2")
	before := len(r.cloud.Connects())
	r.run("reconnect cloud", exitDone)
	until(t, "the bridge has connected anew", func() bool { return len(r.cloud.Connects()) > before })
	r.run("pause cloud", exitDone)
	for i := range 3 {
		r.publish("sensors/a", fmt.Sprint("value ", i))
	}
	r.run("status", exitDone, "cloud", "paused", "3")
	r.run("status cloud", exitDone, "waiting", "paused", "yes")
	r.run("spool list cloud --limit 2", exitDone, "sensors/a", "value 0", "value 1", "3 in all")
	lines := strings.Split(strings.TrimSpace(r.run("spool export cloud --since 1h", exitDone)), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines are exported: %q", len(lines), lines)
	}
	for i, line := range lines {
		var l api.Letter
		if err := json.Unmarshal([]byte(line), &l); err != nil || string(l.PayloadB64) != fmt.Sprint("value ", i) || l.Topic != "sensors/a" || l.Seq == 0 || l.Lane != "live" {
			t.Errorf("exported: %q, %v", line, err)
		}
	}
	r.run("spool drain cloud --wait", exitFailed, "paused", "resume")
	r.run("spool purge cloud", exitDone, "3 messages would be deleted")
	r.run("spool purge cloud --older 2d -y", exitDone, "0 messages deleted")
	r.run("resume cloud", exitDone)
	r.run("spool drain cloud --rate 100 --wait --timeout 30s", exitDone)
	if got := fmt.Sprint(r.cloud.Payloads()); !strings.HasSuffix(got, "value 0 value 1 value 2]") {
		t.Errorf("upstream: %s", got)
	}
	r.run("pause cloud", exitDone)
	r.publish("sensors/a", "never")
	r.run("spool purge cloud -y", exitDone, "1 message deleted")
	var b api.Bridge
	r.socket.read("/api/v1/bridges/cloud", &b)
	if b.Waiting != 0 || b.Drops["unwanted"] != 1 {
		t.Errorf("after the purge: %+v", b)
	}
}

func TestBridgeCommandTellsHowALinkFails(t *testing.T) {
	r := newBridgeRig(t)
	r.run("test nosuch", exitFailed, `there is no bridge "nosuch": there is cloud`)
	r.cloud.Set(func(f *cloudtest.Faults) { f.Connack = mqtt.BadUserNameOrPassword })
	r.cloud.Kill() // while the link is up, the server does let the bridge in
	until(t, "the link is down", func() bool {
		var b api.Bridge
		r.socket.read("/api/v1/bridges/cloud", &b)
		return b.Class == "auth"
	})
	r.run("test cloud", exitRefused, "✗ auth", "look at client_id and credentials")
	r.cloud.Set(func(f *cloudtest.Faults) { f.Refuse = true })
	r.cloud.Kill()
	r.run("test cloud --json", exitUnreachable, `"ok":false`)
	r.publish("sensors/a", "1")
	r.run("spool drain cloud --wait --timeout 300ms", exitTimeout, "1 message waiting, bridge cloud is")
	r.run("spool drain cloud --rate 10", exitDone, "1 message wait\n")
	r.run("spool drain cloud --rate 20", exitDone, "1 message wait; another drain was under way, at 10.0/s: this one counts")
}

func TestBridgeCommandWorksOnDeadLetters(t *testing.T) {
	r := newBridgeRig(t)
	var takes atomic.Bool
	r.cloud.Set(func(f *cloudtest.Faults) {
		f.Publish = func(m cloudtest.Message) (v cloudtest.Verdict) {
			if m.Topic == "sensors/no" && !takes.Load() {
				v.Code = mqtt.NotAuthorized
			}
			return v
		}
	})
	for _, payload := range []string{"1", "2", "3"} {
		r.publish("sensors/no", payload)
	}
	var page api.Letters
	until(t, "three are given up", func() bool {
		page = api.Letters{}
		r.socket.read("/api/v1/bridges/cloud/dead", &page)
		return page.Total == 3
	})
	number := fmt.Sprint(page.Letters[0].Seq)
	r.run("dead list cloud", exitDone, number, "sensors/no", "Not authorized")
	r.run("dead show cloud "+number, exitDone, "sensors/no", "Not authorized", "payload")
	r.run("dead export cloud", exitDone, `"payload_b64":"Mw=="`)
	r.run("dead show cloud 999999", exitFailed, "no dead letter 999999")
	takes.Store(true)
	r.run("dead requeue cloud "+number, exitDone, "1 message queued again")
	r.run("dead requeue cloud "+number, exitFailed, "no dead letter")
	r.run("dead requeue cloud all", exitDone, "2 messages queued again")
	r.run("spool drain cloud --wait --timeout 1m", exitDone)
	if got := fmt.Sprint(r.cloud.Payloads()); !strings.HasSuffix(got, "1 2 3]") {
		t.Errorf("upstream: %s", got)
	}
	r.run("dead purge cloud -y", exitDone, "0 messages deleted")
}

// What changes a bridge, or shows payloads, is for admins.
func TestBridgeRoutesHaveRoles(t *testing.T) {
	r := newBridgeRig(t)
	as := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	for _, tc := range []struct {
		method, below    string
		viewer, admin    int
		malformed, query string
	}{
		{"GET", "", 200, 200, "", ""},
		{"POST", "/pause", 403, 204, "", ""},
		{"POST", "/spool/drain", 403, 409, "rate=x", ""},
		{"POST", "/resume", 403, 204, "", ""},
		{"POST", "/test", 403, 200, "", ""},
		{"GET", "/spool", 403, 200, "cursor=x", ""},
		{"GET", "/spool/messages", 403, 200, "since=-1", ""},
		{"POST", "/spool/drain", 403, 200, "rate=-1", "rate=5"},
		{"DELETE", "/spool", 403, 200, "older=x", "older=10&dry_run=true"},
		{"GET", "/dead", 403, 200, "limit=0", ""},
		{"GET", "/dead/messages", 403, 200, "since=x", ""},
		{"GET", "/dead/message", 403, 404, "seq=x", "seq=1"},
		{"POST", "/dead/requeue", 403, 200, "seq=0", "seq=all"},
		{"DELETE", "/dead", 403, 200, "older=x", ""},
	} {
		path := "/api/v1/bridges/cloud" + tc.below
		if a := r.port.do(tc.method, path+"?"+tc.query, "", as("see-but-do-not-touch")...); a.status != tc.viewer {
			t.Errorf("%s %s as viewer: %d", tc.method, path, a.status)
		}
		if a := r.port.do(tc.method, path+"?"+tc.query, "", as("do-as-you-like")...); a.status != tc.admin {
			t.Errorf("%s %s as admin: %d %s", tc.method, path, a.status, a.body)
		}
		if tc.malformed != "" {
			if a := r.port.do(tc.method, path+"?"+tc.malformed, "", as("do-as-you-like")...); a.status != 400 {
				t.Errorf("%s %s?%s: %d %s", tc.method, path, tc.malformed, a.status, a.body)
			}
		}
		if a := r.socket.do(tc.method, "/api/v1/bridges/nosuch"+tc.below, ""); a.status != 404 {
			t.Errorf("%s of a bridge that is not there: %d", path, a.status)
		}
	}
}

// A stream that is read slowly holds up neither the bridge nor its queue.
func TestExportDoesNotHoldTheBridge(t *testing.T) {
	r := newBridgeRig(t)
	r.run("pause cloud", exitDone)
	for range 20 {
		r.publish("sensors/a", strings.Repeat("x", 60_000))
	}
	slow, err := net.Dial("unix", os.Getenv("DUNLIN_SOCKET"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "GET /api/v1/bridges/cloud/spool/messages HTTP/1.1\r\nHost: dunlin\r\n\r\n")
	if _, err := slow.Read(make([]byte, 1)); err != nil { // it has begun, and is larger than a socket's buffer
		t.Fatal(err)
	}
	r.run("resume cloud", exitDone)
	r.run("spool drain cloud --wait --timeout 1m", exitDone)
}

func TestCheckConnects(t *testing.T) {
	there, _, _ := startGateway(t, `mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}`, deps{})
	nowhere := freeAddress(t)
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := fmt.Sprintf(`node: barn
bridges:
  a: {servers: ["mqtt://%s"], out: [{from: "a/#"}], in: [{from: "b/#"}]}
  b: {servers: ["mqtt://%s"], out: [{from: "a/#"}]}
`, there, nowhere)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := runTool(t, "check", "--connect", file)
	if code != exitUnreachable || !strings.Contains(out, "bridge a\n✓ clock") || !strings.Contains(out, "✓ mqtt     accepted: QoS 2") ||
		!strings.Contains(out, "bridge b\n✓ clock") || !strings.Contains(out, "✗ tcp    "+nowhere) || !strings.HasPrefix(stderr, "dunlin check: bridge b: look at the server, the port") {
		t.Errorf("%d %s%s", code, out, stderr)
	}
}
