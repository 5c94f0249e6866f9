package auth

import (
	"errors"
	"strings"
	"testing"
)

const aclExample = `# for those without a name
topic read public/#

user ann
topic a/#
topic deny a/secret
topic read $SYS/#
  topic   write   b c

user bob
topic readwrite #

user ann
topic write more
pattern write devices/%u/%c/#
pattern read cmd/%c
pattern deny devices/+/forbidden/#
`

// What mosquitto answers for the same file, by its manual and its source.
func TestMosquittoACL(t *testing.T) {
	rules, err := parseACL("acl", []byte(aclExample))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user   string
		action Action
		topic  string
		want   string
	}{
		{"", Receive, "public/x", "ok"}, {"", Publish, "public/x", "no"}, {"", Receive, "cmd/c1", "ok"}, {"", Publish, "devices//c1/x", "no"},
		{"ann", Publish, "a/b", "ok"}, {"ann", Receive, "a/b", "ok"}, {"ann", Publish, "a/secret", "no"}, {"ann", Receive, "a/secret", "no"},
		{"ann", Receive, "$SYS/x", "ok"}, {"ann", Publish, "b c", "ok"}, {"ann", Receive, "b c", "no"}, {"ann", Publish, "more", "ok"},
		{"ann", Publish, "devices/ann/c1/x", "ok"}, {"ann", Publish, "devices/bob/c1/x", "no"}, {"ann", Publish, "devices/ann/c2/x", "no"},
		{"ann", Receive, "public/x", "no"},
		{"eve", Publish, "devices/eve/c1/x", "ok"}, {"eve", Publish, "a/b", "no"},
		{"bob", Publish, "devices/x/forbidden/x", "ok"}, // the user's own lines go first
		{"ann", Subscribe, "#", "each"}, {"ann", Subscribe, "a/+", "each"}, {"ann", Subscribe, "b c", "no"}, {"bob", Subscribe, "#", "ok"},
		{"eve", Subscribe, "#", "each"}, {"eve", Subscribe, "a", "no"}, {"eve", Subscribe, "$SYS/#", "no"}, {"ann", Subscribe, "$SYS/#", "ok"},
	} {
		a, id := withRules(t, c.user, rules...)
		if got := verdict(a.Authorize(&Access{Identity: id, ClientID: "c1", Action: c.action, Topic: c.topic})); got != c.want {
			t.Errorf("%q %d %s: %s, want %s", c.user, c.action, c.topic, got, c.want)
		}
	}
}

func TestMosquittoACLRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		says       string
	}{
		{"case 58: empty", "", 0, "holds no rule"},
		{"case 58: comments only", "# nothing\n\n", 0, "holds no rule"},
		{"case 58: users only", "user ann\n", 0, "holds no rule"},
		{"unknown word", "topics a\n", 1, "user, topic or pattern"},
		{"unknown access", "user ann\ntopic all a\n", 2, "read, write, readwrite or deny"},
		{"no filter", "topic\n", 1, "filter"},
		{"bad filter", "topic a/#/b\n", 1, "filter"},
		{"user without name", "user\n", 1, "not a name"},
		{"user with a star", "user a*\ntopic a\n", 1, "any characters"},
		{"our template", "topic u/{user}\n", 1, "something else"},
		{"CRLF", "topic a\r\n", 1, "carriage return"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules, err := parseACL("acl", []byte(c.text))
			var f Faults
			if rules != nil || !errors.As(err, &f) || f[0].Line != c.line || !strings.Contains(f[0].Msg, c.says) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("case 58: unreadable", func(t *testing.T) {
		if _, err := New(Options{ACLFile: t.TempDir() + "/none"}); err == nil {
			t.Error("started")
		}
	})
}

func FuzzACLFile(f *testing.F) {
	f.Add([]byte(aclExample))
	f.Add([]byte("pattern %u/%c/{user}\ntopic deny $SYS/#\nuser #\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, err := parseACL("acl", b)
		if (rules == nil) == (err == nil) {
			t.Fatal("neither rules nor an error, or both")
		}
		for i := range rules {
			if err := rules[i].validate(nil); err != nil {
				t.Fatalf("%+v: %v", rules[i], err)
			}
		}
		if err != nil {
			return
		}
		s := &state{rules: rules, configured: true}
		g := s.compile("ann", "c1", "l")
		for _, f := range []string{"#", "a", "+/b", "$SYS/#"} {
			for _, action := range []Action{Publish, Subscribe, Receive} {
				if d := g.decide(&Access{Action: action, Topic: f}); !d.Code.Failed() && len(rules) <= 2 {
					t.Fatalf("%s allowed by nothing", f)
				}
			}
		}
	})
}
