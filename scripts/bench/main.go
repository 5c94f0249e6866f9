package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	here, out     string
	rounds        int
	scale         float64
	judge         bool
	brokers       []broker
	scenarios     []scenario
	extra         extraBrokers
	names         string
	listScenarios bool
	reportOf      string
}

// extraBrokers collects name=command.
type extraBrokers []broker

func (e *extraBrokers) String() string { return "" }

func (e *extraBrokers) Set(text string) error {
	name, command, ok := strings.Cut(text, "=")
	if !ok || name == "" || command == "" {
		return errors.New("want name=command")
	}
	*e = append(*e, broker{name, command})
	return nil
}

func parse() (o options, err error) {
	flag.StringVar(&o.here, "C", ".", "`folder` of the benchmark, with brokers/ and mochi/")
	flag.StringVar(&o.out, "out", "", "`file` for one JSON line per run (default: none)")
	flag.IntVar(&o.rounds, "rounds", 5, "interleaved rounds")
	flag.Float64Var(&o.scale, "scale", 1, "length of the runs; memory is measured with the full number always")
	flag.BoolVar(&o.judge, "judge", true, "compare with the limits, and fail when one is missed")
	flag.StringVar(&o.names, "brokers", "dunlin mosquitto mochi", "servers in brokers/")
	flag.Var(&o.extra, "broker", "another server: `name=command`; may be given again")
	flag.StringVar(&o.reportOf, "report", "", "report on the results in this `file` instead of running anything")
	flag.BoolVar(&o.listScenarios, "list", false, "list the scenarios")
	flag.Parse()
	for _, name := range strings.Fields(o.names) {
		script, err := filepath.Abs(filepath.Join(o.here, "brokers", name+".sh"))
		if err == nil {
			_, err = os.Stat(script)
		}
		if err != nil {
			return o, err
		}
		o.brokers = append(o.brokers, broker{name, script})
	}
	o.brokers = append(o.brokers, o.extra...)
	o.scenarios = scenarios
	if flag.NArg() > 0 {
		o.scenarios = nil
	}
	for _, name := range flag.Args() {
		s, ok := scenarioNamed(name)
		if !ok {
			return o, fmt.Errorf("there is no scenario %q (-list lists them)", name)
		}
		o.scenarios = append(o.scenarios, s)
	}
	return o, nil
}

func run(out, progress io.Writer) error {
	o, err := parse()
	if err != nil {
		return err
	}
	if o.listScenarios {
		for _, s := range scenarios {
			fmt.Fprintf(out, "%-12s %s\n", s.name, s.what)
		}
		return nil
	}
	if o.reportOf != "" {
		all, err := readResults(o.reportOf)
		if err != nil {
			return err
		}
		return all.conclude(out, o)
	}
	if !canTrace() {
		fmt.Fprintln(progress, "system calls are not counted: perf is not here, or may not")
		o.scenarios = slices.DeleteFunc(slices.Clone(o.scenarios), func(s scenario) bool { return s.traced })
	}
	shop, err := prepare(o.here, o.brokers, o.scenarios)
	if shop != nil {
		defer os.RemoveAll(shop.dir)
	}
	if err != nil {
		return err
	}
	all, err := rounds(o, shop, progress)
	if err != nil {
		return err
	}
	return all.conclude(out, o)
}

func readResults(file string) (all results, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := json.NewDecoder(f); ; {
		var r record
		if err := lines.Decode(&r); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, r)
	}
}

// conclude reports on the scenarios that were run; what the subject misses is
// an error.
func (rs results) conclude(out io.Writer, o options) error {
	rounds := 0
	ran := slices.DeleteFunc(slices.Clone(o.scenarios), func(s scenario) bool {
		return !slices.ContainsFunc(rs, func(r record) bool { return r.Scenario == s.name })
	})
	for _, r := range rs {
		rounds = max(rounds, r.Round)
	}
	fmt.Fprintf(out, "medians [lowest..highest] of %d rounds; ratios are taken round by round\n\n", rounds)
	if misses := rs.report(out, o.brokers, ran, o.judge); misses > 0 {
		return fmt.Errorf("%d times %s is not what it has to be", misses, subject)
	}
	return nil
}

// rounds runs everything and writes each result at once.
func rounds(o options, shop *workshop, progress io.Writer) (all results, err error) {
	file := io.Discard
	if o.out != "" {
		f, err := os.OpenFile(o.out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		file = f
	}
	lines := json.NewEncoder(file)
	for round := 1; round <= o.rounds; round++ {
		for _, s := range o.scenarios {
			fmt.Fprintf(progress, "%s round %d %s:", time.Now().Format(time.TimeOnly), round, s.name)
			for n := range o.brokers {
				b := o.brokers[(n+round)%len(o.brokers)] // nobody is always first
				if s.only != "" && s.only != b.name {
					continue
				}
				r := one(shop, b, s, o.scale, round)
				all = append(all, r)
				if err := lines.Encode(r); err != nil {
					return nil, err
				}
				fmt.Fprintf(progress, "  %s %s", b.name, r.brief(s))
			}
			fmt.Fprintln(progress)
		}
	}
	return all, nil
}

func one(shop *workshop, b broker, s scenario, scale float64, round int) record {
	runtime.GC() // what the run before left is not this one's to clean up
	r := record{Round: round, Scenario: s.name, Broker: b.name, At: time.Now().Unix()}
	m, err := measure(shop, b, s, scale)
	if err != nil {
		r.Error = err.Error()
	}
	r.Metrics = m
	return r
}

// brief is the first metric, or what went wrong.
func (r record) brief(s scenario) string {
	if r.Error != "" {
		return r.Error
	}
	text := number(r.Metrics[s.metrics[0]])
	if f := r.fault(); f != "" {
		text += " (" + f + ")"
	}
	return text
}
