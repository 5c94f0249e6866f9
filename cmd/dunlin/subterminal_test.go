package main

import (
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
