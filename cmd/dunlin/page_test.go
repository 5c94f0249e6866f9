//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

// startPage runs a gateway with users: alice may act, bob may look. rules are
// what auth.rules has.
func startPage(t *testing.T, rules ...string) (socket, port *remote) {
	t.Helper()
	users := filepath.Join(t.TempDir(), "users")
	text := ""
	for _, name := range []string{"alice", "bob"} {
		hash, err := broker.HashPassword([]byte("password of "+name), broker.DefaultHashCost(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		text += name + ":" + hash + "\n"
	}
	if err := os.WriteFile(users, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	auth := "auth: {users_file: " + users + ", admins: [alice]"
	if rules != nil {
		auth += ", rules: [" + strings.Join(rules, ", ") + "]"
	}
	socket, port, _ = startAPI(t, "node: barn\n", "node: barn\nhistory: {step: 1s}\n"+auth+"}\n")
	return socket, port
}

func logIn(port *remote, user, password string) (a answer, cookie string) {
	body, _ := json.Marshal(map[string]string{"user": user, "password": password})
	a = port.do("POST", "/api/v1/login", string(body))
	cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	return a, cookie
}

func TestPageLogin(t *testing.T) {
	_, port := startPage(t)
	page := port.do("GET", "/", "")
	if page.status != 200 || page.contentType != "text/html; charset=utf-8" || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page: %d %s, %s", page.status, page.contentType, page.header.Get("Content-Security-Policy"))
	}
	// http.Client takes gzip by itself, and takes it apart; others want it plain.
	if bare := port.do("GET", "/", "", "Accept-Encoding", "identity"); bare.body != page.body || bare.header.Get("Content-Encoding") != "" {
		t.Errorf("without gzip: %v %.40q", bare.header, bare.body)
	}
	if none := port.do("GET", "/", "", "Accept-Encoding", "br, gzip;q=0.0, identity"); none.body != page.body || none.header.Get("Content-Encoding") != "" {
		t.Errorf("with gzip refused: %v %.40q", none.header, none.body)
	}
	if got := port.do("GET", "/", "", "Accept-Encoding", "gzip;q=0.5"); got.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("with gzip of little weight: %v", got.header)
	}
	if got := port.do("GET", "/", "", "Accept-Encoding", "br, gzip"); got.header.Get("Content-Encoding") != "gzip" || got.body == page.body {
		t.Errorf("with gzip: %v", got.header)
	}
	if got := port.do("GET", "/api/v1/status", ""); got.status != 401 {
		t.Errorf("without a login: %d", got.status)
	}
	if got, cookie := logIn(port, "alice", "a guess"); got.status != 401 || cookie != "" || got.contentType != "application/problem+json" {
		t.Errorf("a wrong password: %d, cookie %q", got.status, cookie)
	}
	in, alice := logIn(port, "alice", "password of alice")
	if in.status != 200 || !strings.Contains(in.body, `"role":"admin"`) || !strings.Contains(in.header.Get("Set-Cookie"), "; HttpOnly; SameSite=Strict") {
		t.Fatalf("alice: %d %s, %s", in.status, in.body, in.header.Get("Set-Cookie"))
	}
	_, bob := logIn(port, "bob", "password of bob")
	_, script := logIn(port, "", "do-as-you-like") // a token of http.tokens
	looking := port.stream("/api/v1/events", "Cookie", alice)
	for _, c := range []struct {
		method, path, cookie string
		want                 int
		fields               []string
	}{
		{"GET", "/api/v1/status", alice, 200, nil},
		{"GET", "/api/v1/config", bob, 200, nil},
		{"DELETE", "/api/v1/retained?filter=none", bob, 403, nil},
		{"POST", "/api/v1/config/check", bob, 403, nil},
		{"DELETE", "/api/v1/retained?filter=none", alice, 200, nil},
		{"DELETE", "/api/v1/retained?filter=none", alice, 403, []string{"Origin", "http://elsewhere.example"}},
		{"POST", "/api/v1/login", "", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"DELETE", "/api/v1/retained?filter=none", script, 200, nil},
		{"GET", "/api/v1/status", alice + "x", 401, nil},
		{"POST", "/api/v1/logout", alice, 204, nil},
		{"GET", "/api/v1/status", alice, 401, nil},
	} {
		got := port.do(c.method, c.path, "", append(c.fields, "Cookie", c.cookie)...)
		if got.status != c.want {
			t.Errorf("%s %s with %.8q %v: %d, want %d: %s", c.method, c.path, c.cookie, c.fields, got.status, c.want, got.body)
		}
	}
	for looking.text.Scan() { // to its end
	}
	if err := looking.text.Err(); err != nil {
		t.Errorf("a stream goes on after the logout: %v", err)
	}
	for range 5 {
		logIn(port, "bob", "a guess")
	}
	for _, c := range []struct {
		user, password string
		want           int
	}{{"bob", "a guess", 429}, {"bob", "password of bob", 200}, {"alice", "a guess", 401}} {
		if got, _ := logIn(port, c.user, c.password); got.status != c.want {
			t.Errorf("after five wrong passwords, %s with %s: %d, want %d", c.user, c.password, got.status, c.want)
		}
	}
}

// Who finds the line of password checks full did not say a wrong password.
func TestPageLoginWhileManyLogIn(t *testing.T) {
	const people = 24 // 17 fit
	text, salt := "", "saltsaltsalt"
	sum, err := pbkdf2.Key(sha512.New, "right", []byte(salt), 200_000, sha512.Size)
	if err != nil {
		t.Fatal(err)
	}
	for i := range people {
		text += fmt.Sprintf("user%d:$7$200000$%s$%s\n", i, base64.StdEncoding.EncodeToString([]byte(salt)), base64.StdEncoding.EncodeToString(sum))
	}
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := startAPI(t, "node: barn\n", "node: barn\nauth: {users_file: "+users+"}\n")
	answers := make(chan int, people)
	for i := range people {
		go func() {
			a, _ := logIn(port, fmt.Sprint("user", i), "right")
			answers <- a.status
		}()
	}
	got := map[int]int{}
	for range people {
		got[<-answers]++
	}
	if got[503] == 0 || got[200]+got[503] != people {
		t.Errorf("answers by status: %v, want 200 and 503", got)
	}
}

func TestPageLooks(t *testing.T) {
	_, port := startPage(t)
	_, cookie := logIn(port, "bob", "password of bob")
	settings := port.do("GET", "/api/v1/config", "", "Cookie", cookie).body
	for _, secret := range []string{"see-but-do-not-touch", "do-as-you-like"} {
		if strings.Contains(settings, secret) {
			t.Errorf("the configuration shows the token %s", secret)
		}
	}
	if !strings.Contains(settings, `"path":"http.tokens.act.token","value":"***"`) {
		t.Errorf("the configuration has no token: %s", settings)
	}
	if got := port.do("GET", "/api/v1/logs?level=warn&limit=5", "", "Cookie", cookie); got.status != 200 || !strings.Contains(got.body, `"lines":[`) {
		t.Errorf("logs: %d %s", got.status, got.body)
	}
	var past api.History
	for end := time.Now().Add(30 * time.Second); len(past.Series) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no history in 30 s: %+v", past)
		}
		got := port.do("GET", "/api/v1/history?series=device/tank/&span=60", "", "Cookie", cookie)
		if err := json.Unmarshal([]byte(got.body), &past); got.status != 200 || err != nil {
			t.Fatalf("%d %v %s", got.status, err, got.body)
		}
	}
	if s := past.Series[0]; len(past.Series) != 1 || s.Name != "device/tank/level" || s.Values[len(s.Values)-1] != 12.5 || past.Step != 1 { // the first sample may be older than the first reading
		t.Errorf("the history of the tank is %+v", past)
	}
	if age := float64(time.Now().Unix()) - past.End; age < -2 || age > 20 {
		t.Errorf("the history ends %v s ago", age)
	}
}

// What is checked over the API is what 'dunlin check' says, and goes nowhere.
func TestPageChecks(t *testing.T) {
	socket, _, _ := startAPI(t)
	for text, want := range map[string]string{"node: x\n": `{"valid":true,`, "nod: x\n": `did you mean node?`} {
		if got := socket.do("POST", "/api/v1/config/check", text); got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%q: %d %s", text, got.status, got.body)
		}
	}
}

// The stream of a topic begins with what is retained and goes on with what is
// published; many who watch are refused.
func TestPageWatches(t *testing.T) {
	socket, _, _ := startAPI(t)
	socket.do("POST", "/api/v1/publish", `{"topic":"room/a","payload":"before","retain":true}`)
	if got := socket.do("GET", "/api/v1/watch?filter=a%23", ""); got.status != 400 {
		t.Errorf("a filter that is none: %d", got.status)
	}
	var first *stream
	for range 8 {
		if s := socket.stream("/api/v1/watch?filter=room/%2B"); first == nil {
			first = s
		}
	}
	if got := socket.do("GET", "/api/v1/watch?filter=room/%2B", ""); got.status != 503 {
		t.Errorf("the ninth who watches: %d", got.status)
	}
	for i, want := range []string{"before", "after"} {
		if i > 0 {
			socket.do("POST", "/api/v1/publish", `{"topic":"room/a","payload":"after"}`)
		}
		var got api.Watched
		if err := json.Unmarshal([]byte(first.event(t, "messages")), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) != 1 || *got.Messages[0].Payload != want || got.Messages[0].Retain != (i == 0) {
			t.Errorf("got %+v, want %s", fmt.Sprintf("%+v", got), want)
		}
	}
}

// Who may not read a topic over MQTT reads nothing of it at the page; admins and
// tokens, whose rules are others, do.
func TestPageKeepsToTheRules(t *testing.T) {
	socket, port := startPage(t, `{user: alice, subscribe: ["none"]}`, `{user: bob, subscribe: ["room/+"]}`, `{user: bob, deny: true, subscribe: ["room/b"]}`,
		`{user: bob, subscribe: ["#"], receive: ["hall/a"]}`)
	tell := func(topic string) {
		t.Helper()
		if got := socket.do("POST", "/api/v1/publish", `{"topic":"`+topic+`","payload":"x","retain":true}`); got.status != 204 {
			t.Fatalf("%s: %d %s", topic, got.status, got.body)
		}
	}
	for _, topic := range []string{"room/a", "hall/a", "hall/b", "secret"} {
		tell(topic)
	}
	_, alice := logIn(port, "alice", "password of alice")
	_, bob := logIn(port, "bob", "password of bob")
	_, look := logIn(port, "", "see-but-do-not-touch")
	for cookie, want := range map[string]string{alice: "200 200 200 200", bob: "200 200 403 403", look: "200 200 200 200"} {
		got := ""
		for _, topic := range []string{"room/a", "hall/a", "hall/b", "secret"} {
			got += fmt.Sprint(" ", port.do("GET", "/api/v1/topic?topic="+topic, "", "Cookie", cookie).status)
		}
		if got = got[1:]; got != want {
			t.Errorf("one topic: %s, want %s", got, want)
		}
	}
	if got := port.do("GET", "/api/v1/topics", "", "Cookie", bob).body; strings.Contains(got, "secret") || !strings.Contains(got, `{"topic":"hall","retained":false,"below":1,`) {
		t.Errorf("the tree shows what the rules do not: %s", got)
	}
	watched := port.stream("/api/v1/watch?filter=%23", "Cookie", bob)
	for seen := map[string]bool{}; !seen["room/last"]; {
		var got api.Watched
		if err := json.Unmarshal([]byte(watched.event(t, "messages")), &got); err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Messages {
			if seen[m.Topic] = true; m.Topic != "room/a" && m.Topic != "room/last" && m.Topic != "hall/a" {
				t.Errorf("watched %s", m.Topic)
			}
		}
		tell("secret")
		tell("room/last")
	}
}

// stream is an answer of server-sent events.
type stream struct{ text *bufio.Scanner }

func (r *remote) stream(target string, fields ...string) *stream {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	r.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", r.base+target, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	got, err := r.http.Do(req)
	if err != nil || got.StatusCode != 200 {
		r.t.Fatalf("%s: %v %v", target, got, err)
	}
	r.t.Cleanup(func() { got.Body.Close() })
	return &stream{bufio.NewScanner(got.Body)}
}

// event waits for the next event of a name and returns its data.
func (s *stream) event(t *testing.T, name string) string {
	t.Helper()
	for s.text.Scan() {
		if s.text.Text() == "event: "+name && s.text.Scan() {
			return strings.TrimPrefix(s.text.Text(), "data: ")
		}
	}
	t.Fatalf("the stream ended: %v", s.text.Err())
	return ""
}

// A trace tells what a client does, and the last events of it are kept; never
// a payload.
func TestTraceOfAClient(t *testing.T) {
	socket, _, address := startAPI(t)
	var out, told string
	traced := socket.stream("/api/v1/trace?client=esp-9")
	host, port, _ := strings.Cut(address, ":")
	if r := dunlin(t, "", "pub", "-h", host, "-p", port, "-i", "esp-9", "-t", "room/a", "-m", "nobody's business", "-q", "1"); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	for !strings.Contains(out, "disconnected") {
		var all []api.Traced
		text := traced.event(t, "trace")
		if out += text; json.Unmarshal([]byte(text), &all) != nil {
			t.Fatal(text)
		}
		for _, l := range all {
			told += l.What + " " + l.Topic + "\n"
		}
	}
	for _, want := range []string{"connected \n", "message room/a\n", "disconnected \n"} {
		if !strings.Contains(told, want) {
			t.Errorf("no %q in %q", want, told)
		}
	}
	var c api.Client
	socket.read("/api/v1/clients/esp-9", &c)
	if len(c.Events) != 2 || c.Events[0].What != "connected" || c.Events[1].What != "disconnected" || c.Connected {
		t.Errorf("the client that has gone: %+v", c)
	}
	if strings.Contains(out, "business") {
		t.Error("the trace has a payload")
	}
	if got := socket.do("GET", "/api/v1/trace", ""); got.status != 400 {
		t.Errorf("a trace of nothing: %d", got.status)
	}
	if r := dunlin(t, "", "trace", "esp-9", "--for", "200ms"); r.code != exitDone || !strings.Contains(r.out, "  connected    MQTT 3.1.1 from 127.0.0.1:") || !strings.HasSuffix(r.out, "  disconnected Normal disconnection\n") {
		t.Errorf("of a client that has gone: %+v", r)
	}
	if r := dunlin(t, "", "trace", "esp-8", "--for", "200ms"); r.code != exitDone || r.out != "" || r.err != "No client esp-8 is known yet\n" {
		t.Errorf("of a client that never came: %+v", r)
	}
	for id, want := range map[string]string{"apii": ", did you mean api?", "ESP": ""} {
		if r := dunlin(t, "", "trace", id, "--for", "200ms"); r.err != "No client "+id+" is known yet"+want+"\n" {
			t.Errorf("of a misspelt client: %+v", r)
		}
	}
	for _, long := range []string{"0", "6m"} {
		if r := dunlin(t, "", "trace", "--topic", "room/#", "--for", long); r.code != exitUsage {
			t.Errorf("a trace of %s: %+v", long, r)
		}
	}
	if r := dunlin(t, "", "trace", "--topic", "room/#", "--for", "200ms"); r.code != exitDone || r.err != "" {
		t.Errorf("%+v", r)
	}
}
