package sensors

import "testing"

func TestRest(t *testing.T) {
	for _, tc := range []struct {
		off, payload string
		rests        bool
	}{
		{"OFF", "OFF", true}, {"OFF", "off", true}, {"OFF", `{"state":"OFF"}`, true}, {"OFF", "0", true}, {"OFF", "TOGGLE", false}, {"OFF", "ON", false}, {"OFF", "", false},
		{"0", "0", true}, {"0", "OFF", true}, {"0", "40", false}, {"0", "1", false},
		{"5", "5", true}, {"5", "0", false}, {"5", "OFF", false}, {"5", "50", false}, // a setpoint: 0 is a number like others
		{"", "OFF", false}, {"", "", false}, // a button
	} {
		s := Safety{Off: tc.off}
		if got := s.rests([]byte(tc.payload)); got != tc.rests {
			t.Errorf("%q rests at %q: %v", tc.payload, tc.off, got)
		}
	}
}
