package auth

import (
	"strings"
	"testing"
)

// A rule that says less, or more, than its author can have meant opens nothing:
// for all listeners or for one.
func TestRulesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		rule Rule
		want string
	}{
		{"about nobody", Rule{Publish: list("a")}, "about a user or about a role"},
		{"about two", Rule{User: "ann", Role: "crew", Publish: list("a")}, "about a user or about a role"},
		{"unknown role", Rule{Role: "guests", Publish: list("a")}, `no role "guests"`},
		{"no topic", allow("ann", nil, nil), "names no topic"},
		{"no filter", allow("ann", list("a/#/b"), nil), `filter "a/#/b"`},
		{"no filter around a name", allow("ann", nil, list("a{user}+")), `filter "a{user}+"`},
		{"shared", allow("ann", nil, list("$share/g/a")), "behind $share"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := []Rule{allow("ann", list("a"), nil), c.rule}
			roles := map[string][]string{"crew": {"bob"}}
			_, err := New(Options{Rules: rules, Roles: roles})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "rule 2: ") {
				t.Errorf("%v, want %s", err, c.want)
			}
			_, err = New(Options{Listeners: map[string]Listener{"lan": {Rules: rules}}, Roles: roles})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "listener lan: rule 2: ") {
				t.Errorf("at a listener: %v, want %s", err, c.want)
			}
		})
	}
}
