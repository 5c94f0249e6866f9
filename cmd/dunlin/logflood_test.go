package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/config"
)

func TestRepeatedLogLinesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, _, stop := newLogger(config.Log{Level: "debug", Format: "text"}, &out)
		count := func(text string) (n int) {
			n = strings.Count(out.String(), text)
			return n
		}
		broker := log.With("component", "broker")
		for i := range 1000 {
			broker.With("client_id", i).Info("client disconnected")
			broker.Debug("asked for")
		}
		broker.Warn("client disconnected") // another kind
		if n := count("client disconnected"); n != calmLines+1 {
			t.Errorf("%d lines of a flood, want %d", n, calmLines+1)
		}
		if n := count("asked for"); n != 1000 {
			t.Errorf("%d of 1000 lines below info", n)
		}
		time.Sleep(floodWindow)
		synctest.Wait()
		want := fmt.Sprintf(`msg="log lines left out" component=broker line="client disconnected" suppressed=%d`, 1000-calmLines)
		if count(want) != 1 {
			t.Errorf("no %s in the end of\n%s", want, out.String()[max(0, out.Len()-500):])
		}

		out.Reset() // the flood goes on
		for range 1000 {
			broker.Info("client disconnected")
		}
		if n := count("client disconnected"); n != floodLines {
			t.Errorf("%d lines in the second window of a flood, want %d", n, floodLines)
		}
		stop()
		if count("suppressed=995") != 1 {
			t.Errorf("stop did not say what was left out:\n%s", out.String())
		}
		time.Sleep(time.Hour) // nothing runs any more

		out.Reset()
		for range calmLines {
			broker.Info("client disconnected")
		}
		if n := count("client disconnected"); n != floodLines && n != calmLines {
			t.Errorf("%d lines after an hour of quiet", n)
		}
	})
}

func TestLogLinesCannotBeForged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, _, stop := newLogger(config.Log{Level: "info", Format: format}, &out)
		log.Info("client connected", "client_id", "a\nlevel=ERROR msg=forged\x1b[31m\u202e\u009b31m<script>", "err", errors.New("\u202egnorw"), "user", "\r\x00")
		stop()
		if text := out.String(); strings.Count(text, "\n") != 1 || strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\x1b\r\x00\u202e\u009b") || strings.Contains(text, "\n"+"level") {
			t.Errorf("%s: %q", format, text)
		}
	}
}
