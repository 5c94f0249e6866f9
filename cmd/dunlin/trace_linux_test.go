package main

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// A trace that the gateway ends before its time says so.
func TestTraceIsCutOff(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	last := `[]`
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "event: trace\ndata: "+last+"\n\n")
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	t.Setenv("DUNLIN_SOCKET", socket)
	if code, _, stderr := runTool(t, "trace", "--topic", "#"); code != exitFailed || !strings.Contains(stderr, "the gateway has ended the trace") {
		t.Errorf("%d %q", code, stderr)
	}
	last = `[{"what":"end"}]`
	if code, _, stderr := runTool(t, "trace", "--topic", "#"); code != exitDone || stderr != "" {
		t.Errorf("after all of its time: %d %q", code, stderr)
	}
}
