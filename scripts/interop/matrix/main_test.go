package main

import (
	"io"
	"strings"
	"testing"
)

const sample = `{"Action":"run","Test":"TestSessionResume"}
{"Action":"run","Test":"TestSessionResume/mqtt.js/ws_5.0"}
{"Action":"run","Test":"TestSessionResume/mqtt.js_5.0"}
{"Action":"pass","Test":"TestSessionResume/mqtt.js_5.0"}
{"Action":"output","Test":"TestSessionResume/paho-python_5.0","Output":"why\n"}
{"Action":"fail","Test":"TestSessionResume/paho-python_5.0"}
{"Action":"fail","Test":"TestSessionResume"}
{"Action":"run","Test":"TestMosquittoSessionResume/mosquitto_5.0"}
{"Action":"skip","Test":"TestMosquittoSessionResume/mosquitto_5.0"}
{"Action":"pass","Test":"TestTopicAlias"}
{"Action":"fail"}
`

func TestMatrix(t *testing.T) {
	var log, out strings.Builder
	s, err := read(strings.NewReader(sample), &log)
	if err != nil {
		t.Fatal(err)
	}
	s.show(&out)
	if log.String() != "why\n" {
		t.Errorf("output of what failed: %q", &log)
	}
	for _, want := range []string{"2 passed, 1 failed", "1 skipped", "mosquitto", "Session resume", "FAIL", "Topic alias"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestNothingIsAFailure(t *testing.T) {
	s, err := read(strings.NewReader(`{"Action":"build-fail"}`+"\n"+`{"Action":"fail"}`+"\n"), io.Discard)
	if err != nil || s.failed == 0 {
		t.Errorf("%d failed, %v", s.failed, err)
	}
}
