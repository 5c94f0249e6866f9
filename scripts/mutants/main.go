package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	root := flag.String("root", ".", "the folder of the project")
	list := flag.String("list", "mutants.txt", "the mutants, in scripts/mutants: mutants.txt or crash.txt")
	only := flag.String("only", "", "only mutants whose statement or description contains this")
	workers := flag.Int("j", runtime.GOMAXPROCS(0), "mutants at a time")
	times := flag.Int("times", 1, "runs of each mutant; it must be killed in all of them")
	overlay := flag.String("overlay", "", "run nothing: write into this `folder` what go build -overlay needs for the mutant that -only names")
	flag.Parse()
	all, err := chosenFrom(filepath.Join(*root, "scripts", "mutants", *list), *only)
	switch {
	case err != nil:
	case *overlay != "":
		err = overlayOf(*root, *overlay, all)
	default:
		err = run(*root, *list, all, *workers, *times)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// chosenFrom loads the mutants of a list whose statement or description has a
// text in it.
func chosenFrom(list, only string) ([]mutant, error) {
	all, err := load(list)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(m mutant) bool { return !strings.Contains(m.statement+" "+m.about, only) })
	if len(all) == 0 {
		return nil, errors.New("no mutant of that name")
	}
	return all, nil
}

// overlayOf writes the one mutant there is.
func overlayOf(root, dir string, all []mutant) error {
	if len(all) > 1 {
		return fmt.Errorf("-only names %d mutants", len(all))
	}
	text, err := all[0].apply(root)
	if err != nil {
		return err
	}
	_, err = writeOverlay(root, dir, map[string]string{all[0].file: text})
	return err
}

func run(root, list string, all []mutant, workers, times int) error {
	s, err := survey(root, "broker", "cmd/dunlin")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dunlin-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBuilder(root, dir, all)
	if err != nil {
		return err
	}
	start := time.Now()
	verdicts := make([]error, len(all))
	next := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range next {
				m := &all[i]
				for n := 0; n < times && verdicts[i] == nil; n++ {
					verdicts[i] = s.kill(b, m)
				}
				if verdicts[i] == nil {
					fmt.Printf("killed   %-20s %s\n", m.statement, m.about)
				} else {
					fmt.Printf("SURVIVED %-20s %s\n  %s:%d: %v\n", m.statement, m.about, list, m.line, verdicts[i])
				}
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	group.Wait()
	survived := 0
	for _, v := range verdicts {
		if v != nil {
			survived++
		}
	}
	if all[0].run == "" {
		fmt.Println(spread(all))
	}
	fmt.Printf("%d mutants, %d killed, %d survived, %s\n", len(all), len(all)-survived, survived, time.Since(start).Round(time.Second))
	if survived > 0 {
		return fmt.Errorf("%d of %d survived", survived, len(all))
	}
	return nil
}

// spread says how many mutants each chapter has.
func spread(all []mutant) string {
	count := make(map[string]int)
	for _, m := range all {
		_, number, _ := strings.Cut(m.statement, "-")
		chapter, _, _ := strings.Cut(number, ".")
		count[chapter]++
	}
	var b strings.Builder
	b.WriteString("by chapter:")
	for _, chapter := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&b, " %s: %d", chapter, count[chapter])
	}
	return b.String()
}

// kill runs the tests that name a mutant's statement on it. The error says why
// it lives.
func (s *suite) kill(b *builder, m *mutant) error {
	if m.run != "" {
		out, _ := b.test(m, m.pkg, m.run)
		switch {
		case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
			return fmt.Errorf("it does not compile:\n%s", out)
		case !strings.Contains(out, "--- FAIL: "):
			return fmt.Errorf("%s passes, or did not end:\n%s", m.run, out)
		}
		return nil
	}
	found := s.naming(m.statement)
	if len(found) == 0 {
		return errors.New("no test names the statement")
	}
	var said []string
	for _, pkg := range slices.Sorted(maps.Keys(found)) {
		out, err := b.test(m, pkg, s.pattern(pkg, m.statement, found[pkg]))
		switch {
		case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
			return fmt.Errorf("it does not compile:\n%s", out)
		case err != nil && failed(out, m.statement):
			return nil
		case err != nil:
			said = append(said, pkg+": another test failed:\n"+out)
		default:
			said = append(said, pkg+": all pass")
		}
	}
	return errors.New(strings.Join(said, "; "))
}

var failure = regexp.MustCompile(`(?m)^\s*(?:--- FAIL: |panic: |\S+_test\.go:\d+: |\S+\.go:\d+: |\tTest).*$`)

// failed reports whether what failed names the statement.
func failed(out, statement string) bool {
	is := bounded(statement)
	for _, line := range failure.FindAllString(out, -1) {
		if is.MatchString(strings.ReplaceAll(line, "_", " ")) {
			return true
		}
	}
	return false
}
