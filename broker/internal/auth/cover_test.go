package auth

import (
	"slices"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// combine returns all sequences of one to n of the words, joined by slashes.
func combine(n int, words ...string) []string {
	last, all := words, words
	for range n - 1 {
		var longer []string
		for _, l := range last {
			for _, w := range words {
				longer = append(longer, l+"/"+w)
			}
		}
		last, all = longer, append(all[:len(all):len(all)], longer...)
	}
	return all
}

// universe returns the Topic Names of up to n levels over a small alphabet;
// "c" is in no filter.
func universe(n int) []string {
	all := combine(n, "a", "c", "", "$x")
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// filters returns the Topic Filters of up to three levels.
func filters() []string {
	all := combine(3, "a", "", "+", "$x", "#")
	return slices.DeleteFunc(all, func(s string) bool { return topic.ValidFilter(s) != nil })
}

// The two questions about filters race the topics that they are about.
func TestCoverAndOverlapAgreeWithEveryTopic(t *testing.T) {
	names := universe(4)
	matches := map[string][]bool{}
	for _, f := range filters() {
		for _, n := range names {
			matches[f] = append(matches[f], topic.Match(f, n))
		}
	}
	for p, ps := range matches {
		for f, fs := range matches {
			all, some := true, false
			for i, is := range fs {
				all = all && (ps[i] || !is)
				some = some || ps[i] && is
			}
			// "/#" would match its parent, the empty topic, which does not
			// exist: both answers stay on the safe side there.
			if got := covers(p, f); got != all && (got || f != "/#") {
				t.Errorf("covers(%q, %q) = %v, the topics say %v", p, f, got, all)
			}
			if got := overlaps(p, f); got != some && (!got || p != "/#" && f != "/#") {
				t.Errorf("overlaps(%q, %q) = %v, the topics say %v", p, f, got, some)
			}
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		p, f string
		want bool
	}{
		{"#", "a/b", true}, {"#", "#", true}, {"#", "+/b", true}, {"#", "$SYS/#", false}, {"$SYS/#", "$SYS/broker/+", true},
		{"+/#", "#", true}, {"a/#", "a", true}, {"a/#", "a/#", true}, {"a/+", "a/#", false}, {"a/+/#", "a/#", false},
		{"a/+", "a/+", true}, {"a/b", "a/+", false}, {"+/b", "+/b", true}, {"+", "+/+", false}, {"a/b", "#", false},
		{"a/+", "a/", true}, {"+", "/", false}, {"a", "A", false},
	} {
		if got := covers(c.p, c.f); got != c.want {
			t.Errorf("covers(%q, %q) = %v", c.p, c.f, got)
		}
	}
}
