package pattern

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// agree compares one search with the standard library's.
func agree(t *testing.T, pattern, text string) {
	t.Helper()
	ours, err := Compile(pattern)
	theirs, other := regexp.Compile(pattern)
	if err != nil {
		return // we know less; TestUnderstood says what we know
	}
	if other != nil {
		t.Fatalf("%q is taken; RE2 says %v", pattern, other)
	}
	if !slices.Equal(ours.Names(), theirs.SubexpNames()) {
		t.Errorf("%q: groups %q, want %q", pattern, ours.Names(), theirs.SubexpNames())
	}
	if got, want := ours.Match(text), theirs.FindStringSubmatchIndex(text); !slices.Equal(got, want) {
		t.Errorf("%q in %q: %v, want %v", pattern, text, got, want)
	}
}

// What a person may write is understood, and means what it means in RE2.
func TestUnderstood(t *testing.T) {
	lines := []string{"", "ST,GS,+  12.345kg", "temp=-4.5;hum=40", "aaa", "abab ABAB", "x\ny\nz", "Größe: 3 µm", "\xff\x00a", "K\u212Ak \u017Fs"}
	for _, pattern := range []string{
		`^(?P<stable>ST|US),(?P<mode>GS|NT),(?P<weight>[+-] *[0-9.]+)(?P<unit>kg|g)$`,
		`temp=(-?\d+(?:\.\d+)?);hum=(?<hum>\d{1,3})`, `(a|ab)(c|bcd)?(d*)`, `(a*)*`, `(a*)+?b?`, `(|a)*`, `(a|)+`, `(?:a?){3}`, `a{2}`, `a{2,}?`,
		`a{,2}`, `a{x`, `{`, `]`, `}`, `[]a]+`, `[^]a]+`, `[a-]+`, `[-a]+`, `[\]\-]`, `[\w.]+`, `[^\D]`, `[\W]`, `[[:alpha:]]+`, `[[:^digit:]x]+`, `[[:punct:]]`,
		`(?i)abab\b`, `(?i:k)`, `(?i)[j-l]`, `(?i)\w+`, `(?i)\W+`, `(?i)[\W]+`, `(?i)[[:^upper:]]+`, `(?i)[^\S]`, `(?i)[^k]`, `a(?i)b|c`, `(?m)^y$`, `(?s).+`, `.+`, `(?-s)y.z`, `(?ms-i:^.)`, `\By`, `\Ax\n`, `\x{b5}m`, `\x4b`, `\t|\.`, `\_`,
		`^*`, `(^)*a`, `$`, `ö`, `[ä-ö]`, `(?P<a>x)|(?P<b>y)`, `()`, `a||b`, `(a)|b`, `(?:)`, `x*?y`, `((a)|(b))*`, `\*`, `\x00`,
	} {
		if _, err := Compile(pattern); err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
		for _, line := range lines {
			agree(t, pattern, line)
		}
	}
}

func TestRefused(t *testing.T) {
	for pattern, word := range map[string]string{
		`(`: "closed", `)`: "closes", `a)`: "closes", `*`: "repeat", `a**`: "repeat", `a+{2}`: "repeat", `(|*)`: "repeat", `a{2,1}`: "least", `a{1001}`: "1000",
		`a{99999999999999999999}`: "1000", `(?:(?:a{100}){100}){100}`: "large", `[`: "early", `[a`: "early", `[b-a]`: "range", `[a-\d]`: "range", `[a-b-c]`: "class", `\`: "early",
		`\p`: "known", `\1`: "known", `\x{110000}`: "rune", `\x{`: "rune", `\xg0`: "rune", `\x{+1}`: "rune", `[[:x:]]`: "known", `[[:d:]]`: "known", `(?P<>a)`: "name", `(?P<a b>a)`: "name",
		`(?P<a>x)(?P<a>y)`: "two", `(?P<a`: "name", `(?U)a`: "known", `(?)`: "known", `(?--i)`: "known", `(?-:a)`: "known", `(?=a)`: "known", "\xff": "UTF-8",
		strings.Repeat("(", 300): "each other",
	} {
		if _, err := Compile(pattern); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%.40q: %v, want a word about %q", pattern, err, word)
		}
	}
}

// Patterns made of the pieces of patterns find what RE2 finds.
func TestRandomPatterns(t *testing.T) {
	count := 2000
	if n, err := strconv.Atoi(os.Getenv("PATTERNS")); err == nil {
		count = n
	}
	pieces := []string{"a", "b", "ab", ".", "[ab]", "[^a]", "(", ")", "(?:", "|", "*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "+?", "??", "^", "$", `\b`, `\B`, "(?i:", "A", `\w`}
	texts := []string{"", "a", "b", "ab", "aab", "abba", "ABab", "a b", "\nab", "ö"}
	r := rand.New(rand.NewPCG(1, 2))
	for range count {
		var b strings.Builder
		open := 0
		for range 1 + r.IntN(9) {
			p := pieces[r.IntN(len(pieces))]
			b.WriteString(p)
			open += strings.Count(p, "(") - strings.Count(p, ")")
		}
		b.WriteString(strings.Repeat(")", max(open, 0)))
		agree(t, b.String(), texts[r.IntN(len(texts))]+texts[r.IntN(len(texts))])
	}
}

// A pattern that takes other engines a time exponential in the text.
func TestNoExplosion(t *testing.T) {
	p, err := Compile(`^(a|a)*(a?){30}a{30}$`)
	if err != nil {
		t.Fatal(err)
	}
	if p.Match(strings.Repeat("a", 2000)+"b") != nil {
		t.Error("matches")
	}
}

func FuzzPattern(f *testing.F) {
	f.Add(`^(?P<w>[+-] *[0-9.]+)(kg|g)?$`, "+ 1.5kg")
	f.Add(`(?i)(a|b*)*?c{1,3}\b`, "abBc C")
	f.Add(`[[:alpha:]\d^-]+`, "a-1")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) < 60 && len(text) < 200 {
			agree(t, pattern, text)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	const pattern, line = `^(?P<stable>ST|US),(?P<mode>GS|NT),(?P<weight>[+-] *[0-9.]+)(?P<unit>kg|g)$`, "ST,GS,+  12.345kg"
	ours, err := Compile(pattern)
	if err != nil {
		b.Fatal(err)
	}
	theirs := regexp.MustCompile(pattern)
	for name, match := range map[string]func(string) []int{"ours": ours.Match, "regexp": theirs.FindStringSubmatchIndex} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if fmt.Sprint(len(match(line))) != "10" {
					b.Fatal("no match")
				}
			}
		})
	}
}
