package auth

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// withRules returns an Auth with rules, and an identity of it.
func withRules(t testing.TB, user string, rules ...Rule) (*Auth, *Identity) {
	t.Helper()
	a, err := New(Options{Rules: rules, Base: "dunlin/barn", Admins: []string{"root"}, Roles: map[string][]string{"crew": {"ann", "bob"}}})
	if err != nil {
		t.Fatal(err)
	}
	return a, &Identity{User: user, proof: &proof{}}
}

// allow is a rule that sets no limits.
func allow(user string, publish, subscribe []string) Rule {
	return Rule{User: user, Publish: publish, Subscribe: subscribe, MaxQoS: 2, Retain: true}
}

func list(s ...string) []string { return s }

// verdict is a decision in a word.
func verdict(d Decision) string {
	switch {
	case d.Code.Failed():
		return "no"
	case d.Each:
		return "each"
	}
	return "ok"
}

func TestAuthorize(t *testing.T) {
	deny := func(r Rule) Rule { r.Deny = true; return r }
	everything := allow("*", list("#"), list("#"))
	for _, c := range []struct {
		name, user string
		rules      []Rule
		ask        Access
		want       string // ok, each or no
	}{
		{"no rule is no", "ann", []Rule{allow("bob", list("a"), nil)}, Access{Action: Publish, Topic: "a"}, "no"},
		{"star", "ann", []Rule{everything}, Access{Action: Publish, Topic: "a"}, "ok"},
		{"star is not anonymous", "", []Rule{everything}, Access{Action: Publish, Topic: "a"}, "no"},
		{"anonymous", "", []Rule{allow("anonymous", list("a"), nil)}, Access{Action: Publish, Topic: "a"}, "ok"},
		{"glob", "esp-12", []Rule{allow("esp-*", list("a"), nil)}, Access{Action: Publish, Topic: "a"}, "ok"},
		{"glob of another", "xesp-12", []Rule{allow("esp-*", list("a"), nil)}, Access{Action: Publish, Topic: "a"}, "no"},
		{"role", "bob", []Rule{{Role: "crew", Publish: list("a")}}, Access{Action: Publish, Topic: "a"}, "ok"},
		{"role of others", "eve", []Rule{{Role: "crew", Publish: list("a")}}, Access{Action: Publish, Topic: "a"}, "no"},
		{"publish is not subscribe", "ann", []Rule{allow("ann", list("a"), nil)}, Access{Action: Subscribe, Topic: "a"}, "no"},
		{"case 40: # of a/b", "ann", []Rule{allow("ann", nil, list("a/b"))}, Access{Action: Subscribe, Topic: "#"}, "no"},
		{"case 40: a/+ of a/b", "ann", []Rule{allow("ann", nil, list("a/b"))}, Access{Action: Subscribe, Topic: "a/+"}, "no"},
		{"case 40: +/b of a/b", "ann", []Rule{allow("ann", nil, list("a/b"))}, Access{Action: Subscribe, Topic: "+/b"}, "no"},
		{"case 40: itself", "ann", []Rule{allow("ann", nil, list("a/b"))}, Access{Action: Subscribe, Topic: "a/b"}, "ok"},
		{"case 41: deny in front of a wildcard", "ann", []Rule{deny(allow("*", nil, list("a/secret"))), everything}, Access{Action: Subscribe, Topic: "a/#"}, "each"},
		{"case 41: deny in front, elsewhere", "ann", []Rule{deny(allow("*", nil, list("a/secret"))), everything}, Access{Action: Subscribe, Topic: "b/#"}, "ok"},
		{"case 41: deny in front, itself", "ann", []Rule{deny(allow("*", nil, list("a/secret"))), everything}, Access{Action: Subscribe, Topic: "a/secret"}, "no"},
		{"case 41: deny in front, the message", "ann", []Rule{deny(allow("*", nil, list("a/secret"))), everything}, Access{Action: Receive, Topic: "a/secret"}, "no"},
		{"case 41: deny behind", "ann", []Rule{everything, deny(allow("*", nil, list("a/secret")))}, Access{Action: Subscribe, Topic: "a/#"}, "ok"},
		{"case 41: another case", "ann", []Rule{deny(allow("*", list("A"), nil)), everything}, Access{Action: Publish, Topic: "a"}, "ok"},
		{"case 41: another normal form", "ann", []Rule{allow("ann", list("\u00e9"), nil)}, Access{Action: Publish, Topic: "e\u0301"}, "no"},
		{"case 42: {user} of nobody", "", []Rule{allow("anonymous", list("u/{user}/#", "u//#"), nil)}, Access{Action: Publish, Topic: "u/x"}, "no"},
		{"{user}", "ann", []Rule{allow("*", list("u/{user}/#"), nil)}, Access{Action: Publish, Topic: "u/ann/x"}, "ok"},
		{"{user} of another", "ann", []Rule{allow("*", list("u/{user}/#"), nil)}, Access{Action: Publish, Topic: "u/bob/x"}, "no"},
		{"case 50: {user} is +", "+", []Rule{allow("*", list("u/{user}"), list("u/{user}"))}, Access{Action: Subscribe, Topic: "u/+"}, "no"},
		{"case 50: a refusal of {user} +", "+", []Rule{deny(allow("*", list("u/{user}"), nil)), everything}, Access{Action: Publish, Topic: "u/+x"}, "no"},
		{"case 51: {client} is .*", "ann", []Rule{allow("*", list("c/{client}"), nil)}, Access{Action: Publish, ClientID: ".*", Topic: "c/x"}, "no"},
		{"case 51: {client} is .*, itself", "ann", []Rule{allow("*", list("c/{client}"), nil)}, Access{Action: Publish, ClientID: ".*", Topic: "c/.*"}, "ok"},
		{"{user} is $SYS", "$SYS", []Rule{allow("*", nil, list("{user}/#"))}, Access{Action: Subscribe, Topic: "$SYS/#"}, "no"},
		{"max_qos", "ann", []Rule{{User: "ann", Publish: list("a"), MaxQoS: 1}}, Access{Action: Publish, Topic: "a", QoS: 2}, "no"},
		{"max_qos kept", "ann", []Rule{{User: "ann", Publish: list("a"), MaxQoS: 1}}, Access{Action: Publish, Topic: "a", QoS: 1}, "ok"},
		{"retain: false", "ann", []Rule{{User: "ann", Publish: list("a")}}, Access{Action: Publish, Topic: "a", Retain: true}, "no"},
		{"receive apart, part of it", "ann", []Rule{{User: "ann", Subscribe: list("#"), Receive: list("a/#")}}, Access{Action: Subscribe, Topic: "#"}, "each"},
		{"receive apart, all of it", "ann", []Rule{{User: "ann", Subscribe: list("#"), Receive: list("a/#")}}, Access{Action: Subscribe, Topic: "a/+"}, "ok"},
		{"receive apart, nothing of it", "ann", []Rule{{User: "ann", Subscribe: list("#"), Receive: list("a/#")}}, Access{Action: Subscribe, Topic: "b"}, "no"},
		{"receive apart, a message", "ann", []Rule{{User: "ann", Subscribe: list("#"), Receive: list("a/#")}}, Access{Action: Receive, Topic: "b"}, "no"},
		{"a/# and its parent", "ann", []Rule{allow("ann", list("a/#"), nil)}, Access{Action: Publish, Topic: "a"}, "ok"},
		{"case 55: $ topics", "root", []Rule{allow("*", list("#", "$SYS/#"), nil)}, Access{Action: Publish, Topic: "$SYS/x"}, "no"},
		{"the state of its connection", "ann", []Rule{allow("*", list("$SYS/broker/connection/+/state"), nil)}, Access{Action: Publish, ClientID: "b", Topic: "$SYS/broker/connection/b/state"}, "ok"},
		{"the state of its connection, not named", "ann", []Rule{everything}, Access{Action: Publish, ClientID: "b", Topic: "$SYS/broker/connection/b/state"}, "no"},
		{"the state of another connection", "ann", []Rule{allow("*", list("$SYS/broker/connection/+/state"), nil)}, Access{Action: Publish, ClientID: "b", Topic: "$SYS/broker/connection/c/state"}, "no"},
		{"$SYS without a rule", "ann", []Rule{everything}, Access{Action: Subscribe, Topic: "$SYS/#"}, "no"},
		{"$SYS with a rule", "ann", []Rule{allow("ann", nil, list("$SYS/broker/#"))}, Access{Action: Subscribe, Topic: "$SYS/broker/+"}, "ok"},
		{"$SYS for an admin", "root", []Rule{everything}, Access{Action: Receive, Topic: "$SYS/broker/uptime"}, "ok"},
		{"a reading cannot be forged", "ann", []Rule{everything}, Access{Action: Publish, Topic: "dunlin/barn/climate/temperature"}, "no"},
		{"a command can be given", "ann", []Rule{everything}, Access{Action: Publish, Topic: "dunlin/barn/fan/fan/set"}, "ok"},
		{"a rule that names the base", "ann", []Rule{allow("ann", list("dunlin/barn/notes/#"), nil)}, Access{Action: Publish, Topic: "dunlin/barn/notes/x"}, "ok"},
		{"an admin's rule", "root", []Rule{everything}, Access{Action: Publish, Topic: "dunlin/barn/x"}, "ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, id := withRules(t, c.user, c.rules...)
			if c.ask.Identity = id; c.ask.ClientID == "" {
				c.ask.ClientID = "c1"
			}
			if got := verdict(a.Authorize(&c.ask)); got != c.want {
				t.Errorf("%+v: %s, want %s", c.ask, got, c.want)
			}
		})
	}
}

func TestSubscribeIsCappedByEveryRuleItMeets(t *testing.T) {
	a, id := withRules(t, "ann", Rule{User: "ann", Subscribe: list("a/b"), MaxQoS: 0}, allow("ann", nil, list("#")))
	for filter, want := range map[string]mqtt.QoS{"#": 0, "a/+": 0, "b": 2} {
		if d := a.Authorize(&Access{Identity: id, Action: Subscribe, Topic: filter}); d.Code.Failed() || d.MaxQoS != want {
			t.Errorf("%s: %+v", filter, d)
		}
	}
}

// Without auth everything is allowed but what protects the gateway.
func TestNothingConfigured(t *testing.T) {
	a, err := New(Options{Base: "dunlin/barn"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		action Action
		topic  string
		ok     bool
	}{
		{Publish, "a", true}, {Publish, "$SYS/x", false}, {Publish, "dunlin/barn/x", false}, {Publish, "dunlin/barn/x/set", true},
		{Publish, "dunlin/barnacle", true}, {Subscribe, "$SYS/#", true}, {Subscribe, "#", true}, {Receive, "$SYS/x", true},
	} {
		if d := a.Authorize(&Access{Identity: &Identity{}, Action: c.action, Topic: c.topic}); d.Code.Failed() == c.ok {
			t.Errorf("%v %s: %v", c.action, c.topic, d.Code)
		}
	}
}

func TestAuthorizeDoesNotAllocate(t *testing.T) {
	a, id := withRules(t, "ann", allow("bob", list("#"), nil), allow("*", list("u/{user}/#", "v/+"), list("#")))
	ask := Access{Identity: id, ClientID: "c", Action: Publish, Topic: "v/x"}
	if n := testing.AllocsPerRun(100, func() {
		if a.Authorize(&ask).Code.Failed() {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAuthorize(b *testing.B) {
	rules := []Rule{allow("bob", list("#"), nil)}
	for range 20 {
		rules = append(rules, allow("*", list("other/{user}/#", "more/+/x"), nil))
	}
	a, id := withRules(b, "ann", append(rules, allow("*", list("u/{user}/#"), nil))...)
	ask := Access{Identity: id, ClientID: "c", Action: Publish, Topic: "u/ann/temperature"}
	b.ReportAllocs()
	for b.Loop() {
		a.Authorize(&ask)
	}
}

// model answers about one topic at a time, as the documentation words it.
type model struct{ rules []Rule }

func (m model) may(user, client, name string, filters func(*Rule) []string) (rule *Rule) {
	for i := range m.rules {
		r := &m.rules[i]
		if r.User != "*" && r.User != user {
			continue
		}
		for _, f := range filters(r) {
			f = strings.ReplaceAll(strings.ReplaceAll(f, "{user}", user), "{client}", client)
			if topic.Match(f, name) {
				return r
			}
		}
	}
	return nil
}

// check compares every answer for a small world with the model's: no foreign
// message ever.
func (m model) check(t *testing.T) {
	t.Helper()
	a, id := withRules(t, "a", m.rules...)
	names := universe(3)
	for _, name := range names {
		if name[0] == '$' {
			continue
		}
		r := m.may("a", "c", name, func(r *Rule) []string { return r.Publish })
		ask := Access{Identity: id, ClientID: "c", Action: Publish, Topic: name, QoS: 1}
		if got, want := !a.Authorize(&ask).Code.Failed(), r != nil && !r.Deny && r.MaxQoS >= 1; got != want {
			t.Errorf("publish %q: %v, the model says %v; rules %+v", name, got, want, m.rules)
		}
	}
	receives := func(r *Rule) []string { return r.receives() }
	for _, f := range filters() {
		d := a.Authorize(&Access{Identity: id, ClientID: "c", Action: Subscribe, Topic: f})
		granted := !d.Code.Failed()
		for _, name := range names {
			r := m.may("a", "c", name, receives)
			may := r != nil && !r.Deny
			if got := !a.Authorize(&Access{Identity: id, ClientID: "c", Action: Receive, Topic: name}).Code.Failed(); got != may {
				t.Fatalf("receive %q: %v, the model says %v; rules %+v", name, got, may, m.rules)
			}
			if !topic.Match(f, name) {
				continue
			}
			if granted && !d.Each && !may {
				t.Errorf("filter %q brings the foreign %q; rules %+v", f, name, m.rules)
			}
			s := m.may("a", "c", name, func(r *Rule) []string { return r.Subscribe })
			if granted && s != nil && !s.Deny && d.MaxQoS > s.MaxQoS {
				t.Errorf("filter %q: QoS %d, %q has at most %d", f, d.MaxQoS, name, s.MaxQoS)
			}
			if granted && s == nil {
				t.Errorf("filter %q granted, but %q has no rule; rules %+v", f, name, m.rules)
			}
		}
	}
}

// randomRule makes a rule from a few bytes.
func randomRule(next func() byte) Rule {
	all := append(filters(), "{user}", "{client}/+", "a/{user}", "{user}/#")
	pick := func() []string {
		var out []string
		for range next() % 3 {
			out = append(out, all[(int(next())<<8|int(next()))%len(all)])
		}
		return out
	}
	b := next()
	r := Rule{User: []string{"*", "a", "b"}[b%3], Deny: b&4 != 0, MaxQoS: mqtt.QoS(b >> 4 % 3), Retain: true}
	r.Publish, r.Subscribe = pick(), pick()
	if b&8 != 0 {
		r.Receive = append([]string{}, pick()...)
	}
	if len(r.Publish)+len(r.Subscribe)+len(r.Receive) == 0 {
		r.Publish = list("c/#")
	}
	return r
}

func TestRulesAgreeWithTheModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		var m model
		for range 1 + rng.IntN(5) {
			m.rules = append(m.rules, randomRule(func() byte { return byte(rng.Uint32()) }))
		}
		m.check(t)
		if t.Failed() {
			return
		}
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte{0, 1, 0, 7, 1, 0, 9, 13, 2, 0, 3, 0, 4, 1, 0, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64 {
			return
		}
		var m model
		take := func() byte {
			if len(b) == 0 {
				return 0
			}
			x := b[0]
			b = b[1:]
			return x
		}
		for len(b) > 0 {
			m.rules = append(m.rules, randomRule(take))
		}
		if len(m.rules) > 0 {
			m.check(t)
		}
	})
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"a", "a", true}, {"a", "b", false}, {"a*", "abc", true}, {"*c", "abc", true}, {"a*c", "abc", true},
		{"a*c", "abcd", false}, {"*b*", "abc", true}, {"**", "x", true}, {"a*b*c", "axbxbc", true}, {"", "", true}, {"", "a", false}, {"a.", "ab", false},
	} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
	if !slices.Equal(list(widen("a/x{user}/#")), list("a/+/#")) {
		t.Error(widen("a/x{user}/#"))
	}
}
