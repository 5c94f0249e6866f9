package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A gateway that takes a request and says nothing is named for what it is.
func TestCommandSaysThatTheGatewayIsSilent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	q := newAsker("status", "", streams{})
	q.socket, q.patience = socket, 50*time.Millisecond
	if _, err := q.get(t.Context(), "GET", "/api/v1/status", nil); err == nil || !strings.Contains(err.Error(), "has not answered within 50ms") {
		t.Error(err)
	}
}

// A mistake that was made since the gateway started does not hide it.
func TestCommandsFindTheGatewayOfAFileWithMistakes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "dunlin.yaml")
	for _, c := range []struct{ text, at string }{
		{"data_dir: data # here\nlog: {levle: info}\n", "data"},
		{"log:\n\tlevel: info\ndata_dir: \"d/a\"\n", "d/a"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		q := newAsker("status", "", streams{})
		q.socket, q.config = "", file
		path, mistakes := q.path()
		if path != filepath.Join(dir, c.at, "dunlin.sock") || len(mistakes) != 1 {
			t.Errorf("%q: %s, %v", c.text, path, mistakes)
		}
	}
	t.Setenv("DUNLIN_SOCKET", "")
	if r := dunlin(t, "", "status", "-c", file); r.code != exitUnreachable || !strings.Contains(r.err, "dunlin.yaml:2:1: error: a tab is used") {
		t.Errorf("%+v", r)
	}
}

// Who may not use the socket is not told that the gateway is gone.
func TestNoRightToTheSocket(t *testing.T) {
	denied := &unreachable{"/s", nil, &net.OpError{Op: "dial", Err: os.ErrPermission}}
	q := newAsker("status", "", streams{err: io.Discard})
	if code := q.fail(denied); code != exitRefused {
		t.Errorf("code %d", code)
	}
	if code := q.fail(&unreachable{"/s", nil, os.ErrNotExist}); code != exitUnreachable {
		t.Errorf("code %d without a gateway", code)
	}
	var said strings.Builder
	if code := checkStatus(streams{out: &said}, nil, denied); code != 3 || !strings.HasPrefix(said.String(), "UNKNOWN: you may not use /s") {
		t.Errorf("--check: code %d, %q", code, &said)
	}
	d := &doctor{silent: denied}
	if d.gateway(t.Context()); len(d.found) != 1 || d.found[0].What != "you may not use its socket" {
		t.Errorf("doctor: %+v", d.found)
	}
}
