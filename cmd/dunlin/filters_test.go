package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckOfFilters(t *testing.T) {
	for filters, want := range map[string]string{
		`
      - sentinel: 85
      - sentinel: {value: 65535, within: -1}
      - loop_4_20ma: {shunt: 150, min: 0, max: 100, wire_break: 3.6}
      - calibrate_polynomial: {degree: 2, datapoints: [0 -> 0, 1 -> 1, 2 -> 4]}
      - map: [0 -> closed, 1 -> open]
      - min: {window_size: 3}
      - quantile: {quantile: 0.5, window_size: 9}
      - hampel: {window_size: 7, sigmas: 3}
      - integrate: {time_unit: min, method: left}
      - derivative:
      - round_to_multiple_of: 0.5
      - throttle_average: 10s
      - debounce: 5s
      - or: [{delta: 0.5}, {max_interval: 60s}, {or: [{delta: 5%}, {throttle: 1s}]}]`: "",
		"[{or: [{delta: 1}]}]":                                "or: wants two filters or more",
		"[{or: [{delta: 1}, {round: 1}]}]":                    "or: takes delta, throttle, debounce, max_interval and or, not filters of the stage format",
		"[{or: [{delta: 1}, {nothing: 1}]}]":                  `there is no filter "nothing"`,
		"[{or: 5}]":                                           "expected a mapping",
		"[{or: [{delta: -1}, {delta: 1}]}]":                   "-1 is negative",
		"[{calibrate_polynomial: {datapoints: [0 -> 1]}}]":    "",
		"[{calibrate_polynomial: {datapoints: [0->1,0->2]}}]": "the measured values must differ",
		"[{loop_4_20ma: {wire_break: 5}}]":                    "is for less than 4 mA",
		"[{throttle: 5x}]":                                    "is not a duration",
		"[{round_to_multiple_of: 0}]":                         "want more than 0",
		"[{derivative: {time_unit: year}}]":                   `time_unit cannot be "year"`,
		"[{map: [0]}]":                                        `want "read -> meant"`,
	} {
		file := filepath.Join(t.TempDir(), "dunlin.yaml")
		text := "mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\ndevices:\n  - name: a\n    driver: sim\n    entities: {v: {filters: " + filters + "}}\n"
		if strings.HasPrefix(filters, "\n") {
			text = strings.Replace(text, "{v: {filters: "+filters+"}}", "\n     v:\n      filters:"+filters, 1)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := checkFile(file).errors.Error()
		if strings.Count(got, "\n") > 0 {
			t.Errorf("%s: one mistake is told as\n%s", filters, got)
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", filters, got, want)
		}
	}
}
