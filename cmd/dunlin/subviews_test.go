package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

func TestDifference(t *testing.T) {
	for _, tc := range []struct{ old, now, want string }{
		{"21.4", "21.5", "21.4 → 21.5"},
		{"", "on", "(empty) → on"},
		{`{"a":1,"b":2}`, `{"b":3,"a":1}`, "b: 2 → 3"},
		{`{"a":1,"b":{"c":1,"d":[1]}}`, `{"b":{"c":2,"d":[1]},"e":"x"}`, `+e: "x", -a: 1, b.c: 1 → 2`},
		{`{"a":1}`, `{ "a": 1}`, "(same but for the form)"},
		{`{"a":1}`, `[1]`, `{"a":1} → [1]`},
		{`{"a":1}`, `null`, `{"a":1} → null`},
		{"\xff", "a\x1b[2J", "0xff → a\ufffd[2J"},
	} {
		if got := difference([]byte(tc.old), []byte(tc.now)); got != tc.want {
			t.Errorf("%q to %q: %q, want %q", tc.old, tc.now, got, tc.want)
		}
	}
}

// What is remembered for --diff is bounded; a topic without room starts anew.
func TestDiffViewIsBounded(t *testing.T) {
	v := newDiffView(false)
	show := func(topic, payload string) string {
		line := string(v.line(nil, &client.Message{Topic: topic, Payload: []byte(payload)}, time.Unix(0, 0)))
		return strings.TrimSpace(line[len("15:04:05"):])
	}
	show("a", "1")
	if got := show("a", "2"); !strings.HasSuffix(got, "1 → 2") {
		t.Error(got)
	}
	if got := show("a", "2"); !strings.HasSuffix(got, "(same)") {
		t.Error(got)
	}
	for i := range 20 {
		show(fmt.Sprint("big/", i), strings.Repeat("x", 1<<20))
	}
	held := 0
	for name, b := range v.before {
		held += len(name) + len(b)
	}
	if held != v.bytes || held > mostRemembered || len(v.before) != 8 {
		t.Errorf("%d topics, %d bytes, counted %d", len(v.before), held, v.bytes)
	}
	show("a", strings.Repeat("y", 2<<20))
	if got := show("a", "3"); strings.Contains(got, "→") {
		t.Errorf("%s: it was forgotten", got)
	}
}

func TestRatesAreToldEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := &rates{out: &out}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.run(ctx) }()
		for range 4 {
			time.Sleep(400 * time.Millisecond)
			r.count(nil, &client.Message{Payload: make([]byte, 500)}, time.Now())
		}
		cancel()
		<-done
		lines := strings.Split(out.String(), "\n")
		if len(lines) != 3 || !strings.HasSuffix(lines[0], "  2 messages  2.0/s  1.0 kB/s") || !strings.HasSuffix(lines[1], "  2 messages  3.3/s  1.7 kB/s") {
			t.Errorf("%q", lines)
		}
	})
}

func TestOutputs(t *testing.T) {
	m := client.Message{Topic: "a/b", Payload: []byte("21"), QoS: 1}
	for args, want := range map[string]string{
		"-o payload": "21\n", "-o topic": "a/b 21\n", "-o hex": "3231\n", "-o hex -v": "a/b 3231\n", "-o json -N": `"payload":"21"}`, "-o auto": "21\n", "-F %q": "1\n",
	} {
		sub, code, done := parseSub(append(strings.Fields(args), "#"), streams{nil, io.Discard, t.Output()})
		if done {
			t.Errorf("%s: code %d", args, code)
		} else if got := string(sub.print(nil, &m, time.Now())); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	for args, says := range map[string]string{
		"-o xml": "auto, payload", "-o json --diff": "one of -o", "--rate -F %t": "one of -o", "--since 1ms": "a second or more", "--since 1m -h broker.example": "this machine",
	} {
		if r := dunlin(t, "", append([]string{"sub", "#"}, strings.Fields(args)...)...); r.code != exitUsage || !strings.Contains(r.err, says) {
			t.Errorf("%s: %d %s", args, r.code, r.err)
		}
	}
}

// Whatever of a message goes to a terminal is shown, not obeyed; a pipe gets
// it as it is. What a format says itself stays.
func TestTerminalsObeyNoMessage(t *testing.T) {
	m := client.Message{Topic: "a\x1b[2J\n0", Payload: []byte("x\x1b]0;y\a\n\u202e\u009bz\xff")}
	for args, want := range map[string]string{
		"-v":                  "a\ufffd[2J 0 x\ufffd]0;y\ufffd\n\ufffd\ufffdz\ufffd\n",
		"-N":                  "x\ufffd]0;y\ufffd\n\ufffd\ufffdz\ufffd",
		"-o topic":            "a\ufffd[2J 0 x\ufffd]0;y\ufffd\n\ufffd\ufffdz\ufffd\n",
		"-o payload":          "x\ufffd]0;y\ufffd\n\ufffd\ufffdz\ufffd\n",
		"-F \x1b[1m%t\x1b[0m": "\x1b[1ma\ufffd[2J 0\x1b[0m\n",
		"-F %p":               "x\ufffd]0;y\ufffd\n\ufffd\ufffdz\ufffd\n",
		"-o hex":              "781b5d303b79070ae280aec29b7aff\n",
	} {
		sub, _, done := parseSub(append(strings.Fields(args), "#"), streams{nil, io.Discard, t.Output()})
		if done {
			t.Fatal(args)
		}
		p, err := sub.flags.printer(true, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p(nil, &m, time.Now())); got != want {
			t.Errorf("%s on a terminal: %q, want %q", args, got, want)
		}
		if got := string(sub.print(nil, &m, time.Now())); strings.HasPrefix(args, "-v") && got != "a\x1b[2J\n0 "+string(m.Payload)+"\n" {
			t.Errorf("%s to a pipe: %q", args, got)
		}
	}
}

// --since shows the numbers of the gateway's history as messages, at their
// times, where they changed.
func TestPast(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.String() {
		case "/api/v1/status":
			io.WriteString(w, `{"base":"dunlin/barn"}`)
		case "/api/v1/history?points=2000&series=device%2F&span=60":
			io.WriteString(w, `{"step":10,"end":1000,"series":[{"name":"device/tank/level","values":[null,1.5,1.5,2]},{"name":"device/tank/other","values":[1,2,3,4]},{"name":"device/air/level","values":[7,7,null,8]}]}`)
		default:
			t.Error(r.URL)
		}
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	t.Setenv("DUNLIN_SOCKET", socket)
	var out bytes.Buffer
	sub, _, done := parseSub([]string{"--since", "1m", "-F", "%U %t %p", "-C", "4", "-h", "127.0.0.1", "dunlin/+/+/level", "-T", "+/+/+/other"}, streams{nil, &out, t.Output()})
	if done {
		t.Fatal("wrong usage")
	}
	over, err := sub.past(t.Context())
	if got := strings.ReplaceAll(out.String(), ".000000000", ""); err != nil || !over || got != "970 dunlin/barn/air/level 7\n980 dunlin/barn/tank/level 1.5\n1000 dunlin/barn/air/level 8\n1000 dunlin/barn/tank/level 2\n" {
		t.Errorf("%v %v\n%s", over, err, got)
	}
	t.Setenv("DUNLIN_SOCKET", socket+"0")
	if r := dunlin(t, "", "sub", "-h", "127.0.0.1", "--since", "1m", "#"); r.code != exitUnreachable || !strings.Contains(r.err, "no gateway runs") {
		t.Errorf("%d %s", r.code, r.err)
	}
}
