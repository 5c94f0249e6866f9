package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// updater answers on a socket as the image's first process does, once, and
// tells what it was sent.
func updater(t *testing.T, answer string) (socket string, got chan string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	got = make(chan string, 1)
	go func() {
		defer ln.Close()
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		all, _ := io.ReadAll(c)
		got <- string(all)
		io.WriteString(c, answer)
	}()
	t.Cleanup(func() { ln.Close() })
	return socket, got
}

func TestUpdateCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	content := strings.Repeat("an update ", 100<<10)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args     []string
		answer   string
		question string
		code     int
		out, err string
	}{
		"a file":          {[]string{file}, "progress 0 9\nprogress 9 9\nok 1.1.0 is written\n", "update\n" + content, exitDone, "1.1.0 is written\n", ""},
		"standard input":  {[]string{"-"}, "ok it is written\n", "update\nfrom a pipe", exitDone, "it is written\n", ""},
		"an older one":    {[]string{"--downgrade", "-"}, "ok it is written\n", "update downgrade\nfrom a pipe", exitDone, "it is written\n", ""},
		"refused":         {[]string{file}, "progress 0 9\nrefused it is signed by a stranger\n", "update\n" + content, exitRefused, "", "dunlin update: it is signed by a stranger\n"},
		"status":          {[]string{"--status"}, "ok version 1.0.0\n", "status\n", exitDone, "version 1.0.0\n", ""},
		"it goes away":    {[]string{file}, "progress 0 9\n", "update\n" + content, exitFailed, "", "the updater went away"},
		"no file":         {nil, "", "", exitUsage, "", "takes FILE"},
		"status of what":  {[]string{"--status", file}, "", "", exitUsage, "", "takes FILE"},
		"a missing file":  {[]string{file + "x"}, "", "", exitFailed, "", "no such file"},
		"another machine": {[]string{"--socket", file + ".sock", file}, "", "", exitUnreachable, "", "does not run dunlin's image"},
	} {
		t.Run(name, func(t *testing.T) {
			socket, got := updater(t, tc.answer)
			var out, errs bytes.Buffer
			args := append([]string{"--socket", socket}, tc.args...)
			code := runUpdate(context.Background(), args, streams{strings.NewReader("from a pipe"), &out, &errs})
			if code != tc.code || out.String() != tc.out || !strings.Contains(errs.String(), tc.err) || tc.err == "" && errs.Len() > 0 {
				t.Errorf("exit %d, out %q, err %q; want %d, %q, %q", code, out.String(), errs.String(), tc.code, tc.out, tc.err)
			}
			if tc.question != "" {
				if q := <-got; q != tc.question {
					t.Errorf("the updater was sent %d bytes beginning %.40q, want %d", len(q), q, len(tc.question))
				}
			}
		})
	}
}
