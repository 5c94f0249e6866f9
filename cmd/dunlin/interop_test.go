package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
)

// toolTimeout bounds one run of a tool.
const toolTimeout = 20 * time.Second

// result is what a run of a tool left behind.
type result struct {
	out, err string
	code     int
}

// mosquitto runs mosquitto_sub or mosquitto_pub.
func mosquitto(t *testing.T, tool, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), toolTimeout)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "mosquitto_"+tool, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.Env = append(os.Environ(), "TZ=UTC")
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("mosquitto_%s %q did not end", tool, args)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// dunlin runs a command of this program.
func dunlin(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), toolTimeout)
	defer cancel()
	var out, errs bytes.Buffer
	code := dispatch(ctx, args, streams{strings.NewReader(stdin), &out, &errs})
	if ctx.Err() != nil {
		t.Fatalf("dunlin %q did not end", args)
	}
	return result{out.String(), errs.String(), code}
}

// upstream is a mosquitto with its clients installed.
func upstream(t *testing.T, extra ...string) *bridgetest.Server {
	t.Helper()
	s := bridgetest.Mosquitto(t, extra...)
	needClients(t)
	return s
}

// needClients skips where mosquitto's clients are not installed; in CI that
// is a failure.
func needClients(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("mosquitto_sub")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("mosquitto's clients are needed here: %v", err)
	default:
		t.Skip("mosquitto's clients are not installed")
	}
}

func port(s *bridgetest.Server) []string { return []string{"-p", strconv.Itoa(s.Port())} }

// tst is the time in mosquitto_sub's JSON: that of 2.0.11 is not valid.
var tst = regexp.MustCompile(`"tst":(\t?)"[^"]*"`)

func same(t *testing.T, theirs, ours result) {
	t.Helper()
	theirs.out = tst.ReplaceAllString(theirs.out, `"tst":$1"T"`)
	ours.out = tst.ReplaceAllString(ours.out, `"tst":$1"T"`)
	if theirs.out != ours.out {
		t.Errorf("output differs\nmosquitto %q\ndunlin    %q", theirs.out, ours.out)
	}
	if theirs.code != ours.code {
		t.Errorf("exit code of mosquitto %d, of dunlin %d (%s)", theirs.code, ours.code, ours.err)
	}
}

func fill(t *testing.T, s *bridgetest.Server) {
	t.Helper()
	for _, args := range [][]string{
		{"-t", "a/text", "-m", "hello"},
		{"-t", "a/json", "-m", `{"v": 21.5, "list": [1, 2, {"deep": true}], "s": "x\"y"}`, "-q", "1"},
		{"-t", "a/utf", "-m", "21 °C", "-q", "2"},
		{"-t", "b/long/topic/name", "-m", strings.Repeat("0123456789", 30)},
		{"-t", "p/all", "-m", "x", "-V", "5", "-q", "1",
			"-D", "publish", "user-property", "k", "v", "-D", "publish", "user-property", "k2", "v 2",
			"-D", "publish", "payload-format-indicator", "1", "-D", "publish", "content-type", "text/plain",
			"-D", "publish", "response-topic", "re/ply", "-D", "publish", "correlation-data", "c-d"},
	} {
		if r := mosquitto(t, "pub", "", append(append(port(s), "-r"), args...)...); r.code != 0 {
			t.Fatal(r)
		}
	}
}

func TestSubShowsWhatMosquittoSubShows(t *testing.T) {
	t.Parallel() // it waits more than it works
	s := upstream(t)
	fill(t, s)
	for _, args := range []string{
		"-t|a/#|-C|3",
		"-t|a/#|-C|3|-v",
		"-t|#|-C|5|-v|-q|1",
		"-t|a/text|-t|b/#|-C|2|-v",
		"-t|#|-T|a/+|-C|1|-v",
		"-t|a/text|-C|1|-N",
		"-t|a/text|-C|1|-N|-v",
		"-t|a/#|-q|2|-C|3|-F|%t %q %r %l %m %p",
		"-t|a/#|-q|1|-C|3|-F|%j",
		"-t|a/json|-q|1|-C|1|-F|%J",
		"-t|a/json|-C|1|-F|%J|--pretty",
		"-t|a/text|-C|1|-F|%j|--pretty",
		"-t|a/text|-C|1|-F|[%J]",
		"-t|a/utf|-C|1|-F|%x|%X|%20p|%-20p|%020p|%3p|",
		"-t|a/text|-C|1|-F|%20t/%-20t/%.3t/%10.3t/%-10.3t/%3t",
		"-t|a/text|-C|1|-F|%5l/%-5l/%05l/%5m/%5q/%5r",
		`-t|a/text|-C|1|-F|\a\e\n\r\t\v\\\0 100%% @@`,
		"-t|a/text|-C|1|-F|@Y @m @d @a @A @b @B @C @D @e @F @g @G @h @j @u @U @V @w @W @y @z @Z @Q @E @%",
		"-V|5|-t|p/all|-C|1|-F|%A:%C:%D:%E:%F:%P:%R:%S",
		"-V|5|-t|p/all|-C|1|-F|%5A:%20C:%5E:%05F:%3S",
		"-V|mqttv5|-t|p/all|-C|1|-q|1|-D|subscribe|subscription-identifier|7|-F|%S %p",
		"-V|31|-t|a/text|-C|1",
		"-V|mqttv31|-i|me|-t|a/text|-C|1",
		"-I|prefix-|-t|a/text|-C|1|-k|10",
		"-t|a/#|-E",
		"-t|a/#|-R|-W|1",
		"-t|nothing|-W|1",
		"-t|a/text|-C|2|-W|1",
		"--topic|a/text|--filter-out|b|--verbose|--qos|1|-C|1|--id|x|--keepalive|60",
		"-t|a/text|-C|1|--will-topic|w|--will-payload|gone|--will-qos|1|--will-retain",
		"-t|a/text|-U|zz|-C|1",
		"-V|5|-t|a/text|-C|1|--retain-as-published",
		"-V|5|-c|-i|five|-x|30|-t|a/text|-C|1",
	} {
		t.Run(args, func(t *testing.T) {
			split := splitArgs(args)
			theirs := mosquitto(t, "sub", "", append(port(s), split...)...)
			ours := dunlin(t, "", append(append([]string{"sub"}, port(s)...), split...)...)
			same(t, theirs, ours)
		})
	}
}

// splitArgs splits at '|', except inside the argument of -F, which is last
// where it holds one.
func splitArgs(s string) []string {
	head, format, ok := strings.Cut(s, "|-F|")
	args := strings.Split(head, "|")
	if !ok {
		return args
	}
	args = append(args, "-F")
	if rest, pretty := strings.CutSuffix(format, "|--pretty"); pretty {
		return append(args, rest, "--pretty")
	}
	return append(args, format)
}

// TestSubWithLiveMessages compares what a persistent session brings: messages
// that are not retained.
func TestSubWithLiveMessages(t *testing.T) {
	s := upstream(t)
	for i, args := range [][]string{
		{"-C", "3", "-v"},
		{"-q", "2", "-C", "3", "-F", "%t %q %r %m %p"},
		{"-R", "-C", "3"},
		{"--retained-only", "-W", "5"},
		{"-C", "2", "-V", "5", "-x", "60", "-v"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			var got [2]result
			for j, tool := range []string{"mosquitto", "dunlin"} {
				all := append(port(s), "-c", "-i", fmt.Sprintf("live-%d-%s", i, tool), "-t", "live/#", "-q", "1")
				subscribe := append(append(all, args...), "-E")
				mosquitto(t, "sub", "", subscribe...)
				for n := range 3 {
					mosquitto(t, "pub", "", append(port(s), "-q", "1", "-t", fmt.Sprintf("live/%d", n), "-m", fmt.Sprint("message ", n))...)
				}
				if tool == "mosquitto" {
					got[j] = mosquitto(t, "sub", "", append(all, args...)...)
				} else {
					got[j] = dunlin(t, "", append(append([]string{"sub"}, all...), args...)...)
				}
			}
			same(t, got[0], got[1])
		})
	}
}

func TestSubRemovesRetained(t *testing.T) {
	s := upstream(t)
	fill(t, s)
	if r := dunlin(t, "", append(atPort("sub", s), "-t", "a/#", "-T", "a/utf", "--remove-retained", "-C", "2")...); r.code != 0 {
		t.Fatal(r)
	}
	r := mosquitto(t, "sub", "", append(port(s), "-t", "a/#", "-W", "1", "-v")...)
	if r.out != "a/utf 21 °C\n" {
		t.Errorf("left: %q", r.out)
	}
}

func atPort(command string, s *bridgetest.Server) []string {
	return append([]string{command}, port(s)...)
}

func TestPubSendsWhatMosquittoPubSends(t *testing.T) {
	s := upstream(t, "queue_qos0_messages true")
	file := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(file, bytes.Repeat([]byte("\x00\xff\n"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, tc := range []struct {
		name, stdin string
		args        []string
		n           int // messages that arrive
	}{
		{"message", "", []string{"-m", "hello"}, 1},
		{"QoS 1", "", []string{"-m", "hello", "-q", "1"}, 1},
		{"QoS 2 retained", "", []string{"-m", "hello", "-q", "2", "-r"}, 1},
		{"empty", "", []string{"-n"}, 1},
		{"empty message", "", []string{"-m", ""}, 1},
		{"file", "", []string{"-f", file, "-q", "1"}, 1},
		{"stdin", "two\nlines\n", []string{"-s"}, 1},
		{"lines", "one\n\nthree\nfour", []string{"-l", "-q", "1"}, 4},
		{"lines QoS 0", "one\ntwo\n", []string{"-l"}, 2},
		{"many lines QoS 2", strings.Repeat("line\n", 200), []string{"-l", "-q", "2", "-M", "5"}, 200},
		{"no lines", "", []string{"-l"}, 0},
		{"repeat", "", []string{"-m", "r", "--repeat", "3", "--repeat-delay", "0.01"}, 3},
		{"properties", "", []string{"-m", "p", "-D", "publish", "content-type", "t", "-D", "publish", "user-property", "-m", "-n"}, 1},
		{"topic alias", "", []string{"-m", "p", "-q", "1", "--repeat", "2", "-D", "publish", "topic-alias", "4"}, 2},
		{"3.1", "", []string{"-m", "p", "-V", "31"}, 1},
		{"5", "", []string{"-m", "p", "-V", "mqttv5", "-q", "2"}, 1},
		{"debug", "", []string{"-m", "p", "-d", "-q", "2"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			version := "5"
			if tc.n > 20 {
				version = "311" // mosquitto_sub 2.0.11 ends with a protocol error after 20 QoS 2 messages in 5
			}
			observer := append(port(s), "-V", version, "-c", "-q", "2", "-i", fmt.Sprint("observer", i), "-t", fmt.Sprintf("pub/%d", i))
			mosquitto(t, "sub", "", append(observer, "-E")...)
			args := append([]string{"-t", fmt.Sprintf("pub/%d", i)}, tc.args...)
			theirs := mosquitto(t, "pub", tc.stdin, append(port(s), args...)...)
			ours := dunlin(t, tc.stdin, append(atPort("pub", s), args...)...)
			same(t, theirs, ours)
			if tc.n == 0 {
				return
			}
			r := mosquitto(t, "sub", "", append(observer, "-C", fmt.Sprint(2*tc.n), "-W", "5", "-F", "%q %r %l %P %C %x")...)
			lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
			if r.code != 0 || len(lines) != 2*tc.n {
				t.Fatalf("%d messages arrived, want %d (code %d)", len(lines), 2*tc.n, r.code)
			}
			for j := range tc.n {
				if lines[j] != lines[tc.n+j] {
					t.Errorf("message %d: mosquitto_pub sent %.80q, dunlin %.80q", j, lines[j], lines[tc.n+j])
				}
			}
		})
	}
}

func TestPositionalArguments(t *testing.T) {
	s := upstream(t)
	if r := dunlin(t, "", append(atPort("pub", s), "-r", "lamp/set", "on")...); r.code != 0 {
		t.Fatal(r)
	}
	if r := dunlin(t, "", append(atPort("sub", s), "lamp/#", "-C", "1", "-v")...); r.out != "lamp/set on\n" {
		t.Errorf("got %+v", r)
	}
}

func TestURLs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mqtt.sock")
	s := upstream(t, "listener 0 "+socket, "allow_anonymous true")
	fill(t, s)
	for _, args := range [][]string{
		{"-L", s.URL() + "/a/text", "-C", "1"},
		{"-L", s.URL() + "/a/text", "-t", "a/utf", "-C", "2"},
		{"--unix", socket, "-t", "a/text", "-C", "1"},
	} {
		same(t, mosquitto(t, "sub", "", args...), dunlin(t, "", append([]string{"sub"}, args...)...))
	}
	for _, url := range []string{s.URL(), "unix://" + socket} {
		t.Setenv("DUNLIN_URL", url)
		if r := dunlin(t, "", "sub", "-t", "a/text", "-C", "1"); r.out != "hello\n" {
			t.Errorf("DUNLIN_URL=%s: %+v", url, r)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := upstream(t, "allow_anonymous false")
	for _, args := range [][]string{{"-V", "311"}, {"-V", "31"}, {"-V", "5"}, {"-V", "311", "-u", "me", "-P", "wrong"}, {"-V", "5", "--quiet"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			sub := append(append(port(s), "-t", "a"), args...)
			theirs, ours := mosquitto(t, "sub", "", sub...), dunlin(t, "", append([]string{"sub"}, sub...)...)
			same(t, theirs, ours)
			if theirs.err != ours.err {
				t.Errorf("mosquitto said %q, dunlin %q", theirs.err, ours.err)
			}
			pub := append(sub, "-m", "x")
			same(t, mosquitto(t, "pub", "", pub...), dunlin(t, "", append([]string{"pub"}, pub...)...))
		})
	}
}

func TestUnreachable(t *testing.T) {
	for _, command := range []string{"sub", "pub"} {
		args := []string{command, "-p", "1", "-t", "a"}
		if command == "pub" {
			args = append(args, "-m", "x")
		}
		r := dunlin(t, "", args...)
		if r.code != exitUnreachable || r.err != "Error: cannot reach localhost:1: connection refused\n" {
			t.Errorf("got %+v", r)
		}
	}
}

func TestSubConnectsAgain(t *testing.T) {
	s := upstream(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	events := newWatch()
	done := make(chan int, 1)
	go func() {
		done <- dispatch(ctx, append(atPort("sub", s), "-t", "again", "-q", "1", "-d"), streams{strings.NewReader(""), events, events})
	}()
	events.await(t, "Subscribed")
	s.Restart()
	events.await(t, "connecting again")
	events.await(t, "Subscribed")
	if r := dunlin(t, "", append(atPort("pub", s), "-t", "again", "-m", "still here", "-q", "1")...); r.code != 0 {
		t.Fatal(r)
	}
	events.await(t, "still here")
	cancel(errInterrupted)
	if code := <-done; code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

func TestPubLinesSurviveARestart(t *testing.T) {
	s := upstream(t)
	observer := append(port(s), "-c", "-q", "1", "-i", "observer", "-t", "lines")
	mosquitto(t, "sub", "", append(observer, "-E")...)
	in, feed := newFeed()
	events := newWatch()
	done := make(chan int, 1)
	go func() {
		done <- dispatch(t.Context(), append(atPort("pub", s), "-t", "lines", "-l", "-q", "1", "-d"), streams{in, events, events})
	}()
	feed("one\n")
	events.await(t, "received PUBACK")
	s.Restart()
	events.await(t, "connecting again")
	feed("two\n")
	events.await(t, "received PUBACK")
	in.Close()
	if code := <-done; code != exitDone {
		t.Errorf("exit code %d", code)
	}
	r := mosquitto(t, "sub", "", append(observer, "-C", "2", "-W", "5")...)
	if r.out != "one\ntwo\n" {
		t.Errorf("arrived: %q", r.out)
	}
}

func TestInterruptedBeforeConnecting(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	var out bytes.Buffer
	code := dispatch(ctx, []string{"sub", "-t", "a"}, streams{strings.NewReader(""), &out, &out})
	if code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}
