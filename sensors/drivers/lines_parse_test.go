package drivers

import (
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestLinesOptions(t *testing.T) {
	type m = map[string]any
	for _, tc := range []struct {
		want     string
		set      func(*linesOptions)
		entities m
	}{
		{"format: ", func(o *linesOptions) { o.Format = "xml" }, nil},
		{"pattern: is missing", func(o *linesOptions) { o.Format = "regex" }, nil},
		{"pattern: ", func(o *linesOptions) { o.Format, o.Pattern = "regex", "(" }, nil},
		{"pattern: has no group", func(o *linesOptions) { o.Format, o.Pattern = "regex", "[0-9]+" }, nil},
		{"pattern: belongs to format: regex", func(o *linesOptions) { o.Pattern = "(x)" }, nil},
		{"header: belongs to format: csv", func(o *linesOptions) { o.Header = true }, nil},
		{"delimiter: ", func(o *linesOptions) { o.Format, o.Delimiter, o.Header = "csv", ", ", true }, nil},
		{"columns: not together with header", func(o *linesOptions) { o.Format, o.Header, o.Columns = "csv", true, []string{"a"} }, nil},
		{"columns: ", func(o *linesOptions) { o.Format, o.Columns = "csv", []string{"a", "a"} }, nil},
		{"max_length: ", func(o *linesOptions) { o.MaxLength = 1 << 20 }, nil},
		{"on_mismatch: ", func(o *linesOptions) { o.OnMismatch = "ignore" }, nil},
		{"separator: ", func(o *linesOptions) { o.Format, o.Separator = "key_value", "" }, nil},
		{"entities: which column", func(o *linesOptions) { o.Format = "csv" }, nil},
		{"entities.a.column: ", func(o *linesOptions) { o.Format = "csv" }, m{"a": &lineEntity{Column: "0"}}},
		{"entities.a.column: ", func(o *linesOptions) { o.Format = "csv" }, m{"a": &lineEntity{}}},
		{"entities.a.path: format csv", func(o *linesOptions) { o.Format = "csv" }, m{"a": &lineEntity{Path: "x"}}},
		{"entities.a.group: ", func(o *linesOptions) { o.Format, o.Pattern = "regex", "(?P<b>x)" }, m{"a": &lineEntity{}}},
		{"terminator: ", func(o *linesOptions) { o.Terminator = "123456789" }, nil},
		{"on_silence: ", func(o *linesOptions) { o.OnSilence.Reset = "dtr" }, nil},
		{"entities.a.when: \"b\" is no comparison", nil, m{"a": &lineEntity{When: "b"}}},
		{"entities.a.when: < compares numbers", nil, m{"a": &lineEntity{When: "b < c"}}},
		{"entities.a.type: ", nil, m{"a": &lineEntity{Type: "float"}}},
		{"commands.v: send is missing", func(o *linesOptions) { o.Commands = map[string]lineCommand{"v": {}} }, nil},
		{"commands.v: send: {{on}}", func(o *linesOptions) { o.Commands = map[string]lineCommand{"v": {Send: "{{on}}"}} }, nil},
		{"commands.v: expect.key", func(o *linesOptions) {
			o.Commands = map[string]lineCommand{"v": {Send: "x", Expect: lineExpect{Key: "v"}}}
		}, nil},
		{"commands.state: \"state\" is reserved", func(o *linesOptions) { o.Commands = map[string]lineCommand{"state": {Send: "x"}} }, nil},
	} {
		_, err := build(t, "lines", func(o any) {
			if tc.set != nil {
				tc.set(o.(*linesOptions))
			}
		}, tc.entities)
		if !strings.HasPrefix(fmt.Sprint(err), tc.want) {
			t.Errorf("New = %v, want %q", err, tc.want)
		}
	}
}

func TestInfer(t *testing.T) {
	for text, want := range map[string]any{
		"12": int64(12), "-3": int64(-3), "+ 4": int64(4), "1.50": 1.5, ".5": 0.5, "5.": 5.0, "1e3": 1000.0, "99999999999999999999": 1e20, "18446744073709551615": uint64(math.MaxUint64), "-9223372036854775809": -0x1p63,
		"on": true, "FALSE": false, "": "", "1.2.3": "1.2.3", "0x10": "0x10", "1_000": "1_000", "1e999": "1e999", "12 kg": "12 kg", "NaN": "NaN",
	} {
		if got := infer(text); got != want {
			t.Errorf("infer(%q) = %#v, want %#v", text, got, want)
		}
	}
}

func TestWhen(t *testing.T) {
	fields := []lineField{{key: "1", alias: "stable", value: "ST"}, {key: "n", value: "12.50"}, {key: "on", value: true}, {key: "s", value: quoted("7")}, {key: "none"}}
	for text, want := range map[string]bool{
		`stable == "ST"`: true, "1 == ST": true, `stable != 'US'`: true, `stable == "US"`: false, "n == 12.5": true, "n > 12": true, "n <= 12": false,
		"n != 12.5": false, "n >= 12.5": true, "n < 13": true, "on == true": true, "on != true": false, "on == 1": false, "s == \"7\"": true, "none == x": false,
		"none != x": false, "absent != x": false, "stable > 1": false,
	} {
		w, err := parseWhen(text)
		if err != nil {
			t.Fatal(err)
		}
		if w.holds(fields) != want {
			t.Errorf("%s is %v", text, !want)
		}
	}
}

func TestDiscoveryIsBounded(t *testing.T) {
	p, err := newPicker(&linesOptions{Format: "key_value"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for i := range 10000 {
		list, err := p.readings([]lineField{{key: fmt.Sprint("k", i), value: "1"}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			names[r.Entity] = true
		}
	}
	if len(names) != maxDiscovered || len(p.found) > 4*maxDiscovered {
		t.Errorf("%d entities and %d remembered keys, want %d and at most %d", len(names), len(p.found), maxDiscovered, 4*maxDiscovered)
	}
	// Keys that sanitize alike do not share a name.
	p, _ = newPicker(&linesOptions{Format: "key_value"}, nil)
	list, _ := p.readings([]lineField{{key: "Temp", value: "1"}, {key: "temp", value: "2"}}, time.Now())
	if len(list) != 1 || list[0].Value != int64(1) {
		t.Errorf("Temp and temp gave %v", list)
	}
}

// lineFormats are options of every format, for fuzzing.
func lineFormats() []*linesOptions {
	return []*linesOptions{
		{Format: "json"},
		{Format: "csv", Columns: []string{"a", "b"}},
		{Format: "csv", Header: true, Delimiter: ";"},
		{Format: "key_value", Separator: "="},
		{Format: "key_value", Separator: ":", Delimiter: "|"},
		{Format: "regex", Pattern: `^(?P<s>ST|US),(?P<w>[+-] *[0-9.]+)(kg|g)?$`},
	}
}

func FuzzParseLine(f *testing.F) {
	for i := range lineFormats() {
		for _, s := range []string{
			`{"a":1,"b":{"c":[1,null,"x"]}}`, `[1,2]`, `{"a":1}}`, "1,2", "a;b", "\"1\",2", "a=1 b=2", "a = 1; b = 2", "t:1|u:2",
			"ST,+ 12.5kg", "US,-1", "", "#", "nan,inf", strings.Repeat("[", 2000), "\xff\x00", `{"":{"":1}}`, "=", "a==b",
		} {
			f.Add(i, s)
		}
	}
	f.Fuzz(func(t *testing.T, format int, line string) {
		all := lineFormats()
		o := all[uint(format)%uint(len(all))]
		parse, err := newLineParser(o)
		if err != nil {
			t.Fatal(err)
		}
		pick, err := newPicker(o, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time a header is known
			fields, err := parse(line)
			if err != nil || fields == nil {
				continue
			}
			list, err := pick.readings(fields, time.Unix(0, 0))
			if err != nil {
				continue
			}
			if len(list) > len(fields) {
				t.Fatalf("%q: %d readings of %d fields", line, len(list), len(fields))
			}
			for _, r := range list {
				checkReading(t, line, r)
			}
		}
	})
}

func checkReading(t *testing.T, line string, r sensors.Reading) {
	t.Helper()
	if r.Entity == "" || strings.ContainsAny(r.Entity, "/+#\x00 ") || len(r.Entity) > 70 {
		t.Fatalf("%q: entity %q", line, r.Entity)
	}
	switch v := r.Value.(type) {
	case nil:
		if r.Err == nil {
			t.Fatalf("%q: %s has neither value nor error", line, r.Entity)
		}
	case float64:
		if v != v || v-v != 0 {
			t.Fatalf("%q: %s = %v", line, r.Entity, v)
		}
	case int64, uint64, bool, string:
	default:
		t.Fatalf("%q: %s is a %T", line, r.Entity, v)
	}
}

// What the driver finds by hand is what these say.
func TestLineShapes(t *testing.T) {
	decimals := regexp.MustCompile(`^[+-]? *([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
	placeholder := regexp.MustCompile(`\{\{([^{}]*)\}\}`)
	pieces := []string{"1", "0", ".", "e", "E", "+", "-", " ", "x", "_", "inf", "nan", "p", "999", "{", "}", "{{", "}}", "|"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 4_000 {
		var b strings.Builder
		for range r.IntN(7) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		s := b.String()
		if got, want := decimal(s), decimals.MatchString(s); got != want {
			t.Errorf("%q is a number: %v", s, got)
		}
		got := fillIn(s, func(inside string) string { return "<" + inside + ">" })
		if want := placeholder.ReplaceAllString(s, "<$1>"); got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
	}
}

// splitCSV and package encoding/csv agree, also about what is none.
func TestSplitCSV(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const letters = "aé \t,;\"\"1"
	for range 200_000 {
		comma := []string{",", ";", "\t", " ", "é"}[r.IntN(5)]
		line := ""
		for range r.IntN(12) {
			c := []rune(letters)[r.IntN(9)]
			line += string(c)
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		want := csv.NewReader(strings.NewReader(line))
		want.Comma, _ = utf8.DecodeRuneInString(comma)
		want.TrimLeadingSpace = comma != "\t" && comma != " "
		record, err := want.Read()
		got, bad := splitCSV(line, comma)
		if (bad == nil) != (err == nil) || bad == nil && !slices.Equal(got, record) {
			t.Fatalf("%q by %q: %q, %v; want %q, %v", line, comma, got, bad, record, err)
		}
	}
}
