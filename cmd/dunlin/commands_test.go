package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

func TestOverviewListsEveryCommand(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"--help"}} {
		r := dunlin(t, "", args...)
		if r.code != exitDone || r.err != "" {
			t.Errorf("%q: code %d, %s", args, r.code, r.err)
		}
		for _, c := range commands() {
			if !strings.Contains(r.out, c.name+" ") || !strings.Contains(r.out, c.summary) {
				t.Errorf("%q does not show %s", args, c.name)
			}
		}
	}
}

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	for _, c := range commands() {
		for _, args := range [][]string{{c.name, "--help"}, {"help", c.name}} {
			r := dunlin(t, "", args...)
			if c.name == "help" && args[0] == "help" && args[1] == "help" {
				continue // shows its own help
			}
			if r.code != exitDone || r.err != "" {
				t.Errorf("%q: code %d, stderr %q", args, r.code, r.err)
			}
			if !strings.Contains(r.out, "Usage: dunlin "+c.name) || !strings.Contains(r.out, "Examples:\n  ") {
				t.Errorf("%q shows no usage or no examples:\n%s", args, r.out)
			}
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, tc := range []struct{ args, msg string }{
		{"sbu", `unknown command "sbu", did you mean sub?`},
		{"chekc", "did you mean check?"},
		{"xyzzy", "unknown command \"xyzzy\"\n"},
		{"--verbose", "needs a command before it"},
		{"help nosuch", `unknown command "nosuch"`},
		{"bridge spool", "takes one of list"},
		{"bridge dead", "takes one of list"},
		{"bridge dead show", "takes the name of a bridge and a number"},
		{"bridge dead show cloud", "takes the name of a bridge and a number"},
		{"bridge dead show cloud 1 2", "takes the name of a bridge and a number"},
		{"bridge pause", "takes the name of a bridge"},
		{"bridge pause cloud shed", "takes the name of a bridge"},
		{"bridge dead show cloud x", "takes a number"},
		{"bridge dead show cloud all", "takes a number"},
		{"bridge dead requeue cloud -- -1", "takes a number"},
		{"bridge spool list cloud --limit 0", "1 to 1000"},
		{"bridge spool drain cloud --rate -1", "messages a second"},
		{"sub --formatt x", "unknown flag --formatt, did you mean --format?"},
		{"sub -Z", "'Z'"},
		{"sub", "name a topic"},
		{"sub -t a/#/b", `topic filter "a/#/b"`},
		{"sub -t a -T b+", `topic filter "b+"`},
		{"sub -t a -U b+", `topic filter "b+"`},
		{"sub -t a -C 0", "--count 0"},
		{"sub -t a -C x", `"x"`},
		{"sub -t a -W 0", "--timeout 0"},
		{"sub -t a -q 3", "QoS 3"},
		{"sub -t a -k 4", "keep alive 4"},
		{"sub -t a -q 256", "QoS 256"},
		{"sub -t a -p 65536", "port 65536"},
		{"sub -t a -V 4", "protocol version"},
		{"sub -t a -c", "add -i"},
		{"sub -t a -V 5 -x -1", "add -i"},
		{"sub -t a -V 5 -x soon", "session expiry"},
		{"sub -t a -i a -I b", "-i and -I"},
		{"sub -t a -R --retained-only", "nothing to show"},
		{"sub -t a -F %Q", "invalid format specifier 'Q'"},
		{"sub -t a -L http://x", "URL scheme"},
		{"sub -t a --will-payload x", "--will-topic"},
		{"sub -t a --will-topic a/#", "will topic"},
		{"sub -t a -P x", "-P needs -u"},
		{"sub -t a -D publish", "needs a packet"},
		{"sub -t a -D connect topic-alias 1", "not allowed for connect"},
		{"sub -t a --cert x", "--cert and --key"},
		{"sub -t a --cafile /nonexistent", "authorities"},
		{"sub -t a --tls-version 9 --tls-use-os-certs", "TLS version"},
		{"sub -t a --random-filter 0", "0.1 to 100"},
		{"pub", "both topic and message"},
		{"pub -t a", "one of -m, -f, -s, -l and -n"},
		{"pub -t a -m x -n", "only one type"},
		{"pub -t a/# -m x", `topic "a/#"`},
		{"pub -t a -m x y", `unexpected argument "y"`},
		{"pub a b c", `unexpected argument "c"`},
		{"pub -t a -m x --repeat 0", "--repeat"},
		{"pub -t a -m x --repeat-delay -1", "--repeat-delay"},
		{"pub -t a -m x -M 0", "-M"},
		{"pub -t a -F %p -m x", "'F'"},
		{"passwd", "takes FILE USER"},
		{"passwd -b f u", "takes FILE USER PASSWORD"},
		{"passwd -U f u", "takes FILE"},
		{"passwd -b -D f u p", "only one of"},
		{"passwd --format md5 f u", `not "md5"`},
		{"passwd --format mosquitto --token f u", "mosquitto reads neither"},
		{"passwd --calibrate 1h f u", "up to 10s"},
		{"passwd -c -D f u", "new file"},
		{"version extra", "unexpected argument"},
		{"bench -h test.example", "test.example:1883 is not this machine"},
		{"bench -h 192.0.2.1", "add --i-own-this-broker"},
		{"bench --clients 1001", "--clients must be 1 to 1000"},
		{"bench --rate 0", "--rate must be"},
		{"bench --rate NaN", "--rate must be"},
		{"bench --size 15", "--size must be 16 to"},
		{"bench --duration 0s", "--duration must be"},
		{"bench --rate 1 --duration 10ms", "no message is due"},
		{"bench -c -i x", "keep no session"},
		{"bench x", "takes no arguments"},
		{"check --jsno", "did you mean --json?"},
	} {
		r := dunlin(t, "", strings.Fields(tc.args)...)
		if r.code != exitUsage || r.out != "" || !strings.Contains(r.err, tc.msg) {
			t.Errorf("dunlin %s: code %d, stdout %q, stderr %q, want %q", tc.args, r.code, r.out, r.err, tc.msg)
		}
	}
}

func TestVersionJSON(t *testing.T) {
	var b api.Build
	r := dunlin(t, "", "version", "--json")
	if err := json.Unmarshal([]byte(r.out), &b); err != nil || b.Version == "" || b.Go == "" || b.OS == "" || b.Arch == "" {
		t.Errorf("%v: %s", err, r.out)
	}
	if r := dunlin(t, "", "version"); !strings.HasPrefix(r.out, "dunlin "+b.Version) {
		t.Errorf("got %q", r.out)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", "node: barn\nmqtt: {listeners: [{bind: \"127.0.0.1:1883\", anonymous: true}]}\n")
	bad := write("bad.yaml", "nod: barn\nmqtt: {lisners: []}\n")

	r := dunlin(t, "", "check", good)
	if r.code != exitDone || r.err != "" || r.out != good+" is valid: node barn, 1 listener, 0 devices, 0 bridges\n" {
		t.Errorf("good: %+v", r)
	}
	r = dunlin(t, "", "check", bad, good)
	if r.code != exitConfig || !strings.Contains(r.err, bad+":1:1: error: ") || !strings.Contains(r.err, bad+":2:8: error: ") ||
		!strings.HasSuffix(r.err, bad+": 2 problems\n") || !strings.HasPrefix(r.out, good) {
		t.Errorf("bad: %+v", r)
	}
	r = dunlin(t, "", "check", filepath.Join(dir, "none.yaml"))
	if r.code != exitConfig || !strings.Contains(r.err, "cannot read the file") {
		t.Errorf("none: %+v", r)
	}
	files := write("files.yaml", `node: barn
auth: {users_file: users}
mqtt: {listeners: [{bind: "127.0.0.1:8883", tls: {cert: c.pem, key: k.pem}}]}
bridges:
  cloud: {servers: ["mqtts://127.0.0.1"], tls: {ca: ca.pem}, out: [{from: "a/#"}]}
`)
	r = dunlin(t, "", "check", files)
	for _, want := range []string{
		filepath.Join(dir, "users") + ": error: there is no such file", "= make it with its first user: dunlin passwd " + filepath.Join(dir, "users") + " USER",
		files + ":3:69: error: ", "= put the PEM file there, or correct the path",
		files + ":5:53: error: open " + filepath.Join(dir, "ca.pem"), files + ": 3 problems",
	} {
		if r.code != exitConfig || !strings.Contains(r.err, want) {
			t.Errorf("files that are missing: no %q in %+v", want, r)
		}
	}
	t.Setenv("DUNLIN_CONFIG", good)
	if r := dunlin(t, "", "check"); r.code != exitDone || !strings.HasPrefix(r.out, good) {
		t.Errorf("$DUNLIN_CONFIG: %+v", r)
	}
	if r := dunlin(t, "", "validate", "-c", bad, "--json"); r.code != exitConfig || !strings.HasPrefix(r.out, `{"file":`) || r.err != "" {
		t.Errorf("--json: %+v", r)
	}
}

func TestConfigPath(t *testing.T) {
	t.Setenv("DUNLIN_CONFIG", "/from/environment.yaml")
	if p, ok := configPath("flag.yaml"); p != "flag.yaml" || !ok {
		t.Error(p, ok)
	}
	if p, ok := configPath(""); p != "/from/environment.yaml" || !ok {
		t.Error(p, ok)
	}
	t.Setenv("DUNLIN_CONFIG", "")
	if _, err := os.Stat("/etc/dunlin/dunlin.yaml"); err == nil {
		t.Skip("this machine has a configuration")
	}
	t.Chdir(t.TempDir())
	if p, ok := configPath(""); ok {
		t.Error("found", p)
	}
	if err := os.WriteFile("dunlin.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if p, ok := configPath(""); p != "dunlin.yaml" || !ok {
		t.Error(p, ok)
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"sub", "sbu", 1}, {"format", "formatt", 1}, {"kitten", "sitting", 3}} {
		if d := distance(tc.a, tc.b); d != tc.want {
			t.Errorf("%s, %s: %d, want %d", tc.a, tc.b, d, tc.want)
		}
	}
}

// Flags that every command has may stand before it.
func TestFlagsBeforeTheCommand(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"status", "status"}, {"-q sub -q 1 a", "sub --quiet -q 1 a"}, {"--color never -c f status x", "status --color never -c f x"},
		{"--socket=/s --color=always top", "top --socket=/s --color=always"}, {"--verbose status", "--verbose status"}, {"--color", "--color"}, {"--help", "--help"},
	} {
		if got := strings.Join(commandFirst(strings.Fields(tc.args)), " "); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.args, got, tc.want)
		}
	}
	for _, name := range []string{"NO_COLOR", "CLICOLOR_FORCE", "DUNLIN_QUIET", "TERM"} {
		t.Setenv(name, "")
	}
	view := func(args ...string) bool {
		if r := dunlin(t, "", append(args, "version")...); r.code != exitDone {
			t.Error(r.err)
		}
		return newTerminalView().color
	}
	if view("--color", "never") || !view("-q", "--color=always") || os.Getenv("DUNLIN_QUIET") == "" {
		t.Error("--color and -q are not carried out")
	}
	if r := dunlin(t, "", "version", "--color", "maybe"); r.code != exitUsage || !strings.Contains(r.err, "auto, always or never") {
		t.Error(r.code, r.err)
	}
}
