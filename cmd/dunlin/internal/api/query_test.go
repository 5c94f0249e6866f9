package api

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzQuery: what is accepted is known, there once, and what net/url reads.
func FuzzQuery(f *testing.F) {
	const names = "filter,limit,dry_run"
	for _, s := range []string{"", "filter=a%2F%23&limit=5", "dry_run=true&&", "limit", "filter=a+b&filter=", "filter,limit=1", "filter=%", "=1", "filter=a;limit=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		v, err := parseQuery(query, names)
		if err != nil {
			return
		}
		theirs, err := url.ParseQuery(query)
		if err != nil && !strings.Contains(query, ";") {
			t.Fatal(err)
		}
		for name, value := range v {
			if !slices.Contains(strings.Split(names, ","), name) {
				t.Errorf("%q is an argument", name)
			}
			if err == nil && (len(theirs[name]) != 1 || theirs.Get(name) != value) {
				t.Errorf("%s is %q, net/url: %q", name, value, theirs[name])
			}
		}
		if v["dry_run"] != "" && v["dry_run"] != "true" && v["dry_run"] != "false" {
			t.Errorf("dry_run is %q", v["dry_run"])
		}
		v.page()
	})
}
