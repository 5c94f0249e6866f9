package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

func TestTerminalView(t *testing.T) {
	at := time.Date(2026, 1, 4, 13, 5, 9, 0, time.UTC)
	for _, tc := range []struct {
		name string
		m    client.Message
		want string
	}{
		{"text", client.Message{Topic: "a/b", Payload: []byte("21.4")}, "13:05:09  a/b                       21.4\n"},
		{"retained", client.Message{Topic: "a/b", Payload: []byte("21.4"), Retain: true}, "13:05:09  a/b                       21.4  retained\n"},
		{"empty", client.Message{Topic: "a/b"}, "13:05:09  a/b                       (empty)\n"},
		{"control sequences stay out", client.Message{Topic: "a\x1b[2J", Payload: []byte("x\x1b]0;y\a\n\u202ez")},
			"13:05:09  a\ufffd[2J                     x\ufffd]0;y\ufffd \ufffdz\n"},
		{"binary", client.Message{Topic: "a/b", Payload: []byte{0xff, 0x00}}, "13:05:09  a/b                       0xff00\n"},
		{"long text", client.Message{Topic: "a/b", Payload: []byte(strings.Repeat("ö", 1001))},
			"13:05:09  a/b                       " + strings.Repeat("ö", 1000) + " ... (2000 of 2002 bytes)\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := &terminalView{width: minTopicColumn}
			if got := string(v.line(nil, &tc.m, at)); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
	t.Setenv("NO_COLOR", "1")
	if newTerminalView().color {
		t.Error("NO_COLOR is ignored")
	}
}

func TestShownLinesAreNotObeyed(t *testing.T) {
	var out strings.Builder
	line := "{\"topic\":\"a\u009b2J\u202eb\x1b€\"}\n"
	for at := range len(line) { // a copy may end within a character
		out.Reset()
		s := &shown{w: &out}
		for _, part := range []string{line[:at], line[at:]} {
			if n, err := s.Write([]byte(part)); n != len(part) || err != nil {
				t.Errorf("%q: %d, %v", part, n, err)
			}
		}
		if out.String() != "{\"topic\":\"a\ufffd2J\ufffdb\ufffd€\"}\n" {
			t.Errorf("in two at %d: %q", at, &out)
		}
	}
}

// Each topic keeps its line, and the cursor is below the last one.
func TestWatchView(t *testing.T) {
	v := &watchView{&terminalView{width: minTopicColumn}, map[string]int{}}
	at := time.Date(2026, 1, 4, 13, 5, 9, 0, time.UTC)
	show := func(topic, payload string) string {
		return string(v.line(nil, &client.Message{Topic: topic, Payload: []byte(payload)}, at))
	}
	const pad = "                       "
	for _, tc := range [][3]string{
		{"a", "1", "\x1b[2J\x1b[1;1H\x1b[2K\x1b[?7l13:05:09  a" + pad + "  1\x1b[?7h\x1b[2;1H"},
		{"b", "x\n", "\x1b[2;1H\x1b[2K\x1b[?7l13:05:09  b" + pad + "  x \x1b[?7h\x1b[3;1H"},
		{"a", "2", "\x1b[1;1H\x1b[2K\x1b[?7l13:05:09  a" + pad + "  2\x1b[?7h\x1b[3;1H"},
	} {
		if got := show(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%s %s: %q, want %q", tc[0], tc[1], got, tc[2])
		}
	}
	for i := range 2 * maxWatched {
		show(strconv.Itoa(i), "x")
	}
	if len(v.rows) != maxWatched || show("new", "x") != "" || !strings.HasPrefix(show("b", "3"), "\x1b[2;1H") {
		t.Errorf("%d lines", len(v.rows))
	}
}
