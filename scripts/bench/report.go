package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/dunlin-mqtt/dunlin/scripts/bench/load"
)

// record is one run: a line of the results file.
type record struct {
	Round    int         `json:"round"`
	Scenario string      `json:"scenario"`
	Broker   string      `json:"broker"`
	At       int64       `json:"at"` // Unix seconds
	Error    string      `json:"error,omitempty"`
	Metrics  load.Result `json:"metrics,omitempty"`
}

// faults are metrics that must be 0.
var faults = []string{"lost", "dup", "reordered", "without_retain"}

// fault says what is wrong with a run, "" when nothing is.
func (r record) fault() string {
	if r.Error != "" {
		return "failed"
	}
	var found []string
	for _, f := range faults {
		if n := r.Metrics[f]; n != 0 {
			found = append(found, fmt.Sprintf("%s %.0f", f, n))
		}
	}
	return strings.Join(found, ", ")
}

// spread is a median with what it lies between.
type spread struct{ low, median, high float64 }

// spreadOf returns false without values.
func spreadOf(values []float64) (spread, bool) {
	if len(values) == 0 {
		return spread{}, false
	}
	v := slices.Sorted(slices.Values(values))
	middle := v[len(v)/2]
	if len(v)%2 == 0 {
		middle = (middle + v[len(v)/2-1]) / 2
	}
	return spread{v[0], middle, v[len(v)-1]}, true
}

func (s spread) String() string {
	if s.low == s.high {
		return number(s.median)
	}
	return fmt.Sprintf("%s [%s..%s]", number(s.median), number(s.low), number(s.high))
}

// number shows three digits, or all of a whole number.
func number(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// results are the records of all rounds.
type results []record

// of returns the values of a metric by round.
func (rs results) of(scenario, broker, metric string) map[int]float64 {
	found := map[int]float64{}
	for _, r := range rs {
		if v, ok := r.Metrics[metric]; ok && r.Scenario == scenario && r.Broker == broker && r.Error == "" {
			found[r.Round] = v
		}
	}
	return found
}

func (rs results) spread(scenario, broker, metric string) (spread, bool) {
	var values []float64
	for _, v := range rs.of(scenario, broker, metric) {
		values = append(values, v)
	}
	return spreadOf(values)
}

// ratio compares with the reference round by round.
func (rs results) ratio(scenario, broker, metric string) (spread, bool) {
	base := rs.of(scenario, reference, metric)
	var values []float64
	for round, v := range rs.of(scenario, broker, metric) {
		if b := base[round]; b > 0 {
			values = append(values, v/b)
		}
	}
	return spreadOf(values)
}

// faults lists the runs of a broker that went wrong, in a scenario.
func (rs results) faults(scenario, broker string) (list []string) {
	for _, r := range rs {
		if f := r.fault(); r.Scenario == scenario && r.Broker == broker && f != "" {
			list = append(list, fmt.Sprintf("round %d: %s", r.Round, f))
		}
	}
	return list
}

// verdict of the subject in one line of the report: "" where no limit is.
func (rs results) verdict(s scenario, metric string) (text string, ok bool) {
	l, any := limitOf(s.name, metric)
	if !any {
		return "", true
	}
	got, there := rs.spread(s.name, subject, metric)
	form := "<= %s"
	if l.ratio {
		got, there = rs.ratio(s.name, subject, metric)
		form = "<= %sx"
	}
	text = fmt.Sprintf(form, number(l.most))
	if !there {
		return text + " -", true // not run, or nothing to compare with
	}
	if got.median > l.most {
		return text + " MISS", false
	}
	return text + " ok", true
}

// report prints the table and returns how many limits and messages the subject
// missed.
func (rs results) report(out io.Writer, brokers []broker, ran []scenario, judge bool) (misses int) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "scenario\tmetric\tlimit")
	for _, b := range brokers {
		fmt.Fprintf(w, "\t%s", b.name)
		if b.name != reference {
			fmt.Fprintf(w, "\tto %s", reference)
		}
	}
	fmt.Fprintln(w)
	for _, s := range ran {
		for n, metric := range s.metrics {
			verdict, ok := "", true
			if judge {
				if verdict, ok = rs.verdict(s, metric); !ok {
					misses++
				}
			}
			name := s.name
			if n > 0 {
				name = ""
			}
			fmt.Fprintf(w, "%s\t%s\t%s", name, metric, verdict)
			for _, b := range brokers {
				rs.cell(w, s.name, b.name, metric)
			}
			fmt.Fprintln(w)
		}
	}
	w.Flush()
	return misses + rs.reportFaults(out, brokers, ran)
}

func (rs results) cell(w io.Writer, scenario, broker, metric string) {
	text := "-"
	if v, ok := rs.spread(scenario, broker, metric); ok {
		text = v.String()
	}
	fmt.Fprintf(w, "\t%s", text)
	if broker == reference {
		return
	}
	text = ""
	if v, ok := rs.ratio(scenario, broker, metric); ok {
		text = "x" + v.String()
	}
	fmt.Fprintf(w, "\t%s", text)
}

// reportFaults names every run that went wrong; those of the subject count.
func (rs results) reportFaults(out io.Writer, brokers []broker, ran []scenario) (count int) {
	for _, s := range ran {
		for _, b := range brokers {
			for _, f := range rs.faults(s.name, b.name) {
				fmt.Fprintf(out, "%s, %s, %s\n", s.name, b.name, f)
				if b.name == subject {
					count++
				}
			}
		}
	}
	if count == 0 && slices.ContainsFunc(rs, func(r record) bool { return r.Broker == subject }) {
		fmt.Fprintf(out, "%s: nothing lost, doubled or out of order\n", subject)
	}
	return count
}
