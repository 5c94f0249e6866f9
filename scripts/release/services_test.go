package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runService lets a shell that stands in for a system's init run a script of
// build/package, and returns what it said.
func runService(t *testing.T, init string, args ...string) (string, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "init")
	if err := os.WriteFile(name, []byte(init), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sh", append([]string{name}, args...)...).CombinedOutput()
	return string(out), err
}

// procd is what a script for OpenWrt meets: its own rc.common, which gives
// what the script says of the service to procd. No file is touched.
const procd = `
for tool in mkdir chown chmod chgrp; do eval "$tool() { echo $tool \"\$@\"; }"; done
procd_open_instance() { echo open; }
procd_set_param() { echo "$*"; }
procd_close_instance() { echo close; }
. "$1"
echo "S$START K$STOP procd $USE_PROCD"
start_service
`

func TestOpenWrtService(t *testing.T) {
	out, err := runService(t, procd, "../../build/package/openwrt.init")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"S80 K20 procd 1",
		"mkdir -p /var/lib/dunlin /run/dunlin",
		"chown dunlin:dunlin /var/lib/dunlin /run/dunlin",
		"command /usr/bin/dunlin run -c /etc/dunlin/dunlin.yaml",
		"env STATE_DIRECTORY=/var/lib/dunlin RUNTIME_DIRECTORY=/run/dunlin",
		"user dunlin", "group dunlin", "no_new_privs 1", "limits nofile=16384 16384",
		"respawn 3600 5 0", "term_timeout 20", "stdout 1", "stderr 1",
	} {
		if !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	// What procd is told stands inside the one instance.
	if open, shut := strings.Index(out, "\nopen\n"), strings.Index(out, "\nclose\n"); open < 0 || shut < strings.Index(out, "command ") || strings.Index(out, "command ") < open {
		t.Errorf("the instance:\n%s", out)
	}
}

// openrc is what a script for Alpine meets: a command that finds mistakes in
// the configuration, or none, and what openrc-run does with its answers.
const openrc = `
RC_CMD=$3 RC_SVCNAME=dunlin
checkpath() { echo checkpath "$@"; }
eerror() { echo "$@"; }
ebegin() { echo "$@"; }
eend() { return "$1"; }
. "$1"
echo "$supervisor $command $command_args $command_user $respawn_max $retry"
command=$2
case $3 in
restart) stop_pre && echo stopped ;;
stop) stop_pre; echo stopped ;;
start) start_pre && echo started ;;
esac
`

func TestAlpineService(t *testing.T) {
	for _, tc := range []struct {
		command, action string
		want            string // empty: it is refused
	}{
		{"true", "start", "started"},
		{"false", "start", ""},
		{"true", "restart", "stopped"},
		{"false", "restart", ""}, // it goes on as it was
		{"false", "stop", "stopped"},
	} {
		out, err := runService(t, openrc, "../../build/package/alpine.initd", tc.command, tc.action)
		if !strings.HasPrefix(out, "supervise-daemon /usr/bin/dunlin run -c /etc/dunlin/dunlin.yaml dunlin 0 TERM/20/KILL/5\n") {
			t.Errorf("the service:\n%s", out)
		}
		if tc.want == "" && err == nil || tc.want != "" && !strings.HasSuffix(out, tc.want+"\n") {
			t.Errorf("%s with dunlin check saying %s: %v\n%s", tc.action, tc.command, err, out)
		}
		if tc.want == "started" && !strings.Contains(out, "checkpath --directory --owner dunlin:dunlin --mode 0700 /var/lib/dunlin\n") {
			t.Errorf("no place for data:\n%s", out)
		}
	}
}

// installed is what a script of a package meets after its files are there:
// tools that say what they are asked for, and a dunlin.yaml of a group.
const installed = `
PATH=/nowhere
group=$1 enabled=$2 script=$3
shift 3
stat() { echo "$group"; }
getent() { :; }
systemctl() { case $1 in is-enabled) [ "$enabled" = yes ] ;; is-active) [ "$enabled" = yes ] ;; *) echo systemctl "$@" ;; esac; }
for tool in usermod chown chmod chgrp; do eval "$tool() { echo $tool \"\$@\"; }"; done
. "$script"
`

func TestWhatAPackageDoesAfterItsFiles(t *testing.T) {
	chgrp := "chgrp dunlin /etc/dunlin/dunlin.yaml\n"
	for name, tc := range map[string]struct {
		script, group, enabled string
		args                   []string
		want                   map[string]bool
	}{
		"deb, new": {"postinst", "root", "yes", []string{"configure", ""}, map[string]bool{
			"systemctl enable -q --no-reload dunlin.service\n": true, "chown root:dunlin /etc/dunlin /etc/dunlin/dunlin.yaml\n": true}},
		"deb, upgrade": {"postinst", "root", "yes", []string{"configure", "1.0.0"}, map[string]bool{"enable": false, "chown": false, chgrp: false}},
		"rpm, new": {"postinst", "root", "no", []string{"1"}, map[string]bool{
			"systemctl preset -q --no-reload dunlin.service\n": true, "enable": false, "chown root:dunlin /etc/dunlin /etc/dunlin/dunlin.yaml\n": true}},
		"rpm, upgrade that put its own dunlin.yaml there": {"postinst", "root", "yes", []string{"2"}, map[string]bool{chgrp: true, "preset": false}},
		"rpm, upgrade": {"postinst", "dunlin", "yes", []string{"2"}, map[string]bool{"chgrp": false}},
		"apk, upgrade that put its own dunlin.yaml there": {"alpine.post-upgrade", "root", "yes", nil, map[string]bool{"chgrp dunlin /etc/dunlin /etc/dunlin/dunlin.yaml\n": true}},
		"apk, upgrade": {"alpine.post-upgrade", "dunlin", "yes", nil, map[string]bool{"chgrp": false}},
	} {
		out, err := runService(t, installed, append([]string{tc.group, tc.enabled, "../../build/package/" + tc.script}, tc.args...)...)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for line, want := range tc.want {
			if strings.Contains(out, line) != want {
				t.Errorf("%s: %q is %v in\n%s", name, line, !want, out)
			}
		}
	}
}
