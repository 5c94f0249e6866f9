//go:build linux

package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// attack is one adversarial case against the real program.
type attack struct {
	number int
	name   string
	run    func(t *testing.T)
	// elsewhere names the test that holds the case when it is not here,
	// "folder TestName", or, starting with "none:", why there is nothing to attack.
	elsewhere string
}

// The 92 cases, by chapters. Every one is one test here or a named test of
// another package.
func TestAbuse(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	all := slices.Concat(
		attacksBeforeConnect(), attacksOnCodec(), attacksOnTopics(), attacksOnQoS(), attacksOnAuthorization(),
		attacksOnCredentials(), attacksOnTransport(), attacksOnFiles(), attacksOnResources(),
	)
	slices.SortStableFunc(all, func(a, b attack) int { return cmp.Compare(a.number, b.number) })
	for i, a := range all {
		if a.number != i+1 {
			t.Fatalf("case %d is missing or there twice (found %d %s)", i+1, a.number, a.name)
		}
		checkElsewhere(t, a)
	}
	if len(all) != 92 {
		t.Errorf("%d cases, want 92", len(all))
	}
	for _, a := range all {
		if a.run != nil {
			t.Run(twoDigits(a.number)+" "+a.name, func(t *testing.T) {
				t.Parallel()
				a.run(t)
			})
		}
	}
}

func twoDigits(n int) string { return string([]byte{'0' + byte(n/10), '0' + byte(n%10)}) }

// checkElsewhere fails when a case points to a test that is not there.
func checkElsewhere(t *testing.T, a attack) {
	t.Helper()
	if (a.run == nil) == (a.elsewhere == "") {
		t.Errorf("case %d needs a test or a place, not both", a.number)
	}
	if a.elsewhere == "" || strings.HasPrefix(a.elsewhere, "none:") {
		return
	}
	folder, name, _ := strings.Cut(a.elsewhere, " ")
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), "func "+name+"(") {
			return
		}
	}
	t.Errorf("case %d: there is no %s in %s", a.number, name, folder)
}

// scale is how often an attack is repeated: few times in every run of the
// tests, full times with ABUSE=full.
func scale(few, full int) int {
	if os.Getenv("ABUSE") == "full" {
		return full
	}
	return few
}
