package yaml

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// show writes a tree on one line: "text" for quoted, text for plain scalars.
func show(n *Node) string {
	if n == nil {
		return "nil"
	}
	var b strings.Builder
	if n.Anchor != "" {
		b.WriteString("&" + n.Anchor + " ")
	}
	switch n.Kind {
	case Null:
		b.WriteString("null")
	case Alias:
		b.WriteString("*" + n.Text)
	case Scalar:
		b.WriteString(strconv.Quote(n.Text))
	case Mapping:
		b.WriteString("{")
		for i, e := range n.Entries {
			if i > 0 {
				b.WriteString(" ")
			}
			b.WriteString(e.Key.Text + ":" + show(e.Value))
		}
		b.WriteString("}")
	case Sequence:
		b.WriteString("[")
		for i, it := range n.Items {
			if i > 0 {
				b.WriteString(" ")
			}
			b.WriteString(show(it))
		}
		b.WriteString("]")
	}
	return b.String()
}

func TestParse(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "", "nil"},
		{"comments only", "# a\n\n  # b\n", "nil"},
		{"mapping", "a: 1\nb: two words # c\n", `{a:"1" b:"two words"}`},
		{"nested", "a:\n  b:\n    c: d\ne: f", `{a:{b:{c:"d"}} e:"f"}`},
		{"list in the column of its key", "a:\n- x\n- y\nb: z", `{a:["x" "y"] b:"z"}`},
		{"list of mappings", "- a: 1\n  b: 2\n-   c: 3\n    d: 4\n-\n  e: 5\n- - x\n  - y", `[{a:"1" b:"2"} {c:"3" d:"4"} {e:"5"} ["x" "y"]]`},
		{"empty values", "a:\nb: ~\nc: null\nd: ''\n-e:", `{a:null b:null c:null d:"" -e:null}`},
		{"empty list item", "-\n- a", `[null "a"]`},
		{"colons and hashes inside", "a: mqtt://h:1883\nb: x#y\nc: ::1\nd: 12:30:00", `{a:"mqtt://h:1883" b:"x#y" c:"::1" d:"12:30:00"}`},
		{"plain with indicators inside", "a: -1\nb: ?x\nc: tank.level > 10\nd: 0.0 -> 0.4", `{a:"-1" b:"?x" c:"tank.level > 10" d:"0.0 -> 0.4"}`},
		{"plain over lines", "a: one\n  two\n\n  three\nb: c", `{a:"one two\nthree" b:"c"}`},
		{"single quotes", "a: 'it''s # no comment: here'", `{a:"it's # no comment: here"}`},
		{"double quotes", `a: "\t\"\\ \x41\u00e9\U0001F600\/"`, `{a:"\t\"\\ Aé😀/"}`},
		{"quotes over lines", "a: \"one\n  two\n\n  three \\\n  four\"\nb: 'x\n\n   y'", `{a:"one two\nthree four" b:"x\ny"}`},
		{"quoted keys", "\"a b\": 1\n'c:d': 2", `{a b:"1" c:d:"2"}`},
		{"flow", "a: [1, two words, \"x, y\", {b: c, d: [e]}]", `{a:["1" "two words" "x, y" {b:"c" d:["e"]}]}`},
		{"flow over lines", "a: [ # why\n  1,\n  2, # c\n]\nb: {c: d,\n  e: f}", `{a:["1" "2"] b:{c:"d" e:"f"}}`},
		{"flow with a trailing comma", "[a, b,]", `["a" "b"]`},
		{"flow pair in a list", "[a: 1, b]", `[{a:"1"} "b"]`},
		{"flow key without a value", "{a, b: , c: d}", `{a:null b:null c:"d"}`},
		{"flow colons", "{a: x:y, \"b\":1, c: ::1}", `{a:"x:y" b:"1" c:"::1"}`},
		{"flow plain over lines", "[one\n  two, three]", `["one two" "three"]`},
		{"empty flow", "a: []\nb: {}", `{a:[] b:{}}`},
		{"topic filters", "a: [sensors/#, +/x, a/+/b]", `{a:["sensors/#" "+/x" "a/+/b"]}`},
		{"literal", "a: |\n  one\n    two\n\n  three\nb: c", `{a:"one\n  two\n\nthree\n" b:"c"}`},
		{"literal, stripped and kept", "a: |-\n  x\n\nb: |+\n  y\n\nc: d", `{a:"x" b:"y\n\n" c:"d"}`},
		{"literal, indentation given", "a: |2\n    x\n  y", `{a:"  x\ny\n"}`},
		{"folded", "a: >\n  one\n  two\n\n  three\n    four\n  five\n", `{a:"one two\nthree\n  four\nfive\n"}`},
		{"literal in a list", "- |\n  x\n- y", `["x\n" "y"]`},
		{"anchors", "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\ne: &y\n  f: g", `{a:&x {b:"1"} c:*x d:{<<:*x} e:&y {f:"g"}}`},
		{"the tag of text", "a: !!str 1", `{a:"1"}`},
		{"one document marked", "%YAML 1.2\n---\na: b\n...\n", `{a:"b"}`},
		{"document on the line of its marker", "--- a\n", `"a"`},
		{"carriage returns", "a: b\r\nc:\r\n  - d\r\n", `{a:"b" c:["d"]}`},
		{"byte order mark", "\uFEFFa: b", `{a:"b"}`},
		{"variables", "a: ${X:-y z}\nb: \"${Y}\"", `{a:"${X:-y z}" b:"${Y}"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, errs := Parse(strings.Split(test.text, "\n"))
			if len(errs) > 0 {
				t.Fatalf("refused: %v", errs)
			}
			if got := show(n); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// Each mistake is reported where it was made; reading goes on where it can.
func TestMistakes(t *testing.T) {
	tests := []struct{ name, text, want, tree string }{
		{"tab", "a:\n\tb: c", "2:1+1 a tab is used for indentation", "nil"},
		{"tab after a dash", "-\ta: b", "1:2+1 a tab is used for indentation", "nil"},
		{"indentation", "a: 1\n   b: 2", "2:4+4 this line does not fit the lines around it", "nil"},
		{"indentation between", "a:\n    b: 1\n  c: 2", "3:3+4 this line does not fit the lines around it", "nil"},
		{"colon in a value", "a: b: c", "1:5+3 this line does not fit the lines around it", "nil"},
		{"no colon", "a: 1\nb\nc: 2", "2:1+1 this line does not fit the lines around it", "nil"},
		{"text behind quotes", "a: \"b\" c", "1:8+1 this line does not fit the lines around it", "nil"},
		{"list behind a key", "a: - b", "1:4+1 a list starts on a line of its own", "nil"},
		{"list below text", "a: b\n  - c", "2:3+3 this line does not fit the lines around it", "nil"},
		{"open bracket", "a: [1,\nb: 2", "1:4+1 the bracket opened here is never closed", "nil"},
		{"open bracket at the end", "a: [1", "1:4+1 the bracket opened here is never closed", "nil"},
		{"wrong bracket", "a: [1}", "1:6+1 a comma or ']' is missing before this", "nil"},
		{"no comma", "a: [\"x\" \"y\"]", "1:9+1 a comma or ']' is missing before this", "nil"},
		{"open quote", "a: \"b\nc: d", "1:4+1 the quote opened here is never closed", "nil"},
		{"hash alone between brackets", "a: [x, #]\nb: c", "1:8+1 empty value: '#' starts a comment here", `{a:["x" "#"] b:"c"}`},
		{"star", "a: *\nb: [*, x]", "1:4+1 '*' cannot start an unquoted value in YAML; 2:5+1 '*' cannot start an unquoted value in YAML", `{a:"*" b:["*" "x"]}`},
		{"percent and at", "a: %c\nb: @x", "1:4+2 '%' cannot start an unquoted value in YAML; 2:4+2 '@' cannot start an unquoted value in YAML", `{a:"%c" b:"@x"}`},
		{"greater", "a: > 10", "1:4+4 '>' cannot start an unquoted value in YAML", `{a:"> 10"}`},
		{"variable between brackets", "{a: ${X:-y}, b: c}", "1:5+7 '${...}' inside brackets must be quoted", `{a:"${X:-y}" b:"c"}`},
		{"backslash", `a: "C:\dir"`, "1:7+2 this backslash starts no escape that YAML knows", `{a:"C:\\dir"}`},
		{"tag", "a: !!binary x", "1:4+8 tags such as !!binary are not used here", `{a:"x"}`},
		{"question mark", "? a\n: b", "1:1+1 a key must be plain text, without '?'", "nil"},
		{"anchor before a key", "&x a: b", "1:1+1 an anchor or tag cannot stand before a key", `&x {a:"b"}`},
		{"second document", "a: b\n---\nc: d", "3:1+4 a second document (---) starts here: one file is one document", `{a:"b"}`},
		{"key in brackets", "{[a]: b}", "1:2+1 a key must be plain text", `{:"b"}`},
		{"too deep", strings.Repeat("[", 200), "1:100+1 the file is nested too deeply", "nil"},
		{"too deep in blocks", strings.Repeat("- ", 200), "1:201+1 the file is nested too deeply", "nil"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, errs := Parse(strings.Split(test.text, "\n"))
			var got []string
			for _, e := range errs {
				got = append(got, fmt.Sprintf("%d:%d+%d %s", e.Line, e.Col, e.Length, strings.ReplaceAll(e.Msg, `"`, "'")))
			}
			if s := strings.Join(got, "; "); s != strings.ReplaceAll(test.want, `"`, "'") {
				t.Errorf("got  %s\nwant %s", s, test.want)
			}
			if tree := show(n); tree != test.tree {
				t.Errorf("tree %s, want %s", tree, test.tree)
			}
		})
	}
}

// A value stands where it begins, counted in characters.
func TestPlaces(t *testing.T) {
	n, errs := Parse(strings.Split("é: [\"ü\", x]\nb:\n  - c: 'd'\n", "\n"))
	if errs != nil {
		t.Fatal(errs)
	}
	places := func(n *Node) string { return fmt.Sprintf("%d:%d+%d", n.Line, n.Col, n.Length) }
	list := n.Entries[0].Value
	d := n.Entries[1].Value.Items[0].Entries[0].Value
	got := strings.Join([]string{places(n), places(list), places(list.Items[0]), places(list.Items[1]), places(n.Entries[1].Value), places(d)}, " ")
	if want := "1:1+1 1:4+1 1:5+3 1:10+1 3:3+1 3:8+3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// writer renders a random tree in random styles.
type writer struct {
	*rand.Rand
	b strings.Builder
}

func (w *writer) tree(depth int) *Node {
	switch k := w.IntN(6); {
	case depth == 0 || k < 3:
		return &Node{Kind: Scalar, Text: w.word()}
	case k == 3:
		return &Node{Kind: Null}
	case k == 4:
		n := &Node{Kind: Sequence}
		for range 1 + w.IntN(3) {
			n.Items = append(n.Items, w.tree(depth-1))
		}
		return n
	}
	n := &Node{Kind: Mapping}
	for i := range 1 + w.IntN(3) {
		n.Entries = append(n.Entries, Entry{&Node{Kind: Scalar, Text: fmt.Sprint("k", i)}, w.tree(depth - 1)})
	}
	return n
}

var words = []string{"", "a", "two words", "it's", "say \"so\"", "x: y", "a #b", "#", "- x", "[a", "1883", "tab\there", "line\nbreak\n\nmore", " padded ", "é", "null", "*", "a,b", "---", "trailing\n", "\\"}

func (w *writer) word() string { return words[w.IntN(len(words))] }

func (w *writer) flow(n *Node) {
	space := func() { w.b.WriteString([]string{"", " ", "  "}[w.IntN(3)]) }
	switch n.Kind {
	case Null:
		w.b.WriteString("~")
	case Scalar:
		w.scalar(n.Text, true)
	case Sequence:
		w.b.WriteString("[")
		for i, it := range n.Items {
			if i > 0 {
				w.b.WriteString(",")
			}
			space()
			w.flow(it)
			space()
		}
		w.b.WriteString("]")
	case Mapping:
		w.b.WriteString("{")
		for i, e := range n.Entries {
			if i > 0 {
				w.b.WriteString(",")
			}
			space()
			w.b.WriteString(e.Key.Text + ": ")
			w.flow(e.Value)
			space()
		}
		w.b.WriteString("}")
	}
}

func (w *writer) scalar(s string, flow bool) {
	plain := s != "" && s != "null" && s != "---" && s == strings.TrimSpace(s) && !strings.ContainsAny(s, "\"'#\\\t\n*[]{}") && !strings.Contains(s, ": ") && !strings.HasPrefix(s, "- ") && (!flow || !strings.Contains(s, ","))
	switch {
	case plain && w.IntN(2) == 0:
		w.b.WriteString(s)
	case !strings.ContainsAny(s, "\n\t") && w.IntN(2) == 0:
		w.b.WriteString("'" + strings.ReplaceAll(s, "'", "''") + "'")
	default:
		w.b.WriteString(strconv.Quote(s))
	}
}

// block writes n behind "key:" or "-" at an indentation, and ends the line.
func (w *writer) block(n *Node, indent int) {
	deeper := indent + 1 + w.IntN(3)
	pad := "\n" + strings.Repeat(" ", deeper)
	switch {
	case n.Kind == Null:
	case n.Kind == Scalar && strings.Contains(n.Text, "\n") && w.IntN(2) == 0:
		w.b.WriteString(" |")
		if !strings.HasSuffix(n.Text, "\n") {
			w.b.WriteString("-")
		}
		for l := range strings.SplitSeq(strings.TrimSuffix(n.Text, "\n"), "\n") {
			w.b.WriteString(pad + l)
		}
	case n.Kind == Scalar || w.IntN(3) == 0:
		w.b.WriteString(" ")
		w.flow(n)
	case n.Kind == Sequence:
		for _, it := range n.Items {
			w.b.WriteString(pad + "-")
			w.block(it, deeper)
		}
	default:
		for _, e := range n.Entries {
			w.b.WriteString(pad + e.Key.Text + ":")
			w.block(e.Value, deeper)
		}
	}
	if w.IntN(8) == 0 && n.Kind != Scalar {
		w.b.WriteString("\n# a comment")
	}
}

// What was written in any style is read back.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(20_000) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 1))}
		tree := &Node{Kind: Mapping, Entries: []Entry{{&Node{Kind: Scalar, Text: "root"}, w.tree(4)}}}
		w.b.WriteString("root:")
		w.block(tree.Entries[0].Value, 0)
		n, errs := Parse(strings.Split(w.b.String(), "\n"))
		if len(errs) > 0 || show(n) != show(tree) {
			t.Fatalf("seed %d\n%s\ngot  %s %v\nwant %s", seed, w.b.String(), show(n), errs, show(tree))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: [b, {c: \"d\"}]\ne:\n- |\n  f\n- &x >-\n  g\n- *x\n", "? a", "'a", "a: !!str ${b}", "---\n%", "\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		n, errs := Parse(lines)
		for _, e := range errs {
			if e.Line < 1 || e.Line > len(lines) || e.Col < 1 || e.Length < 1 {
				t.Fatalf("%+v is outside the file", e)
			}
		}
		check(t, n, lines)
	})
}

func check(t *testing.T, n *Node, lines []string) {
	if n == nil {
		return
	}
	if n.Line < 1 || n.Line > len(lines) || n.Col < 1 || n.Col > len(lines[n.Line-1])+1 || n.Length < 1 {
		t.Fatalf("%+v is outside the file", n)
	}
	for _, e := range n.Entries {
		check(t, e.Key, lines)
		check(t, e.Value, lines)
	}
	for _, it := range n.Items {
		check(t, it, lines)
	}
}
