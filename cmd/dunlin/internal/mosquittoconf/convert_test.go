package mosquittoconf

import (
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/config/yaml"
)

func convert(text string) (yaml, notes string) {
	yaml, all := Convert(parse("m.conf", text))
	var b strings.Builder
	for _, n := range all {
		b.WriteString(n.Text + "\n")
	}
	return yaml, b.String()
}

func TestEachSettingIsCarriedOverOrNoted(t *testing.T) {
	for _, tc := range []struct{ conf, yaml, notes string }{
		{"", `{bind: "127.0.0.1:1883", anonymous: true}`, ""},
		{"listener 1883", `- {bind: ":1883"}`, ""},
		{"listener 1884 ::1\nallow_anonymous true", `{bind: "[::1]:1884", anonymous: true}`, ""},
		{"listener 0 /run/m.sock\nmount_point a/", `{bind: "unix:/run/m.sock", topic_prefix: "a/"}`, ""},
		{"listener x", "127.0.0.1", `"x" is no port`},
		{"per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2\npassword_file p", `{bind: ":1", anonymous: true}`, ""},
		{"per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2\npassword_file p", `{bind: ":2", users_file: "p"}`, ""},
		{"listener 8883\ncafile ca\ncertfile c\nkeyfile k\nrequire_certificate true\nuse_identity_as_username true", `tls: {cert: "c", key: "k", ca: "ca", require_client_cert: true, identity: cn}`, ""},
		{"listener 9\nprotocol websockets\nmax_connections 5\nmax_qos 1", `{bind: ":9", protocol: websocket, limits: {connections: 5}, features: {max_qos: 1}}`, ""},
		{"max_connections -1", "", "no limit is what dunlin does not have"},
		{"max_packet_size 20", "", "dunlin takes 128 to 268435456"},
		{"max_packet_size 5000000", "limits: {packet_size: 5000000B, queue_size: 0}", ""},
		{"max_queued_bytes 2000\nmax_keepalive 60", "limits: {keep_alive_max: 60s, queue_size: 0}", "max_queued_bytes 2000: a queue has room"},
		{"max_queued_messages 10\nmax_queued_bytes 2000000\npersistent_client_expiration 2m\nretain_available false", `limits: {queue_messages: 10, queue_size: 2000000B, session_expiry_max: 60d}`, ""},
		{"persistent_client_expiration 5", "", "is no time"},
		{"password_file /etc/p\nacl_file /etc/a", "auth:\n  users_file: \"/etc/p\"\n  acl_file: \"/etc/a\"\n", ""},
		{"per_listener_settings true\nlistener 1\nacl_file a\nlistener 2\nacl_file a", "auth:\n  acl_file: \"a\"\n", ""},
		{"per_listener_settings true\nlistener 1\nacl_file a\nlistener 2", `{bind: ":1", acl: [{user: "*", deny: true,`, "nobody may do anything at :1"},
		{"log_type error\nlog_type notice", "log: {level: info}", ""},
		{"listener 8883\ncafile ca\nrequire_certificate true", `- {bind: ":8883"}`, "there is no TLS"},
		{"roger:$6$clQ4$Cv2w==", "", "this is no setting"},
		{"connection c\naddress h\nbridge_outgoing_retain false\ntopic a both", "out:\n      - {from: \"a\", qos: 0, retain: strip}\n    in:\n      - {from: \"a\", qos: 0}\n", "looks for loops"},
		{"psk_file x", "", "no pre-shared keys"},
		{"frobnicate yes", "", "frobnicate has no equal"},
		{"connection a.b\naddress h:1 k\ntopic # out 1 l/ r/\ntopic c in 2", `a-b:
    servers: ["mqtt://h:1", "mqtt://k:1883"]
    protocol: "3.1.1"
    client_id: "{node}.a-b"
    out:
      - {from: "l/#", to: "r/#", qos: 1}
    in:
      - {from: "c", qos: 2}
`, "is called a-b"},
		{"connection c\naddress h:8883\nbridge_cafile ca\nbridge_certfile b\nbridge_keyfile k\nbridge_alpn x\nbridge_protocol_version mqttv50\nremote_clientid me\nremote_username u\nremote_password p\nkeepalive_interval 30\nnotifications false\ntopic a both", `  c:
    servers: ["mqtts://h:8883"]
    protocol: "5"
    client_id: "me"
    keep_alive: 30s
    credentials: {cert: "b", key: "k", username: "u", password: "p"}
    tls: {ca: "ca", alpn: ["x"]}
    status_topic: ""
    out:
      - {from: "a", qos: 0}
    in:
      - {from: "a", qos: 0}
`, "looks for loops"},
		{"connection c\naddress h\ntopic \"\" out 0 l r", `{from: "l", to: "r", qos: 0}`, ""},
		{"connection c\naddress h\ntopic x sideways", "", `"sideways" is no direction`},
		{"connection c\ntopic x", "# c has no address", "has no address"},
		{"listener 1\nenable_proxy_protocol 2", `bind: ":1"`, "under proxy_protocol of the listener"},
		{"certfile c\nlistener 1", "", "port 1883 that is not there"},
	} {
		yaml, notes := convert(tc.conf)
		if !strings.Contains(yaml, tc.yaml) || !strings.Contains(notes, tc.notes) || tc.notes == "" && notes != "" {
			t.Errorf("%s\nbecame\n%s\nwith\n%s", tc.conf, yaml, notes)
		}
	}
}

// Whatever mosquitto.conf(5) of 2.0 names, alone or for a listener or a bridge,
// is in the configuration or in a note; so is what it does not name.
func TestNoSettingIsLost(t *testing.T) {
	values := []string{"true", "false", "5", "/f", "mqttv50", "error", "1d", "1884 127.0.0.1", "x"}
	settings := []string{"auth_opt_x", "auth_plugin_deny_special_chars", "frobnicate"}
	for _, table := range [][]setting{globalSettings, listenerSettings, bridgeSettings} {
		for _, row := range table {
			settings = append(settings, row.name)
		}
	}
	for _, name := range settings {
		kept := false
		for _, context := range []string{"", "listener 1900\ncertfile c\nkeyfile k\n", "connection b\naddress h\ntopic a out\n", "per_listener_settings true\nlistener 1\n"} {
			before, _ := convert(context)
			for _, v := range values {
				after, notes := convert(context + name + " " + v)
				kept = kept || before != after || strings.Contains(notes, name)
			}
		}
		if !kept && name != "per_listener_settings" {
			t.Errorf("%s is neither in the configuration nor in a note", name)
		}
	}
}

func FuzzConvert(f *testing.F) {
	f.Add("listener 1883 ::1\nconnection a\naddress h k:1\ntopic # both 2 l/ r/\npersistent_client_expiration 1y")
	f.Fuzz(func(t *testing.T, conf string) {
		lines := parse("m.conf", conf)
		text, notes := Convert(lines)
		if len(notes) > 3*len(lines)+1 || !strings.Contains(text, "listeners:") {
			t.Errorf("%d notes of %d lines\n%s", len(notes), len(lines), text)
		}
		root, errs := yaml.Parse(strings.Split(text, "\n"))
		if len(errs) > 0 {
			t.Fatalf("%v\n%s", errs, text)
		}
		for _, e := range root.Entries { // no value of the file is a key here
			if !slices.Contains([]string{"mqtt", "auth", "bridges", "store", "logging", "log", "node", "data_dir", "include"}, e.Key.Text) {
				t.Errorf("%q is a block\n%s", e.Key.Text, text)
			}
		}
	})
}
