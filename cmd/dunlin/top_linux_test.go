package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// startPretended answers top as a gateway would whose client esp sends more
// and more, and where 3 messages came on each of two topics since the last look.
func startPretended(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var looks atomic.Int32
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/status":
			fmt.Fprintf(w, `{"node":"barn","uptime":%d,"devices":[{"name":"tank","driver":"sim","values":[]}],"bridges":[{"name":"cloud","state":"up","rate":12.5,"drain":90}]}`, looks.Add(1))
		case "/api/v1/clients":
			fmt.Fprintf(w, `{"clients":[{"id":"idle","connected":true,"since":1000},{"id":"esp","connected":true,"since":1000,"received":%d}]}`, 1000*looks.Load())
		case "/api/v1/watch":
			for r.Context().Err() == nil {
				io.WriteString(w, "event: messages\ndata: {\"messages\":[{\"topic\":\"a/b\",\"payload\":\"21\",\"count\":3},{\"topic\":\"a/c\",\"payload_b64\":\"/w==\",\"count\":3}],\"skipped\":9}\n\n")
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	t.Setenv("DUNLIN_SOCKET", socket)
}

func TestTopViews(t *testing.T) {
	startPretended(t)
	for view, want := range map[string][]string{
		"all":     {"Broker 0 clients", "tank", "cloud"},
		"clients": {"esp", "idle"}, // the busiest first
		"topics":  {"a/b", "21", "a/c", "0xff", "of topics that are not counted one by one"},
		"sensors": {"tank"}, "bridges": {"cloud", "12.5/s", "1 min"},
	} {
		code, out, stderr := runTool(t, "top", "--view", view, "--every", "150ms", "--times", "3")
		if looks := strings.Split(out, "\n\nbarn "); code != exitDone || len(looks) != 3 {
			t.Errorf("%s: %d %s%s", view, code, out, stderr)
		} else {
			rest := looks[2]
			for _, text := range want {
				_, after, found := strings.Cut(rest, text)
				if !found {
					t.Errorf("%s: no %s in its place in\n%s", view, text, looks[2])
				}
				rest = after
			}
			if view == "clients" && strings.Contains(looks[2], "esp             0.0/s") {
				t.Errorf("no rate of a busy client:\n%s", looks[2])
			}
		}
	}
	if code, _, stderr := runTool(t, "top", "--view", "a"); code != exitUsage || !strings.Contains(stderr, "--view") {
		t.Error(code, stderr)
	}
}

// On a terminal keys choose the view; q ends it and leaves the terminal as it
// was. No line scrolls a small one, and a gateway that goes is waited for.
func TestTopKeys(t *testing.T) {
	startPretended(t)
	pty := serialtest.Pty(t)
	terminal, err := os.OpenFile(pty.Path(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int)
	go func() {
		done <- runTop(t.Context(), []string{"--every", "1h"}, streams{terminal, terminal, t.Output()})
	}()
	shown := ""
	b := make([]byte, 4096)
	for _, step := range []struct{ key, want string }{{"", "q quit"}, {"x", "Broker 0 clients"}, {"c", "CLIENT "}, {"t", "Counting"}, {"t", "TOPIC"}, {"s", "READING"}, {"b", "EMPTY IN"}, {"a", "Broker 0"}, {"gone", "no gateway runs"}} {
		if step.key == "gone" {
			os.Remove(os.Getenv("DUNLIN_SOCKET"))
		}
		pty.Send(step.key[:min(1, len(step.key))])
		for shown = ""; !strings.Contains(shown, step.want) || !strings.Contains(shown, eraseRest); {
			n, err := pty.Read(b)
			if err != nil {
				t.Fatalf("after %q: %v in %q", step.key, err, shown)
			}
			shown += string(b[:n])
		}
		if strings.Contains(shown, "\n") {
			t.Errorf("after %q lines follow each other: %q", step.key, shown)
		}
	}
	pty.Send("q")
	if code := <-done; code != exitDone {
		t.Error(code)
	}
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is not as it was: %v %+v", err, after)
	}
}
