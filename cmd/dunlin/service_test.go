//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The path of a newcomer, each step as the one before printed it.
func TestNewcomersPath(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "etc/dunlin")
	code, out, stderr := runTool(t, "init", "--dir", dir)
	m := regexp.MustCompile(`user admin, password  ([a-z1-9]{4}-[a-z1-9]{4}-[a-z1-9]{4}-[a-z1-9]{4})   ← shown once\nChecked   OK\nNext      (.*)\nThen      dunlin (sub .*)\nPage      http://[^/]*:8083, as admin\n$`).FindStringSubmatch(out)
	if code != exitDone || m == nil {
		t.Fatalf("init: %d\n%s%s", code, out, stderr)
	}
	if code, _, stderr := runTool(t, "init", "--dir", dir); code != exitFailed || !strings.Contains(stderr, "--force") {
		t.Errorf("a second init: %d %s", code, stderr)
	}
	if m[2] != "dunlin run -c "+dir+"/dunlin.yaml" {
		t.Errorf("next is %q", m[2])
	}
	text, err := os.ReadFile(dir + "/dunlin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(freeAddress(t))
	page := &remote{t: t, base: "http://" + freeAddress(t)}
	changed := strings.NewReplacer(`":1883"`, `"127.0.0.1:`+port+`"`, `":8083"`, `"`+page.base[len("http://"):]+`"`).Replace(string(text)) + "data_dir: " + root + "/data\n"
	if err := os.WriteFile(dir+"/dunlin.yaml", []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		done <- dispatch(ctx, strings.Fields(m[2])[1:], streams{strings.NewReader(""), t.Output(), t.Output()})
	}()
	defer func() { cancel(); <-done }()
	args := append(strings.Fields(strings.ReplaceAll(m[3], "'", "")), "-p", port, "-C", "1", "-W", strconv.Itoa(math.MaxInt))
	until(t, "the first value is there", func() bool {
		code, out, _ := runTool(t, args...)
		return code == exitDone && strings.HasPrefix(out, "dunlin/")
	})
	_, cookie := logIn(page, "admin", m[1])
	until(t, "the first value is on the page", func() bool {
		return strings.Contains(page.do("GET", "/api/v1/devices", "", "Cookie", cookie).body, `"values":[{"entity":`)
	})
	if code, _, _ := runTool(t, "sub", "-h", "127.0.0.1", "-p", port, "-u", "admin", "-P", "wrong", "-t", "#", "-W", "60"); code != 4 { // that of CONNACK
		t.Errorf("a wrong password: exit %d", code)
	}
}

func TestServiceUnit(t *testing.T) {
	root := t.TempDir()
	os.MkdirAll(root+"/etc", 0o755)
	os.WriteFile(root+"/etc/group", []byte("root:x:0:\ndialout:x:20:\ni2c:x:998:\n"), 0o644)
	code, out, stderr := runTool(t, "service", "install", "--root", root)
	if code != exitDone || strings.Count(out, "Wrote ") != 3 {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	users, err := os.ReadFile(root + sysusersFile)
	if err != nil || string(users) != "u dunlin - \"MQTT gateway\" /var/lib/dunlin\nm dunlin i2c\nm dunlin dialout\n" {
		t.Errorf("%v: %q", err, users)
	}
	if link, err := os.Readlink(root + "/etc/systemd/system/multi-user.target.wants/dunlin.service"); err != nil || link != unitFile {
		t.Errorf("not enabled: %q, %v", link, err)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here")
	}
	if text, err := exec.Command(analyze, "verify", "--man=no", root+unitFile).CombinedOutput(); err != nil || strings.Contains(string(text), "dunlin.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, text)
	}
	text, _ := exec.Command(analyze, "security", "--offline=true", "--no-pager", root+unitFile).CombinedOutput()
	m := regexp.MustCompile(`Overall exposure level for dunlin.service: ([0-9.]+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("systemd-analyze security: %s", text)
	}
	exposure, _ := strconv.ParseFloat(string(m[1]), 64)
	if t.Logf("exposure %v", exposure); exposure > 2 {
		t.Errorf("exposure %v, want at most 2.0\n%s", exposure, text)
	}
	if code, _, stderr := runTool(t, "service", "remove", "--root", root); code != exitDone {
		t.Error(stderr)
	}
	if _, err := os.Stat(root + unitFile); err == nil {
		t.Error("the unit is still there")
	}
}

// Where a package has installed the unit and made the user, the command only
// enables it; what init finds there is the package's too, and no work of anybody.
func TestServiceOfAPackage(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	unit := strings.NewReplacer("PROGRAM", self, "CONFIG", "/etc/dunlin/dunlin.yaml", "USER", "dunlin").Replace(unitTemplate)
	os.MkdirAll(root+filepath.Dir(packagedUnit), 0o755)
	os.WriteFile(root+packagedUnit, []byte(unit), 0o644)
	code, out, stderr := runTool(t, "service", "install", "--root", root)
	if code != exitDone || strings.Count(out, "Wrote ") != 1 {
		t.Errorf("%d\n%s%s", code, out, stderr)
	}
	if link, err := os.Readlink(root + wantsLink); err != nil || link != packagedUnit {
		t.Errorf("not enabled: %q, %v", link, err)
	}
	text, err := os.ReadFile("../../build/package/dunlin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, text string
		code       int
	}{{"as the package has it", string(text), exitDone}, {"with a comment of its owner", string(text) + "# mine\n", exitFailed}} {
		dir := t.TempDir()
		os.WriteFile(dir+"/dunlin.yaml", []byte(tc.text), 0o600)
		if code, _, stderr := runTool(t, "init", "--dir", dir); code != tc.code {
			t.Errorf("init where the configuration is %s: %d %s", tc.name, code, stderr)
		}
	}
}

func TestServiceWithoutSystemd(t *testing.T) {
	if hasSystemd("/") {
		t.Skip("systemd runs this machine")
	}
	for _, verb := range []string{"install", "remove", "status"} {
		if code, out, stderr := runTool(t, "service", verb); code != exitFailed || out != "" || !strings.Contains(stderr, "run 'dunlin run -c /etc/dunlin/dunlin.yaml' as a user of its own") {
			t.Errorf("%s: %d %s%s", verb, code, out, stderr)
		}
	}
	d := &doctor{root: t.TempDir()}
	d.add("gateway", "", "'systemctl status dunlin' says why", "it does not run")
	if !strings.Contains(d.found[0].Cure, "use what does") {
		t.Errorf("%+v", d.found)
	}
}

func TestSystemdIsTold(t *testing.T) {
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	nc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetReadDeadline(time.Now().Add(time.Minute))
	t.Setenv("NOTIFY_SOCKET", dir+"/notify")
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	_, _, stop := startGateway(t, "mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\nhttp: {bind: \"\"}\n", deps{control: true, log: slog.New(slog.DiscardHandler)})
	next := func() string {
		b := make([]byte, 4096)
		n, err := nc.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if got := next(); got != "READY=1\nSTATUS=0 clients" {
		t.Errorf("first %q", got)
	}
	for range 3 {
		if got := next(); got != "WATCHDOG=1\nSTATUS=0 clients" {
			t.Errorf("then %q", got)
		}
	}
	stop()
	for got := ""; got != "STOPPING=1\nSTATUS=stopping"; {
		got = next()
	}
}

func TestConfigCommand(t *testing.T) {
	file := secretFile(t, "dunlin.yaml", "mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\nhttp: {tokens: [{name: x, token: hidden-word}]}\n")
	code, out, stderr := runTool(t, "config", "show", "-c", file, "--origin")
	if code != exitDone || !regexp.MustCompile(`(?m)^http.tokens.x.token: +\*\*\* +\S+:2:\d+$`).MatchString(out) || !regexp.MustCompile(`(?m)^mqtt.limits.connections: +1000$`).MatchString(out) {
		t.Errorf("show: %d %s\n%s", code, stderr, out)
	}
	if strings.Contains(out, "hidden") {
		t.Error("show shows a secret")
	}
	code, out, _ = runTool(t, "config", "reference")
	for _, want := range []string{
		"\n## mqtt.limits\n", "- `connections`: ", "\n## driver bme280\n", "## bridges.NAME.spool\n", "\n## devices[].entities.NAME\n", "\n## bus modbus_rtu.port.usb\n", "\n## driver lines.commands.NAME.expect\n",
		"\n## driver modbus.registers[]\n\n- `address`: ", "\n## driver pulse.entities.NAME.persist\n\ntotals: how soon", "- `zero_after`: rates: time without a pulse after which the rate is 0; default `30s`\n",
	} {
		if code != exitDone || !strings.Contains(out, want) {
			t.Errorf("reference: %d, no %q", code, want)
		}
	}
	if bad := regexp.MustCompile("(?m)^.*default `( |\\{|.Inf).*$").FindString(out); bad != "" {
		t.Errorf("reference: %s", bad)
	}
}

func TestCompletion(t *testing.T) {
	_, _, address := startAPI(t)
	if code, _, stderr := runTool(t, "pub", "-L", "mqtt://"+address+"/field/north/t", "-m", "1", "-r", "-q", "1"); code != exitDone {
		t.Fatal(stderr)
	}
	for _, tc := range []struct{ line, word, want string }{
		{"dunlin sta", "sta", "status\n"}, {"dunlin help topi", "topi", "topics\n"}, {"dunlin sub -t fi", "fi", "field\nfield/\n"},
		{"dunlin sub -t field/", "field/", "field/north\nfield/north/\n"}, {"dunlin bridge status c", "c", "cloud\n"}, {"dunlin xyz ", "", ""},
		{"dunlin bridge s", "s", "spool\nstatus\n"}, {"dunlin bridge spool ", "", "drain\nexport\nlist\npurge\n"}, {"dunlin bridge spool list ", "", "cloud\n"},
		{"dunlin explain acl me ", "", "publish\nreceive\nsubscribe\n"}, {"dunlin completion z", "z", "zsh\n"}, {"dunlin clients --o", "--o", "--offline\n"},
		{"dunlin clients br", "br", "bridge:cloud\n"}, {"dunlin trace br", "br", "bridge:cloud\n"}, {"dunlin check dun", "dun", ""}, {"dunlin top --", "--t", "--times\n"}, {"dunlin top --view b", "b", "bridges\n"},
	} {
		t.Setenv("COMP_LINE", tc.line)
		if code, out, _ := runTool(t, "__complete", "dunlin", tc.word, ""); code != exitDone || out != tc.want {
			t.Errorf("%q: %d %q, want %q", tc.line, code, out, tc.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := runTool(t, "completion", shell); code != exitDone || !strings.Contains(out, "__complete") {
			t.Errorf("%s: %d %q", shell, code, out)
		}
	}
}

func TestManualPage(t *testing.T) {
	code, out, _ := runTool(t, "help", "--man")
	for _, c := range commands() {
		if !strings.Contains(out, "\n.SH "+strings.ToUpper(c.name)+"\n") {
			t.Errorf("no section of %s", c.name)
		}
	}
	man, err := exec.LookPath("groff")
	if err != nil || code != exitDone {
		t.Skip("groff is not here")
	}
	cmd := exec.Command(man, "-man", "-Tutf8", "-ww", "-z")
	cmd.Stdin = strings.NewReader(out)
	if text, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(text), "error") {
		t.Errorf("%v\n%s", err, text)
	}
}
