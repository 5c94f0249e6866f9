package main

import (
	"slices"
	"testing"
)

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"MQTT-4.3.3-10 a resent PUBLISH", []string{"MQTT-4.3.3-10"}},
		{"MQTT-3.3.1-5 MQTT311-3.3.1-5 MQTT31-2.1-3 kept", []string{"MQTT-3.3.1-5", "MQTT311-3.3.1-5", "MQTT31-2.1-3"}},
		{"MQTT-4.2-1 MQTT31-A-1", []string{"MQTT-4.2-1", "MQTT31-A-1"}},
		{"a PUBLISH [MQTT-3.3.1-5]", nil},
		{"MQTT-2.2.2.2 a section is no statement", nil},
	} {
		if got := names(tc.text); !slices.Equal(got, tc.want) {
			t.Errorf("%q names %v, want %v", tc.text, got, tc.want)
		}
	}
}

func TestTheDataIsRead(t *testing.T) {
	all, err := load("../..")
	if err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]int{"MQTT-": 251, "MQTT311-": 141, "MQTT31-": 48} {
		if got := len(all[prefix]); got != want {
			t.Errorf("%d statements of %s, want %d", got, prefix, want)
		}
	}
}

// The tree must be complete at all times: a statement without a test, or a
// test that names what is no statement, fails here as it does in make spec.
func TestEveryStatementForServersIsNamed(t *testing.T) {
	if err := run("../..", false); err != nil {
		t.Error(err)
	}
}
