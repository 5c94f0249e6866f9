//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/scan"
)

const apiConfig = `node: barn
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
devices: [{name: tank, driver: sim, interval: 50ms, entities: {level: {signal: sine, min: 12.5, max: 12.5, unit_of_measurement: cm}}}]
bridges: {cloud: {servers: ["mqtt://127.0.0.1:1"], out: [{from: "sensors/#"}]}}
http:
  bind: "127.0.0.1:PORT"
  tokens:
    - {name: look, token: see-but-do-not-touch, role: viewer}
    - {name: act, token: do-as-you-like, role: admin}
data_dir: DIR
`

// remote is a way to a gateway's API.
type remote struct {
	t    *testing.T
	base string
	http http.Client
}

// answer is what came back.
type answer struct {
	status      int
	contentType string
	body        string
	header      http.Header
}

// startAPI runs a gateway and returns its socket, its port and its MQTT
// address. The data directory has a short name: a socket's has 107 bytes.
func startAPI(t *testing.T, change ...string) (socket, port *remote, mqttAddress string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	_, free, _ := net.SplitHostPort(freeAddress(t))
	text := strings.NewReplacer(append(change, "PORT", free, "DIR", dir)...).Replace(apiConfig)
	mqttAddress, _, _ = startGateway(t, text, deps{control: true})
	path := filepath.Join(dir, "dunlin.sock")
	t.Setenv("DUNLIN_SOCKET", path)
	return overSocket(t, path), &remote{t: t, base: "http://127.0.0.1:" + free}, mqttAddress
}

func overSocket(t *testing.T, path string) *remote {
	r := &remote{t: t, base: "http://dunlin", http: http.Client{Transport: &http.Transport{
		ExpectContinueTimeout: time.Minute,
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return api.Dial(ctx, path) },
	}}}
	t.Cleanup(r.http.CloseIdleConnections)
	return r
}

func (r *remote) do(method, target, body string, fields ...string) answer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.base+target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
		if fields[i] == "Host" {
			req.Host = fields[i+1]
		}
	}
	got, err := r.http.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	return answer{got.StatusCode, got.Header.Get("Content-Type"), string(b), got.Header}
}

// read gets a document.
func (r *remote) read(target string, doc any) {
	r.t.Helper()
	a := r.do("GET", target, "")
	if a.status != 200 || a.contentType != "application/json" {
		r.t.Fatalf("GET %s: %d %s %s", target, a.status, a.contentType, a.body)
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(doc); err != nil {
		r.t.Fatalf("GET %s: %v in %s", target, err, a.body)
	}
}

// until asks again until ok, for half a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestAPIDocuments(t *testing.T) {
	socket, _, address := startAPI(t)
	code, _, stderr := runTool(t, "pub", "-L", "mqtt://"+address+"/a/b", "-m", "21.5", "-r", "-q", "1")
	if code != exitDone {
		t.Fatal(stderr)
	}
	var s api.Status
	until(t, "the device is online and the bridge down", func() bool {
		s = api.Status{}
		socket.read("/api/v1/status", &s)
		return s.Devices[0].State == "online" && s.Bridges[0].State == "down"
	})
	if s.API != "v1" || s.Node != "barn" || s.Uptime <= 0 || s.Memory <= 0 || s.CPU <= 0 || s.Store.Mode != "ok" {
		t.Errorf("status: %+v", s)
	}
	d, b := s.Devices[0], s.Bridges[0]
	if d.Name != "tank" || d.Driver != "sim" || len(d.Values) != 1 || d.Values[0].Value != 12.5 || d.Values[0].Unit != "cm" || d.Age < 0 {
		t.Errorf("device: %+v", d)
	}
	if b.Name != "cloud" || b.Class != "tcp" || b.Reason == "" || b.LastAck != -1 {
		t.Errorf("bridge: %+v", b)
	}
	if !slices.ContainsFunc(s.Attention, func(line string) bool { return strings.HasPrefix(line, "bridge cloud is down: ") }) {
		t.Errorf("attention: %q", s.Attention)
	}
	var top api.Topics
	socket.read("/api/v1/topics", &top)
	socket.read("/api/v1/topics?prefix=a", &top)
	if len(top.Topics) != 1 || top.Topics[0] != (api.Topic{Topic: "a/b", Retained: true, Payload: "21.5", Size: 4}) {
		t.Errorf("topics below a: %+v", top)
	}
	var m api.Message
	socket.read("/api/v1/topic?topic=a%2Fb", &m)
	if m.Payload == nil || *m.Payload != "21.5" || m.QoS != 1 || !m.Retain {
		t.Errorf("topic a/b: %+v", m)
	}
	// What the image's first process says is the one thing below $SYS.
	for _, topic := range []string{"$SYS/dunlin/update/slot", "$SYS/dunlin/board/problems"} {
		if a := socket.do("POST", "/api/v1/publish", `{"topic":"`+topic+`","payload":"2","retain":true}`); a.status != 204 {
			t.Errorf("publish %s: %+v", topic, a)
		}
		if a := socket.do("GET", "/api/v1/topic?topic="+topic, ""); !strings.Contains(a.body, `"2"`) {
			t.Errorf("%s is not there: %+v", topic, a)
		}
	}
	if a := socket.do("POST", "/api/v1/publish", `{"topic":"a/c","payload":"on","retain":true}`); a.status != 204 {
		t.Errorf("publish: %+v", a)
	}
	for _, topic := range []string{"/lead/x", "//", "a//c"} {
		if a := socket.do("POST", "/api/v1/publish", `{"topic":"`+topic+`","payload":"`+topic+`","retain":true}`); a.status != 204 {
			t.Errorf("publish %s: %+v", topic, a)
		}
	}
	for prefix, want := range map[string]string{"": "/ /lead a dunlin", "/": "//", "/lead": "/lead/x", "a": "a/ a/b a/c", "a/": "a//c"} {
		top, got := api.Topics{}, []string{}
		socket.read("/api/v1/topics?prefix="+prefix, &top)
		for _, x := range top.Topics {
			got = append(got, x.Topic)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("topics below %q: %q, want %s", prefix, got, want)
		}
	}
	if a := socket.do("DELETE", "/api/v1/retained?filter=a//c", ""); a.status != 200 {
		t.Errorf("clear a//c: %+v", a)
	}
	var cleared api.Cleared
	for _, dry := range []string{"&dry_run=true", ""} {
		a := socket.do("DELETE", "/api/v1/retained?filter=a/%23"+dry, "")
		if err := json.Unmarshal([]byte(a.body), &cleared); err != nil || cleared.Count != 2 || !slices.Equal(cleared.Topics, []string{"a/b", "a/c"}) {
			t.Errorf("clear%s: %v %s", dry, err, a.body)
		}
	}
	if a := socket.do("GET", "/api/v1/topic?topic=a/b", ""); a.status != 404 {
		t.Errorf("a cleared topic: %+v", a)
	}
	if a := socket.do("GET", "/api/v1/backup", ""); a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("backup: %d %v", a.status, a.header)
	}
	var who api.Session
	if socket.read("/api/v1/session", &who); who.Role != "admin" || who.User == "" {
		t.Errorf("who asks over the socket: %+v", who)
	}
}

func TestAPIClients(t *testing.T) {
	socket, _, address := startAPI(t)
	subscribe(t, address, "c/1", "c/2", "d")
	var page api.Clients
	until(t, "three clients are there", func() bool {
		page = api.Clients{}
		socket.read("/api/v1/clients?state=connected&q=c/", &page)
		return page.Total == 2 && socket.do("GET", "/api/v1/clients/d", "").status == 200
	})
	page = api.Clients{}
	socket.read("/api/v1/clients?q=c/&limit=1", &page)
	if len(page.Clients) != 1 || page.Clients[0].ID != "c/1" || page.Cursor != "c/1" || page.Total != 2 {
		t.Errorf("the first page: %+v", page)
	}
	cursor := page.Cursor
	page = api.Clients{}
	socket.read("/api/v1/clients?q=c/&limit=1&cursor="+cursor, &page)
	if len(page.Clients) != 1 || page.Clients[0].ID != "c/2" || page.Cursor != "" {
		t.Errorf("the second page: %+v", page)
	}
	for _, id := range []string{"c%2F1", "c%2F2", "d"} {
		var before, after api.Client
		socket.read("/api/v1/clients/"+id, &before)
		if a := socket.do("DELETE", "/api/v1/clients/"+id, ""); a.status != 204 {
			t.Errorf("ending %s: %+v", id, a)
		}
		until(t, id+" is back from another port", func() bool { // dunlin sub connects again
			a := socket.do("GET", "/api/v1/clients/"+id, "")
			return a.status == 200 && json.Unmarshal([]byte(a.body), &after) == nil && after.Connected && after.Remote != before.Remote
		})
	}
	if a := socket.do("DELETE", "/api/v1/clients/gateway", ""); a.status != 409 {
		t.Errorf("ending the gateway's own client: %+v", a)
	}
}

// subscribe runs clients until the test ends.
func subscribe(t *testing.T, address string, ids ...string) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, id := range ids {
		running.Go(func() {
			dispatch(ctx, []string{"sub", "-L", "mqtt://" + address + "/secret/topic", "-i", id}, streams{strings.NewReader(""), io.Discard, io.Discard})
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// runTool runs a command as main does.
func runTool(t *testing.T, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = dispatch(t.Context(), args, streams{strings.NewReader(""), &out, &err})
	return code, out.String(), err.String()
}

func TestAPIErrorsAreProblems(t *testing.T) {
	socket, port, _ := startAPI(t)
	until(t, "the gateway has its own session", func() bool { return socket.do("GET", "/api/v1/clients/gateway", "").status == 200 })
	for _, tc := range []struct {
		r              *remote
		method, target string
		body           string
		fields         []string
		status         int
	}{
		{socket, "GET", "/nowhere", "", nil, 404},
		{socket, "GET", "/api/v1/clients/none", "", nil, 404},
		{socket, "GET", "/api/v1/clients/", "", nil, 404},
		{socket, "DELETE", "/api/v1/clients/none", "", nil, 404},
		{socket, "DELETE", "/api/v1/clients/none?session=true", "", nil, 404}, {socket, "DELETE", "/api/v1/clients/gateway?session=true", "", nil, 409},
		{socket, "DELETE", "/api/v1/clients/none?session=yes", "", nil, 400},
		{socket, "PUT", "/api/v1/status", "", nil, 405},
		{socket, "GET", "/api/v1/status?x=1", "", nil, 400},
		{socket, "GET", "/api/v1/clients?limit=0", "", nil, 400},
		{socket, "GET", "/api/v1/clients?state=dead", "", nil, 400},
		{socket, "GET", "/api/v1/logs?level=loud", "", nil, 400},
		{socket, "GET", "/readyz?include=bridge:other", "", nil, 400},
		{socket, "GET", "/api/v1/clients?q=%zz", "", nil, 400},
		{socket, "GET", "/api/v1/topic?topic=%23", "", nil, 400},
		{socket, "GET", "/api/v1/topics?prefix=a/%23", "", nil, 400},
		{socket, "POST", "/api/v1/publish", "{", nil, 400},
		{socket, "POST", "/api/v1/publish", `{"topic":"a","qos":3}`, nil, 400},
		{socket, "POST", "/api/v1/publish", `{"topic":"a","retian":true}`, nil, 400},
		{socket, "POST", "/api/v1/publish", `{"topic":"a"}{"topic":"b"}`, nil, 400},
		{socket, "POST", "/api/v1/publish", `{"topic":"a","payload":"x","payload_b64":"eA=="}`, nil, 400},
		{socket, "POST", "/api/v1/reload?dry_run=1", "", nil, 400},
		{socket, "DELETE", "/api/v1/retained?filter=a/%23&dry_run=TRUE", "", nil, 400},
		{socket, "DELETE", "/api/v1/retained?filter=a/%23&dry_run", "", nil, 400},
		{socket, "POST", "/api/v1/publish", `{"topic":"a/+"}`, nil, 400},
		{socket, "POST", "/api/v1/publish", `{"topic":"$SYS/x"}`, nil, 403},
		{socket, "DELETE", "/api/v1/retained?filter=$SYS/%23", "", nil, 403},
		{socket, "POST", "/api/v1/publish", strings.Repeat("x", 2<<20), []string{"Expect", "100-continue"}, 413},
		{port, "GET", "/api/v1/status", "", nil, 401},
		{port, "GET", "/api/v1/status", "", []string{"Authorization", "Bearer wrong"}, 401},
		{port, "GET", "/api/v1/status", "", []string{"Authorization", "Basic see-but-do-not-touch"}, 401},
		{port, "POST", "/api/v1/publish", "{}", []string{"Authorization", "Bearer see-but-do-not-touch"}, 403},
		{port, "POST", "/api/v1/publish", "{}", []string{"Authorization", "Bearer do-as-you-like", "Origin", "http://evil.example"}, 403},
		{port, "POST", "/api/v1/publish", "{}", []string{"Authorization", "Bearer do-as-you-like", "Sec-Fetch-Site", "cross-site"}, 403},
		{port, "GET", "/livez", "", []string{"Host", "evil.example"}, 403},
	} {
		a := tc.r.do(tc.method, tc.target, tc.body, tc.fields...)
		var p api.Problem
		err := json.Unmarshal([]byte(a.body), &p)
		if (a.header.Get("WWW-Authenticate") != "") != (a.status == 401) { // RFC 9110, 15.5.2
			t.Errorf("%s %s %v: %d with %v", tc.method, tc.target, tc.fields, a.status, a.header)
		}
		if a.status != tc.status || a.contentType != "application/problem+json" || err != nil || p.Status != tc.status || p.Title == "" {
			t.Errorf("%s %s %v: %d %s %s (%v), want problem %d", tc.method, tc.target, tc.fields, a.status, a.contentType, a.body, err, tc.status)
		}
	}
}

// A link that is down makes nobody unready but who asks for it.
func TestReadyIncludes(t *testing.T) {
	_, port, _ := startAPI(t)
	until(t, "the device counts", func() bool { return port.do("GET", "/readyz?include=device:tank", "").status == 200 })
	a := port.do("GET", "/readyz?verbose&include=device:tank,bridge:cloud", "")
	if a.status != 503 || !strings.HasSuffix(a.body, "[+]device:tank ok\n[-]bridge:cloud failed\n") {
		t.Errorf("%+v", a)
	}
	if a := port.do("GET", "/readyz", ""); a.status != 200 {
		t.Errorf("%+v", a)
	}
}

func TestAPIRoles(t *testing.T) {
	_, port, _ := startAPI(t)
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	for _, tc := range []struct {
		method, target, token string
		status                int
	}{
		{"GET", "/livez", "", 200}, {"GET", "/readyz?verbose", "", 200}, {"GET", "/metrics", "", 200}, {"GET", "/api/v1/version", "", 200},
		{"GET", "/api/v1/status", "see-but-do-not-touch", 200}, {"GET", "/api/v1/clients", "see-but-do-not-touch", 200},
		{"DELETE", "/api/v1/clients/none", "see-but-do-not-touch", 403}, {"DELETE", "/api/v1/clients/none", "do-as-you-like", 404},
	} {
		var fields []string
		if tc.token != "" {
			fields = bearer(tc.token)
		}
		if a := port.do(tc.method, tc.target, "", fields...); a.status != tc.status {
			t.Errorf("%s %s with %q: %d %s, want %d", tc.method, tc.target, tc.token, a.status, a.body, tc.status)
		}
	}
	// A page of this very origin may act.
	origin := append(bearer("do-as-you-like"), "Origin", port.base)
	if a := port.do("POST", "/api/v1/publish", `{"topic":"a"}`, origin...); a.status != 204 {
		t.Errorf("a POST of the same origin: %+v", a)
	}
	// Guessing is slowed down; a token that was right before is heard.
	for i, want := range []int{401, 401, 401, 401, 401, 429, 429} {
		if a := port.do("GET", "/api/v1/status", "", bearer("guess")...); a.status != want || (a.header.Get("Retry-After") != "") != (want == 429) {
			t.Errorf("guess %d: %d %s", i, a.status, a.body)
		}
	}
	if a := port.do("GET", "/api/v1/status", "", bearer("do-as-you-like")...); a.status != 200 {
		t.Errorf("the right token after the guesses: %d %s", a.status, a.body)
	}
}

func TestMetricsAreForWhomTheConfigurationSays(t *testing.T) {
	for setting, want := range map[string][2]int{"token": {401, 200}, "none": {401, 403}} {
		_, port, _ := startAPI(t, "http:\n", "http:\n  metrics: "+setting+"\n")
		without, with := port.do("GET", "/metrics", ""), port.do("GET", "/metrics", "", "Authorization", "Bearer see-but-do-not-touch")
		if without.status != want[0] || with.status != want[1] {
			t.Errorf("metrics: %s: %d without a token, %d with one; want %v", setting, without.status, with.status, want)
		}
	}
}

// TestMetricsAreClean holds what promlint asks, and that no label names a
// client, a topic or an address.
func TestMetricsAreClean(t *testing.T) {
	authority := certificateFor(t, -time.Hour, time.Hour)
	socket, _, address := startAPI(t, `servers: ["mqtt://127.0.0.1:1"]`, `servers: ["mqtts://127.0.0.1:1"], tls: {ca: "`+authority+`"}, spool: {max_size: 8MiB}`)
	subscribe(t, address, "secret-client")
	until(t, "the client is there", func() bool { return socket.do("GET", "/api/v1/clients/secret-client", "").status == 200 })
	a := socket.do("GET", "/metrics", "")
	if a.status != 200 || a.contentType != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("%+v", a)
	}
	if strings.Contains(a.body, "secret") {
		t.Error("metrics name a client or a topic")
	}
	for _, fault := range lintMetrics(a.body) {
		t.Error(fault)
	}
	for _, want := range []string{"\ndunlin_storage_free_bytes ", "\nprocess_start_time_seconds 1", "\ndunlin_tls_certificate_not_after_timestamp_seconds{use=\"ca:cloud\"} 1"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, want := range []string{`dunlin_spool_max_bytes{bridge="cloud"} 8.388608e+06`, `dunlin_mqtt_sessions{state="connected"} 1`, `dunlin_sensor_value{sensor="tank",field="level",unit="cm"} 12.5`, `dunlin_bridge_up{bridge="cloud"} 0`} {
		until(t, want, func() bool { return strings.Contains(socket.do("GET", "/metrics", "").body, want+"\n") })
	}
}

func TestLintMetricsFindsFaults(t *testing.T) {
	const head = "# HELP x_total Help.\n# TYPE x_total counter\n"
	for _, text := range []string{
		"x 1\n", "# HELP x Help.\nx 1\n", "# TYPE x gauge\nx 1\n", head + "x_total one\n", head + "x_total{a=\"1\",a=\"2\"} 1\n", head + "x_total 1\nx_total 1\n",
		"# HELP x Help.\n# TYPE x counter\nx 1\n", "# HELP x_total Help.\n# TYPE x_total gauge\nx_total 1\n", "# HELP x_ms Help.\n# TYPE x_ms gauge\nx_ms 1\n",
		head + "x_total{client_id=\"a\"} 1\n", head + "y_total 1\n", head + head, "# HELP xY Help.\n# TYPE xY gauge\nxY 1\n", head + "x_total -1\n",
	} {
		if len(lintMetrics(text)) == 0 {
			t.Errorf("no fault found in\n%s", text)
		}
	}
}

var sampleLine = regexp.MustCompile(`^([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+\})? (-?[0-9.e+-]+)$`)
var labelNames = regexp.MustCompile(`([a-z_]+)="`)

// lintMetrics returns what is wrong in an exposition.
func lintMetrics(text string) (faults []string) {
	kind, help, seen, name := map[string]string{}, map[string]bool{}, map[string]bool{}, ""
	fault := func(what string, line string) { faults = append(faults, what+": "+line) }
	if !strings.HasSuffix(text, "\n") {
		fault("no line end", "at the end")
	}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		words := strings.SplitN(line, " ", 4)
		switch {
		case strings.HasPrefix(line, "# HELP "):
			if name = words[2]; help[name] || len(words) < 4 || !strings.HasSuffix(line, ".") {
				fault("HELP twice, or no sentence", line)
			}
			help[name] = true
		case strings.HasPrefix(line, "# TYPE "):
			if kind[words[2]] != "" || words[2] != name || words[3] != "gauge" && words[3] != "counter" {
				fault("TYPE", line)
			}
			if kind[name] = words[3]; (words[3] == "counter") != strings.HasSuffix(name, "_total") {
				fault("counters, and only they, end in _total", line)
			}
			for _, unit := range []string{"_ms", "_milliseconds", "_kb", "_percent", "_minutes"} {
				if strings.Contains(name, unit) {
					fault("not a base unit", line)
				}
			}
		default:
			m := sampleLine.FindStringSubmatch(line)
			if m == nil {
				fault("no sample", line)
				continue
			}
			if m[1] != name || kind[name] == "" || !help[name] || seen[m[1]+m[2]] {
				fault("a sample outside its family, or twice", line)
			}
			seen[m[1]+m[2]] = true
			if kind[name] == "counter" && strings.HasPrefix(m[3], "-") {
				fault("a counter below zero", line)
			}
			var names []string
			for _, l := range labelNames.FindAllStringSubmatch(m[2], -1) {
				if slices.Contains(names, l[1]) || slices.Contains([]string{"client_id", "client", "topic", "remote", "address"}, l[1]) {
					fault("a label twice, or without bound", line)
				}
				names = append(names, l[1])
			}
		}
	}
	return faults
}

func TestAPIEvents(t *testing.T) {
	socket, _, _ := startAPI(t)
	for query, second := range map[string]string{"": "status", "?changes=false": "status", "?changes=true": "changes"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://dunlin/api/v1/events"+query, nil)
		got, err := socket.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		var text string
		for b := make([]byte, 64<<10); strings.Count(text, "\n\n") < 2; {
			n, err := got.Body.Read(b)
			if text += string(b[:n]); err != nil {
				t.Fatal(err)
			}
		}
		events := strings.Split(text, "\n\n")
		for i, name := range []string{"status", second} {
			var s api.Status
			data, ok := strings.CutPrefix(events[i], "event: "+name+"\ndata: ")
			if err := json.Unmarshal([]byte(data), &s); !ok || err != nil || s.Node != "barn" {
				t.Errorf("%s: %v in %q", query, err, events[i])
			}
		}
	}
}

// The socket of a gateway that was killed is replaced; one that is answered
// stays with who has it; a port that the file names must be free.
func TestAPIBinds(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := load(t, "mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\nhttp: {bind: \""+taken.Addr().String()+"\"}\n")
	cfg.DataDir = "/proc/nowhere"
	if _, err := wire(cfg, deps{log: slog.New(slog.DiscardHandler), control: true, volatile: true}); err == nil || !strings.HasPrefix(err.Error(), "http.bind: ") {
		t.Errorf("a taken http.bind: %v", err)
	}
}

// A device is read, paused and opened again by those who may.
func TestAPIAsksDevices(t *testing.T) {
	socket, port, _ := startAPI(t)
	device := func() (d api.Device) {
		var all []api.Device
		socket.read("/api/v1/devices", &all)
		return all[0]
	}
	until(t, "the device is online", func() bool { return device().State == "online" })
	if a := socket.do("POST", "/api/v1/devices/tank/read", ""); a.status != 204 {
		t.Errorf("%+v", a)
	}
	if a := socket.do("POST", "/api/v1/devices/tank/pause", ""); a.status != 204 {
		t.Errorf("%+v", a)
	}
	until(t, "the device is paused", func() bool { d := device(); return d.State == "offline" && d.Reason == "paused" })
	var s api.Status
	if socket.read("/api/v1/status", &s); !slices.Contains(s.Attention, "device tank is paused") {
		t.Errorf("nobody is told: %v", s.Attention)
	}
	if a := socket.do("POST", "/api/v1/devices/tank/resume", ""); a.status != 204 {
		t.Errorf("%+v", a)
	}
	until(t, "the device is online again", func() bool { return device().State == "online" })
	if a := socket.do("POST", "/api/v1/devices/none/read", ""); a.status != 404 || a.contentType != "application/problem+json" {
		t.Errorf("%+v", a)
	}
	if a := port.do("POST", "/api/v1/devices/tank/pause", "", "Authorization", "Bearer see-but-do-not-touch"); a.status != 403 {
		t.Errorf("a viewer: %+v", a)
	}
}

// 'dunlin doctor' and 'dunlin scan' from within, for those who may act.
func TestAPILooksAtTheMachine(t *testing.T) {
	socket, port, _ := startAPI(t)
	until(t, "the bridge is down", func() bool {
		var b api.Bridge
		socket.read("/api/v1/bridges/cloud", &b)
		return b.State == "down"
	})
	var found api.Diagnosis
	socket.read("/api/v1/doctor", &found)
	if !slices.ContainsFunc(found.Found, func(f api.Finding) bool { return f.Check == "bridges" && f.Why != "" && f.Cure != "" }) {
		t.Errorf("the bridge is not among %+v", found)
	}
	var report scan.Report
	a := socket.do("POST", "/api/v1/scan?bus=i2c-77", "")
	if err := json.Unmarshal([]byte(a.body), &report); a.status != 200 || err != nil || !slices.Contains(report.Skipped, "i2c-77: there is no such I2C bus") || !strings.Contains(report.YAML, "devices:") {
		t.Errorf("scan: %+v, %v", a, err)
	}
	if a := socket.do("POST", "/api/v1/scan?all=1", ""); a.status != 400 {
		t.Errorf("scan?all=1: %+v", a)
	}
	for _, ask := range [][2]string{{"GET", "/api/v1/doctor"}, {"POST", "/api/v1/scan"}, {"POST", "/api/v1/bridges/cloud/reconnect"}} {
		if a := port.do(ask[0], ask[1], "", "Authorization", "Bearer see-but-do-not-touch"); a.status != 403 {
			t.Errorf("%v for a viewer: %+v", ask, a)
		}
	}
	var d api.Device
	if socket.read("/api/v1/devices/tank", &d); d.Driver != "sim" {
		t.Errorf("one device: %+v", d)
	}
	if a := socket.do("GET", "/api/v1/devices/none", ""); a.status != 404 {
		t.Errorf("no device: %+v", a)
	}
}
