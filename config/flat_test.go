package config

import (
	"slices"
	"strings"
	"testing"
)

func TestFlatHidesSecretsAndTellsThemApart(t *testing.T) {
	text := "node: a\nhttp: {tokens: [{name: x, token: first-word}]}\nauth: {admins: [bob]}\n"
	a, errs := Load("x.yaml", []byte(text), Tables{}, noEnv)
	b, _ := Load("x.yaml", []byte(strings.Replace(strings.Replace(text, "first", "second", 1), "bob", "eve", 1)), Tables{}, noEnv)
	if a == nil || b == nil {
		t.Fatal(errs)
	}
	for _, s := range a.Flat() {
		if strings.Contains(s.Value, "word") {
			t.Errorf("%s shows a secret", s.Path)
		}
		if s.Path == "http.tokens.x.token" && a.Origin(s) != "x.yaml:2:34" {
			t.Errorf("%s comes from %q", s.Path, a.Origin(s))
		}
		if s.Path == "http.bind" && a.Origin(s) != "" {
			t.Errorf("a default comes from %q", a.Origin(s))
		}
	}
	want := []Change{{"auth.admins", "[bob]", "[eve]"}, {"http.tokens.x.token", "***", "***"}}
	if got := a.Changes(b); !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	if got := a.Changes(a); got != nil {
		t.Errorf("no change is %v", got)
	}
}

func noEnv(string) (string, bool) { return "", false }
