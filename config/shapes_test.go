package config

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// What the program finds by hand, to have no regular expressions in it, is
// what these say.
func TestShapes(t *testing.T) {
	var (
		number  = regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)?`)
		names   = regexp.MustCompile(`\{([a-z_]+)\}`)
		envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
		words   = regexp.MustCompile(`[^ :={}"]+`)
		value   = regexp.MustCompile(`^[ :="]+([^ :="].*)`)
	)
	pieces := []string{"1", "23", ".", "{", "}", "node", "_", "N", "password", "Token", "sas", "s", ":", " ", `"`, "x", "é", "$", "-"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 4_000 {
		var b strings.Builder
		for range r.IntN(8) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		s := b.String()
		if got, want := leadingNumber(s), number.FindString(s); got != want {
			t.Errorf("%q begins with the number %q, want %q", s, got, want)
		}
		if got, want := isEnvName(s), envName.MatchString(s); got != want {
			t.Errorf("%q as a name: %v", s, got)
		}
		got, rest := template(s)
		if at := names.FindStringSubmatchIndex(s); at == nil && got != "" || at != nil && (got != s[at[2]:at[3]] || rest != s[at[1]:]) {
			t.Errorf("%q has the template %q", s, got)
		}
		want := -1
		for _, word := range words.FindAllStringIndex(s, -1) {
			if at := value.FindStringSubmatchIndex(s[word[1]:]); at != nil && looksSecret(s[word[0]:word[1]]) {
				want = word[1] + at[2]
				break
			}
		}
		if got := secretIn(s); got != want {
			t.Errorf("%q has a secret at %d, want %d", s, got, want)
		}
	}
}
