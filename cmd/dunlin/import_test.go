package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bridge examples of mosquitto.conf(5) and of its shipped configuration,
// without their comment signs.
const mosquittoBridges = `
listener 1883
listener 8883
cafile ca.crt
certfile server.crt
keyfile server.key
allow_anonymous true
max_inflight_messages 20
log_type error
log_type warning
psk_file psk

connection test-mosquitto-org
address test.mosquitto.org:1883
cleansession true
topic clients/total in 0 test/mosquitto/org $SYS/broker/
topic # out 0
topic pattern/# both 2 local/topic/ remote/topic/

connection bridge-01
address first.example:8883 second.example:8883
round_robin false
bridge_cafile ca.crt
remote_username board
remote_password secret
remote_clientid board-1
start_type automatic
topic sensors/# out 1 local/ remote/
topic commands/+ in 2 "" site/
try_private true
notifications true
notification_topic board/state
`

func TestImportedConfigurationIsValid(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	shipped, err := os.ReadFile("/etc/mosquitto/mosquitto.conf")
	if err != nil {
		t.Skip("no mosquitto.conf of Debian's package:", err)
	}
	extra := write("extra.conf", "listener 1884 127.0.0.1\nallow_anonymous true\n")
	for name, text := range map[string]string{
		"what Debian ships":     strings.ReplaceAll(string(shipped), "/etc/mosquitto/conf.d", filepath.Dir(extra)),
		"the manual's examples": mosquittoBridges,
	} {
		r := dunlin(t, "", "import", write("mosquitto.txt", text))
		if r.code != exitDone {
			t.Fatalf("%s: code %d: %s", name, r.code, r.err)
		}
		checkRuns(t, []byte(r.out))
		t.Logf("%s:\n%s%s", name, r.out, r.err)
		if name != "what Debian ships" {
			for _, want := range []string{"psk_file", "round_robin", "start_type", "notification_topic"} {
				if !strings.Contains(r.err, want) {
					t.Errorf("no note about %s:\n%s", want, r.err)
				}
			}
		}
	}
	if r := dunlin(t, "", "import", filepath.Join(dir, "none")); r.code != exitFailed || !strings.Contains(r.err, "no such file") {
		t.Errorf("code %d: %s", r.code, r.err)
	}
}
