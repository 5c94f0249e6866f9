//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A backup of the running gateway holds what was published before, is for its
// owner only, and is nothing a viewer may have.
func TestBackupCommand(t *testing.T) {
	_, port, address := startAPI(t)
	for n := range 50 {
		code, _, stderr := runTool(t, "pub", "-L", fmt.Sprintf("mqtt://%s/r/%d", address, n), "-m", strings.Repeat("x", 4000), "-r", "-q", "1")
		if code != exitDone {
			t.Fatal(stderr)
		}
	}
	file := filepath.Join(t.TempDir(), "now.backup")
	if r := dunlin(t, "", "backup", file); r.code != exitDone || !strings.Contains(r.err, file+": 2") {
		t.Fatalf("%+v", r)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	r := dunlin(t, "", "backup", "-")
	if b, err := os.ReadFile(file); err != nil || r.code != exitDone || len(r.out) < len(b)/2 {
		t.Errorf("to standard output: %d bytes, to a file %d; %v", len(r.out), len(b), err)
	}
	to := filepath.Join(t.TempDir(), "data")
	if r := dunlin(t, "", "restore", file, to); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	r = dunlin(t, "", "store", "export", to)
	for n := range 50 {
		if !strings.Contains(r.out, fmt.Sprintf(`"topic":"r/%d"`, n)) {
			t.Errorf("r/%d is not in the backup", n)
		}
	}
	for only, want := range map[string]bool{"retained": true, "sessions,spools": false} {
		if r := dunlin(t, "", "restore", "--only", only, file, to); r.code != exitDone {
			t.Fatalf("%+v", r)
		}
		if r := dunlin(t, "", "store", "export", to); strings.Contains(r.out, `"topic":"r/7"`) != want {
			t.Errorf("--only %s: r/7 is there: %v", only, !want)
		}
	}
	if r := dunlin(t, "", "restore", "--only", "config", file, to); r.code != exitUsage || !strings.Contains(r.err, "in no backup") {
		t.Errorf("%+v", r)
	}
	if a := port.do("GET", "/api/v1/backup", "", "Authorization", "Bearer see-but-do-not-touch"); a.status != 403 {
		t.Errorf("a viewer gets %d", a.status)
	}
	if r := dunlin(t, "", "backup", filepath.Join(t.TempDir(), "none", "x")); r.code != exitFailed {
		t.Errorf("a folder that is not there: %+v", r)
	}
	pipe := filepath.Join(t.TempDir(), "pipe") // as /dev/null, which root would replace
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{pipe, filepath.Dir(pipe)} {
		if r := dunlin(t, "", "backup", at); r.code != exitFailed || !strings.Contains(r.err, "not a regular file") {
			t.Errorf("to %s: %+v", at, r)
		}
	}
	if r := dunlin(t, "", "restore", filepath.Dir(pipe), to); r.code != exitFailed || !strings.Contains(r.err, "not a regular file") {
		t.Errorf("of a directory: %+v", r)
	}
	if left, err := os.ReadDir(filepath.Dir(pipe)); err != nil || len(left) != 1 || left[0].Type() != os.ModeNamedPipe {
		t.Errorf("left behind: %v, %v", left, err)
	}
	t.Setenv("DUNLIN_SOCKET", filepath.Join(t.TempDir(), "s"))
	if r := dunlin(t, "", "backup", file); r.code != exitUnreachable || !strings.Contains(r.err, "no gateway runs") {
		t.Errorf("without a gateway: %+v", r)
	}
}
