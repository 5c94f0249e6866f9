package main

import "testing"

func TestEveryPieceOccursOnce(t *testing.T) {
	all, err := load("mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 60 {
		t.Errorf("%d mutants, want 60 at least", len(all))
	}
	s, err := survey("../..", "broker", "cmd/dunlin")
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		m := &all[i]
		if _, err := m.apply("../.."); err != nil {
			t.Errorf("mutants.txt:%d: %s: %v", m.line, m.statement, err)
		}
		if len(s.naming(m.statement)) == 0 {
			t.Errorf("mutants.txt:%d: no test names %s", m.line, m.statement)
		}
	}
}

func TestEveryBugOfTheStoreCanBeSeeded(t *testing.T) {
	all, err := load("crash.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 7 {
		t.Errorf("%d mutants, want 7 at least", len(all))
	}
	for i := range all {
		m := &all[i]
		if _, err := m.apply("../.."); err != nil {
			t.Errorf("crash.txt:%d: %s: %v", m.line, m.statement, err)
		}
		if m.pkg == "" || m.run == "" {
			t.Errorf("crash.txt:%d: %s: no test", m.line, m.statement)
		}
	}
}

func TestFailedLooksForTheStatement(t *testing.T) {
	for _, tc := range []struct {
		out  string
		want bool
	}{
		{"--- FAIL: TestWireScripts/4_operation/5/MQTT-4.3.3-1_QoS_2 (0.01s)\n", true},
		{"--- FAIL: TestWireScripts/4_operation/5/MQTT-4.3.3-10_QoS_2 (0.01s)\n", false},
		{"    x_test.go:12: MQTT-4.3.3-1 sent twice\n", true},
		{"ok  \tMQTT-4.3.3-1\n", false},
	} {
		if got := failed(tc.out, "MQTT-4.3.3-1"); got != tc.want {
			t.Errorf("%q: %t", tc.out, got)
		}
	}
}
