package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// standards are the files of statements and the prefix tests use for each.
var standards = []struct{ title, prefix, file string }{
	{"MQTT 5.0", "MQTT-", "mqtt5.txt"},
	{"MQTT 3.1.1", "MQTT311-", "mqtt311.txt"},
	{"MQTT 3.1", "MQTT31-", "mqtt31.txt"},
}

func main() {
	root := flag.String("root", ".", "the folder of the project")
	all := flag.Bool("all", false, "list every statement with its tests, not only the summary and what is missing")
	flag.Parse()
	if err := run(*root, *all); err != nil {
		fmt.Fprintln(os.Stderr, "spec:", err)
		os.Exit(1)
	}
}

func run(root string, all bool) error {
	statements, err := load(root)
	if err != nil {
		return err
	}
	found, err := scan(root)
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	missing := 0
	for _, standard := range standards {
		missing += report(standard.title, statements[standard.prefix], found, all)
		for _, s := range statements[standard.prefix] {
			known[s.id] = true
		}
	}
	wrong := 0
	for _, id := range slices.Sorted(maps.Keys(found)) {
		for _, n := range found[id] {
			if !known[id] {
				fmt.Printf("%s: there is no statement %s\n", n.place, id)
				wrong++
			}
			if n.wrong != "" {
				fmt.Printf("%s: %s: %s\n", n.place, id, n.wrong)
				wrong++
			}
		}
	}
	if missing+wrong > 0 {
		return fmt.Errorf("%d statements without a test, %d wrong names", missing, wrong)
	}
	return nil
}

// report prints one standard by its chapters and returns how many statements
// for servers have no test.
func report(title string, statements []statement, found map[string][]naming, all bool) (missing int) {
	type count struct{ server, tested, client int }
	chapters := make(map[string]*count)
	var order []string
	total := new(count)
	for _, s := range statements {
		c := chapters[s.chapter()]
		if c == nil {
			c = new(count)
			chapters[s.chapter()] = c
			order = append(order, s.chapter())
		}
		tests := found[s.id]
		switch {
		case s.binds == "client":
			c.client++
			total.client++
		case len(tests) > 0:
			c.tested++
			total.tested++
			fallthrough
		default:
			c.server++
			total.server++
		}
		if all {
			list(s, tests)
		}
		if s.binds != "client" && len(tests) == 0 {
			missing++
			fmt.Printf("%s has no test: %s\n", s.id, s.title)
		}
	}
	for _, name := range order {
		c := chapters[name]
		fmt.Printf("%-10s chapter %-5s %3d of %3d tested, %2d for clients only\n", title, name, c.tested, c.server, c.client)
	}
	fmt.Printf("%-10s %d statements: %d of %d for servers tested (%.1f %%), %d for clients only\n",
		title, len(statements), total.tested, total.server, 100*float64(total.tested)/float64(max(total.server, 1)), total.client)
	return missing
}

func list(s statement, tests []naming) {
	fmt.Printf("%-19s %-6s %s\n", s.id, s.binds, s.title)
	if s.why != "" {
		fmt.Printf("%26s why: %s\n", "", s.why)
	}
	slices.SortFunc(tests, func(a, b naming) int { return cmp.Compare(a.place, b.place) })
	for _, n := range tests {
		fmt.Printf("%26s %s %s\n", "", n.place, strings.TrimSpace(n.name))
	}
}
