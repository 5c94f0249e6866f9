//go:build linux

package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A gateway that records starts again after a crash: what the earlier life has
// written stays as it is, and the log says so.
func TestARecordingThatIsThereHoldsNothingUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shed.rec")
	text := "mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\ngateway: {record: \"" + file + "\"}\ndevices: [{name: a, driver: sim}]\n"
	var first []byte
	for i := range 2 {
		var log bytes.Buffer
		_, _, stop := startGateway(t, text, deps{log: slog.New(slog.NewTextHandler(&log, nil))})
		stop()
		now, err := os.ReadFile(file)
		switch said := strings.Contains(log.String(), "nothing is recorded"); {
		case err != nil:
			t.Fatal(err)
		case said != (i > 0):
			t.Errorf("start %d: %s", i, log.String())
		case i > 0 && !bytes.Equal(first, now):
			t.Errorf("the recording is %q, was %q", now, first)
		}
		first = now
	}
}
