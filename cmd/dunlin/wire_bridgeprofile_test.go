package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a service would refuse is found by its place before anything runs.
func TestCheckAppliesProfiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	for text, wanted := range map[string]string{
		"bridges: {cloud: {servers: [\"mqtts://hub.azure-devices.net\"], profile: azure-iot-hub, client_id: dev1, credentials: {sas: c2VjcmV0}, out: [{from: a/#, to: devices/dev1/messages/events/#}]}}": "",
		"bridges: {cloud: {servers: [\"mqtts://hub.azure-devices.net\"], profile: azure-iot-hub, credentials: {sas: c2VjcmV0},\n  out: [{from: a/#}]}}":                                                   "2:9: error: azure-iot-hub takes no messages on \"a/#\"",
		"bridges: {cloud: {servers: [\"mqtts://x\"], profile: nats, protocol: \"5\", out: [{from: a}]}}":                                                                                                  "1:68: error: nats does not speak MQTT 5",
		"bridges: {cloud: {servers: [\"mqtts://x\"], profile: aws-iot, out: [{from: a}]}}":                                                                                                                "aws-iot lets nobody in without credentials",
		"bridges: {cloud: {servers: [\"mqtts://x\"], credentials: {sas: \"%\"}, out: [{from: a}]}}":                                                                                                       "sas: the key is not in base64",
		"bridges: {cloud: {servers: [\"mqtts://x\"], credentials: {jwt: {key: nowhere.pem}}, out: [{from: a}]}}":                                                                                          "jwt: open ",
	} {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := checkFile(file)
		said := r.errors.Error()
		if len(r.errors) == 0 {
			said = ""
		}
		if (said == "") != (wanted == "") || !strings.Contains(said, wanted) {
			t.Errorf("%s:\ngot  %q\nwant %q", text, said, wanted)
		}
	}
}
