package oracles

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	dunlinyaml "github.com/dunlin-mqtt/dunlin/config/yaml"
)

func showOurs(n *dunlinyaml.Node) string {
	if n == nil {
		return "null"
	}
	var parts []string
	switch n.Kind {
	case dunlinyaml.Scalar:
		return strconv.Quote(n.Text)
	case dunlinyaml.Alias:
		return "*" + n.Text
	case dunlinyaml.Mapping:
		for _, e := range n.Entries {
			parts = append(parts, showOurs(e.Key)+":"+showOurs(e.Value))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case dunlinyaml.Sequence:
		for _, it := range n.Items {
			parts = append(parts, showOurs(it))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return "null"
}

func showTheirs(n *yaml.Node) string {
	var parts []string
	switch n.Kind {
	case yaml.DocumentNode:
		return showTheirs(n.Content[0])
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "null"
		}
		return strconv.Quote(n.Value)
	case yaml.AliasNode:
		return "*" + n.Value
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			parts = append(parts, showTheirs(n.Content[i])+":"+showTheirs(n.Content[i+1]))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case yaml.SequenceNode:
		for _, it := range n.Content {
			parts = append(parts, showTheirs(it))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return "null"
}

// What both accept, both read alike: the configurations of this repository,
// and what becomes of them when lines are lost, moved, or changed.
func TestYAMLReadsAsAnotherReaderDoes(t *testing.T) {
	var lines []string
	for _, pattern := range []string{"../../config/examples/*.yaml", "../../config/testdata/bad/*.yaml", "../../*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			compareYAML(t, f, string(text))
			lines = append(lines, strings.Split(string(text), "\n")...)
		}
	}
	lines = append(lines, "- |", "x: >-", "  text of a block", "- - a", "k: \"two", "  lines\"", "- 'a", "  b'", "", "  deeper: {a: [b, {c: d}]}", "[a,", "  b]", "e: &x f", "g: *x")
	both := 0
	for seed := range uint64(60_000) {
		r := rand.New(rand.NewPCG(seed, 7))
		from := r.IntN(len(lines) - 8)
		doc := append([]string(nil), lines[from:from+2+r.IntN(6)]...)
		for range r.IntN(4) {
			i := r.IntN(len(doc))
			switch r.IntN(4) {
			case 0:
				doc[i] = strings.Repeat(" ", r.IntN(4)) + strings.TrimSpace(doc[i])
			case 1:
				doc[i] = lines[r.IntN(len(lines))]
			case 2:
				at := r.IntN(len(doc[i]) + 1)
				doc[i] = doc[i][:at] + string(" :-#'\"[]{},&*|>~x"[r.IntN(17)]) + doc[i][at:]
			default:
				doc = append(doc[:i], doc[i+1:]...)
			}
			if len(doc) == 0 {
				break
			}
		}
		if compareYAML(t, fmt.Sprint("seed ", seed), strings.Join(doc, "\n")+"\n") {
			both++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("both accepted %d of 60000 documents", both)
	if both < 5000 {
		t.Error("too few documents were accepted by both")
	}
}

func compareYAML(t *testing.T, name, text string) bool {
	t.Helper()
	a, errs := dunlinyaml.Parse(strings.Split(text, "\n"))
	var b yaml.Node
	err := yaml.Unmarshal([]byte(text), &b)
	if len(errs) > 0 || err != nil || a == nil || a.Kind == dunlinyaml.Scalar {
		return false // no configuration is one text
	}
	if strings.Contains(text, ":,") || strings.Contains(text, ":]") || strings.Contains(text, ":}") {
		return false // YAML 1.2 ends a key there, the other reader's 1.1 does not
	}
	if got, want := showOurs(a), showTheirs(&b); got != want {
		t.Errorf("%s\n%s\nours   %s\ntheirs %s", name, text, got, want)
	}
	return true
}
