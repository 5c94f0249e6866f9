package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// A terminal obeys nothing of what strangers wrote, wherever a command says it.
func TestTerminalObeysNoStranger(t *testing.T) {
	_, _, address := startAPI(t)
	host, port, _ := strings.Cut(address, ":")
	const evil = "a\u009b5n\u202eb\x1b]0;x"
	for _, v := range []string{"mqttv311", "mqttv5"} {
		if r := dunlin(t, "", "pub", "-h", host, "-p", port, "-V", v, "-i", "i"+evil, "-t", "x/"+evil, "-m", "{"+evil, "-r"); r.code != exitDone {
			t.Fatalf("%+v", r)
		}
	}
	sub := []string{"sub", "-h", host, "-p", port, "-t", "x/#", "-W", "1"}
	for _, args := range [][]string{
		sub, append(sub, "-d"), append(sub, "-F", "%J"), append(sub, "-F", "%t %p"), append(sub, "-o", "json"),
		{"pub", "-h", host, "-p", port, "-t", "x/" + evil, "-m", "", "-d"},
		{"clients", "--offline"}, {"clients", "kick", evil}, {"trace", "i" + evil, "--for", "200ms"}, {"topics", "x"}, {"topics", "x", "--json"},
		{"explain", "route", "x/" + evil}, {"explain", "acl", evil, "publish", evil}, {"explain", "key", evil}, {"status", "--" + evil},
	} {
		t.Setenv("NO_COLOR", "1")
		out := onPty(t, args)
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q: %q", args, out[max(0, i-20):])
		}
	}
}

// onPty is what a command writes to a terminal.
func onPty(t *testing.T, args []string) string {
	pty := serialtest.Pty(t)
	terminal, err := os.OpenFile(pty.Path(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	const end = "-- the end --"
	go func() {
		dispatch(t.Context(), args, streams{terminal, terminal, terminal})
		fmt.Fprint(terminal, end)
	}()
	out := ""
	for b := make([]byte, 4096); !strings.HasSuffix(out, end); {
		n, err := pty.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		out += string(b[:n])
	}
	return strings.ReplaceAll(strings.TrimSuffix(out, end), "\r\n", "\n")
}
