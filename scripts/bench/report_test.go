package main

import (
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/scripts/bench/load"
)

func sample() results {
	at := func(round int, broker string, cpu, lost float64) record {
		return record{Round: round, Scenario: "fanin0", Broker: broker, Metrics: load.Result{"cpu_us_per_msg": cpu, "lost": lost}}
	}
	return results{
		at(1, subject, 1, 0), at(1, reference, 4, 0),
		at(2, subject, 4, 0), at(2, reference, 8, 0), // a noisy round: the ratio is 0.5 in it
		at(3, subject, 1, 0), at(3, reference, 5, 0),
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	got, ok := sample().ratio("fanin0", subject, "cpu_us_per_msg")
	if want := (spread{0.2, 0.25, 0.5}); !ok || got != want {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestReportNamesMissesAndLosses(t *testing.T) {
	brokers := []broker{{name: subject}, {name: reference}}
	s, _ := scenarioNamed("fanin0")
	rs := sample()
	var out strings.Builder
	if n := rs.report(&out, brokers, []scenario{s}, true); n != 0 || !strings.Contains(out.String(), "<= 0.3x ok") {
		t.Errorf("%d misses in\n%s", n, &out)
	}
	rs[0].Metrics["cpu_us_per_msg"] = 2
	rs[2].Metrics["lost"] = 3
	rs[1].Metrics["dup"] = 1 // of the reference: told, not counted
	out.Reset()
	n := rs.report(&out, brokers, []scenario{s}, true)
	if n != 2 {
		t.Errorf("%d misses, want one of the limit and one of the loss", n)
	}
	for _, want := range []string{"<= 0.3x MISS", "fanin0, dunlin, round 2: lost 3", "fanin0, mosquitto, round 1: dup 1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestReportPraisesNobodyWhoDidNotRun(t *testing.T) {
	s, _ := scenarioNamed("fanin0")
	var out strings.Builder
	rs := results{{Round: 1, Scenario: s.name, Broker: reference, Metrics: load.Result{"cpu_us_per_msg": 4}}}
	if rs.report(&out, []broker{{name: reference}}, []scenario{s}, true); strings.Contains(out.String(), subject) {
		t.Errorf("%s did not run:\n%s", subject, &out)
	}
}

func TestEveryLimitIsMeasured(t *testing.T) {
	for _, l := range limits {
		s, ok := scenarioNamed(l.scenario)
		if !ok || !strings.Contains(" "+strings.Join(s.metrics, " ")+" ", " "+l.metric+" ") {
			t.Errorf("%s %s is in no scenario", l.scenario, l.metric)
		}
	}
}
