package api

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// updater takes questions as the image's first process does. It answers with
// what the file says, and passes on what came.
func updater(t *testing.T, socket string) chan string {
	t.Helper()
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	got := make(chan string, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all, _ := io.ReadAll(c)
			_, file, _ := strings.Cut(string(all), "\n")
			answer := "progress 1 2\nok done\n"
			if strings.HasPrefix(file, "bad") {
				answer = "refused it is bad\n"
			}
			got <- string(all)
			io.WriteString(c, answer)
			c.Close()
		}
	}()
	return got
}

func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	a := New(Options{Log: slog.New(slog.DiscardHandler), Updater: filepath.Join(dir, "updater")})
	ln, err := net.Listen("unix", filepath.Join(dir, "api"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.ServeSocket(ctx, ln) }()
	t.Cleanup(func() { cancel(); <-done })
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext:           func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", ln.Addr().String()) },
		ExpectContinueTimeout: 20 * time.Second, // the server's own
	}}
	defer client.CloseIdleConnections()
	ask := func(method, query, file string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, "http://dunlin"+updatePath+query, bytes.NewReader([]byte(file)))
		if err != nil {
			t.Fatal(err)
		}
		if len(file) > 1<<20 {
			r.Header.Set("Expect", "100-continue")
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if code, text := ask("GET", "", ""); code != 501 || !strings.Contains(text, "does not run dunlin's image") {
		t.Errorf("without an updater: %d %s", code, text)
	}
	got := updater(t, a.Updater)
	large := strings.Repeat("a part of an update", 200<<10) // more than any other body may be
	for _, tc := range []struct {
		method, query, file string
		code                int
		question, want      string
	}{
		{"POST", "", large, 200, "update\n", `{"result":"done"}`},
		{"POST", "?downgrade=true", "short", 200, "update downgrade\n", `{"result":"done"}`},
		{"POST", "", "bad", 422, "update\n", "it is bad"},
		{"GET", "", "", 200, "status\n", `{"result":"done"}`},
	} {
		code, text := ask(tc.method, tc.query, tc.file)
		if code != tc.code || !strings.Contains(text, tc.want) {
			t.Errorf("%s %s: %d %s, want %d %s", tc.method, tc.query, code, text, tc.code, tc.want)
		}
		if q := <-got; q != tc.question+tc.file {
			t.Errorf("%s %s: the updater was sent %d bytes beginning %.30q, want %d", tc.method, tc.query, len(q), q, len(tc.question+tc.file))
		}
	}
}
