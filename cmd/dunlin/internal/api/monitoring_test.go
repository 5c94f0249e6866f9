package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/config/yaml"
)

const monitoring = "../../../../build/monitoring/"

// families are the metrics that this package writes, by their names in its
// source.
func families(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"((?:dunlin|process|go)_[a-z_]+)"`).FindAllStringSubmatch(string(b), -1) {
			all = append(all, m[1])
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %d metrics are found", len(all))
	}
	return all
}

// What may stand in an expression beside metrics: functions, keywords, labels.
var (
	words = strings.Fields("absent_over_time and by changes count deriv increase max min on or predict_linear rate sum time vector " +
		"bridge direction field instance job reason result sensor state store type unit use label_values")
	text     = regexp.MustCompile(`"[^"]*"`)
	variable = regexp.MustCompile(`\$\w+`)
	span     = regexp.MustCompile(`\[\d+[smhd]\]|\[\]`)
	word     = regexp.MustCompile(`[a-zA-Z_][a-zA-Z0-9_:]*`)
	number10 = regexp.MustCompile(`\b\d+(\.\d+)?(e\d+)?\b`)
)

// checkQuery is not a parser of PromQL, but finds what breaks a query over time:
// a metric that is gone, a name that is misspelled, a bracket too few.
func checkQuery(query string, metrics []string) (fault string) {
	q := text.ReplaceAllString(query, `""`)
	var open []rune
	for _, c := range q {
		if i := strings.IndexRune("([{", c); i >= 0 {
			open = append(open, rune(")]}"[i]))
		} else if strings.ContainsRune(")]}", c) {
			if len(open) == 0 || open[len(open)-1] != c {
				return "a bracket that was not opened"
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return "a bracket that is not closed"
	}
	q = number10.ReplaceAllString(span.ReplaceAllString(variable.ReplaceAllString(q, ""), ""), "")
	used := 0
	for _, w := range word.FindAllString(q, -1) {
		switch {
		case slices.Contains(metrics, w):
			used++
		case !slices.Contains(words, w):
			return "there is no " + w
		}
	}
	if used == 0 {
		return "no metric"
	}
	return ""
}

func TestQueriesThatAreWrongAreFound(t *testing.T) {
	for _, q := range []string{`sum(dunlin_ready`, `rate(dunlin_redy[5m])`, `summ(dunlin_ready)`, `dunlin_ready)`, `sum by (bride) (dunlin_ready)`, `time()`} {
		if checkQuery(q, []string{"dunlin_ready"}) == "" {
			t.Errorf("%s passes", q)
		}
	}
}

func TestDashboardNamesMetricsThatThereAre(t *testing.T) {
	b, err := os.ReadFile(monitoring + "dunlin-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID                 int
			Title, Description string
			GridPos            struct{ X, W int }
			Targets            []struct{ Expr string }
			FieldConfig        struct{ Defaults struct{ Unit string } }
		}
		Templating  struct{ List []struct{ Name string } }
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	metrics, seen := families(t), map[int]bool{}
	for _, p := range d.Panels {
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || seen[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d (%s) is not whole", p.ID, p.Title)
		}
		seen[p.ID] = true
		for _, q := range p.Targets {
			if fault := checkQuery(q.Expr, metrics); fault != "" {
				t.Errorf("panel %s: %s: %s", p.Title, q.Expr, fault)
			}
		}
	}
	if len(d.Panels) < 15 || len(d.Templating.List) != 4 || len(d.Annotations.List) != 1 || checkQuery(d.Annotations.List[0].Expr, metrics) != "" {
		t.Errorf("%d panels, %d variables, %d annotations", len(d.Panels), len(d.Templating.List), len(d.Annotations.List))
	}
}

func TestAlertsNameMetricsThatThereAre(t *testing.T) {
	b, err := os.ReadFile(monitoring + "dunlin-alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	root, errs := yaml.Parse(strings.Split(string(b), "\n"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	metrics, count := families(t), 0
	for _, line := range strings.Split(string(b), "\n") {
		if query, is := strings.CutPrefix(strings.TrimSpace(line), "expr: "); is {
			if count++; checkQuery(query, metrics) != "" {
				t.Errorf("%s: %s", query, checkQuery(query, metrics))
			}
		}
	}
	if alerts := strings.Count(string(b), "- alert: "); root == nil || count != alerts || count < 10 || strings.Count(string(b), "severity: ") != alerts || strings.Count(string(b), "summary: ") != alerts {
		t.Errorf("%d expressions for %d alerts", count, alerts)
	}
}
