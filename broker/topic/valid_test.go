package topic

import (
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// judged checks an error against the statement that starts a test's name; ""
// stands for a valid topic.
func judged(t *testing.T, err error, code mqtt.ReasonCode, spec string) {
	t.Helper()
	if spec == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	e, ok := err.(*mqtt.Error)
	if !ok || e.Code != code || e.Spec != spec {
		t.Errorf("err = %v, want 0x%02x [%s]", err, byte(code), spec)
	}
}

func TestValidName(t *testing.T) {
	for _, tc := range []struct{ name, spec string }{
		{"a", ""}, {"/", ""}, {"//", ""}, {"/finance", ""}, {"Accounts payable", ""},
		{"$SYS/broker/uptime", ""}, {"sport/tennis/player1", ""}, {"größe/\U0010FFFF", ""},
		{"\uFEFF", ""}, {strings.Repeat("a", 65535), ""}, {strings.Repeat("/", 65535), ""},
		{"", "MQTT-4.7.3-1"},
		{strings.Repeat("a", 65536), "MQTT-4.7.3-3"},
		{"a\x00b", "MQTT-4.7.3-2"},
		{"a\xff", "MQTT-1.5.4-1"}, {"\xed\xa0\x80", "MQTT-1.5.4-1"}, {"\xc0\xaf", "MQTT-1.5.4-1"},
		{"a/+/b", "MQTT-4.7.0-1"}, {"#", "MQTT-4.7.0-1"}, {"a+", "MQTT-4.7.0-1"},
	} {
		t.Run(tc.spec+" "+short(tc.name), func(t *testing.T) {
			judged(t, ValidName(tc.name), mqtt.TopicNameInvalid, tc.spec)
			judged(t, ValidNameBytes([]byte(tc.name)), mqtt.TopicNameInvalid, tc.spec)
		})
	}
	name := []byte("sensors/room/temperature/größe")
	if n := testing.AllocsPerRun(100, func() { _ = ValidNameBytes(name) }); n != 0 {
		t.Errorf("ValidNameBytes: %v allocations", n)
	}
}

func TestValidFilter(t *testing.T) {
	for _, tc := range []struct{ filter, spec string }{
		// The examples of section 4.7.1.
		{"sport/tennis/player1/#", ""}, {"sport/#", ""}, {"#", ""}, {"sport/tennis/#", ""},
		{"sport/tennis#", "MQTT-4.7.1-1"}, {"sport/tennis/#/ranking", "MQTT-4.7.1-1"},
		{"+", ""}, {"+/tennis/#", ""}, {"sport/+/player1", ""}, {"sport+", "MQTT-4.7.1-2"},
		{"sport/+", ""}, {"/+", ""}, {"+/+", ""}, {"$SYS/#", ""}, {"/#", ""}, {"//", ""},
		{"##", "MQTT-4.7.1-1"}, {"#/", "MQTT-4.7.1-1"}, {"a/#b", "MQTT-4.7.1-1"},
		{"++", "MQTT-4.7.1-2"}, {"+a", "MQTT-4.7.1-2"}, {"a/b+/c", "MQTT-4.7.1-2"}, {"+#", "MQTT-4.7.1-2"},
		{"", "MQTT-4.7.3-1"}, {"a\x00", "MQTT-4.7.3-2"}, {"\xff", "MQTT-1.5.4-1"},
		{strings.Repeat("a", 65536), "MQTT-4.7.3-3"},
		{"$share/consumer/sport/#", ""}, {"$share/g//", ""}, {"$share/g/#", ""}, {"$queue/a/+", ""},
		{"$share", ""}, {"$queue", ""}, // no slash, no group: topics like any other
		{"$share/", "MQTT-4.8.2-1"}, {"$share//a", "MQTT-4.8.2-1"},
		{"$share/g", "MQTT-4.8.2-2"}, {"$share/g/", "MQTT-4.8.2-2"}, {"$queue/", "MQTT-4.8.2-2"},
		{"$share/+/a", "MQTT-4.8.2-2"}, {"$share/g#/a", "MQTT-4.8.2-2"},
		{"$share/g/a#", "MQTT-4.7.1-1"}, {"$queue/a+", "MQTT-4.7.1-2"},
	} {
		t.Run(tc.spec+" "+short(tc.filter), func(t *testing.T) {
			judged(t, ValidFilter(tc.filter), mqtt.TopicFilterInvalid, tc.spec)
		})
	}
}

func short(s string) string { return s[:min(len(s), 40)] }

func TestShare(t *testing.T) {
	for _, tc := range []struct {
		filter, group, rest string
		shared              bool
	}{
		{"a/b", "", "a/b", false},
		{"$share/g/a/b", "g", "a/b", true},
		{"$share/g//b", "g", "/b", true},
		{"$share/g", "g", "", true},
		{"$share", "", "$share", false},
		{"$SHARE/g/a", "", "$SHARE/g/a", false},
		{"$queue/a", "", "a", true},
		{"a/$share/g/b", "", "a/$share/g/b", false},
	} {
		group, rest, shared := Share(tc.filter)
		if group != tc.group || rest != tc.rest || shared != tc.shared {
			t.Errorf("Share(%q) = %q, %q, %t", tc.filter, group, rest, shared)
		}
	}
}
