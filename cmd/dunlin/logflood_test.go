package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/lines"
	"github.com/dunlin-mqtt/dunlin/config"
)

// shownLog is a log that a timer writes to as well.
type shownLog struct {
	sync.Mutex
	text bytes.Buffer
}

func (s *shownLog) Write(p []byte) (int, error) {
	s.Lock()
	defer s.Unlock()
	return s.text.Write(p)
}

// take returns what was written since the last call.
func (s *shownLog) take() string {
	s.Lock()
	defer s.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

func TestRepeatedLogLinesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(shownLog)
		log, _, stop := newLogger(config.Log{Level: "debug", Format: "text"}, out, new(lines.Ring))
		broker := log.With("component", "broker")
		for i := range 1000 {
			broker.With("client_id", i).Info("client disconnected")
			broker.Debug("asked for")
		}
		broker.Warn("client disconnected") // another kind
		text := out.take()
		if n := strings.Count(text, "client disconnected"); n != calmLines+1 {
			t.Errorf("%d lines of a flood, want %d", n, calmLines+1)
		}
		if n := strings.Count(text, "asked for"); n != 1000 {
			t.Errorf("%d of 1000 lines below info", n)
		}
		time.Sleep(floodWindow)
		synctest.Wait()
		want := fmt.Sprintf(`msg="log lines left out" component=broker line="client disconnected" suppressed=%d`, 1000-calmLines)
		if text := out.take(); strings.Count(text, want) != 1 {
			t.Errorf("no %s in\n%s", want, text)
		}

		for range 1000 { // the flood goes on
			broker.Info("client disconnected")
		}
		if n := strings.Count(out.take(), "client disconnected"); n != floodLines {
			t.Errorf("%d lines in the second window of a flood, want %d", n, floodLines)
		}
		stop()
		if text := out.take(); strings.Count(text, "suppressed=995") != 1 {
			t.Errorf("stop did not say what was left out:\n%s", text)
		}
		time.Sleep(time.Hour) // nothing runs any more
		if text := out.take(); text != "" {
			t.Errorf("after the end: %s", text)
		}
	})
}

func TestLogLinesCannotBeForged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, _, stop := newLogger(config.Log{Level: "info", Format: format}, &out, new(lines.Ring))
		log.Info("client connected", "client_id", "a\nlevel=ERROR msg=forged\x1b[31m\u202e\u009b31m<script>", "err", errors.New("\u202egnorw"), "user", "\r\x00")
		stop()
		if text := out.String(); strings.Count(text, "\n") != 1 || strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\x1b\r\x00\u202e\u009b") || strings.Contains(text, "\n"+"level") {
			t.Errorf("%s: %q", format, text)
		}
	}
}
