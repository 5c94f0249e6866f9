package auth

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Anonymous is the word of a rule for clients that proved nothing. Nobody can
// have it as a user name.
const Anonymous = "anonymous"

// maxName is the longest user name in bytes.
const maxName = 256

// Rule says what users may do. Of all rules that are about a user, the first
// that names the topic for the action decides; where none does, the answer is
// no.
type Rule struct {
	// User is a user name in which * stands for any characters, or Anonymous.
	// No pattern of * matches anonymous clients. Empty when Role is set.
	User string
	Role string // a name of Options.Roles
	// Publish, Subscribe and Receive are Topic Filters. {user} and {client} in
	// them stand for the user name and the Client Identifier, taken literally.
	Publish   []string
	Subscribe []string
	Receive   []string // what may be delivered; nil is Subscribe
	Deny      bool     // refuses what it names
	MaxQoS    mqtt.QoS // of what is published and subscribed to
	Retain    bool     // whether retained messages may be published
}

// validate reports what no rule may hold.
func (r *Rule) validate(roles map[string][]string) error {
	if (r.User == "") == (r.Role == "") {
		return fmt.Errorf("a rule is about a user or about a role")
	}
	if _, ok := roles[r.Role]; r.Role != "" && !ok {
		return fmt.Errorf("there is no role %q", r.Role)
	}
	if len(r.Publish)+len(r.Subscribe)+len(r.Receive) == 0 {
		return fmt.Errorf("the rule of %q names no topic", r.User+r.Role)
	}
	for _, f := range slices.Concat(r.Publish, r.Subscribe, r.Receive) {
		if err := topic.ValidFilter(sample.Replace(f)); err != nil {
			return fmt.Errorf("filter %q: %w", f, err)
		}
		if _, _, shared := topic.Share(f); shared {
			return fmt.Errorf("filter %q: rules are about the filter behind $share/GROUP/", f)
		}
	}
	return nil
}

// sample makes a filter of a template.
var sample = strings.NewReplacer("{user}", "u", "{client}", "c")

// receives returns the filters of what may be delivered.
func (r *Rule) receives() []string {
	if r.Receive == nil {
		return r.Subscribe
	}
	return r.Receive
}

// about reports whether the rule is about a user; roles are the members of
// each role, "" is an anonymous client.
func (r *Rule) about(user string, roles map[string][]string) bool {
	switch {
	case r.Role != "":
		return user != "" && slices.Contains(roles[r.Role], user)
	case user == "":
		return r.User == Anonymous
	}
	return r.User != Anonymous && glob(r.User, user)
}

// glob reports whether s matches pattern, in which * stands for any
// characters. It takes time in proportion to len(pattern) * len(s) at most.
func glob(pattern, s string) bool {
	p, i := 0, 0
	star, retry := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			retry++
			p, i = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// validUser returns nil when a proof may stand for this user name.
func validUser(name string) error {
	switch {
	case name == "":
		return mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "empty user name")
	case len(name) > maxName:
		return mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "user name longer than %d bytes", maxName)
	case name == Anonymous:
		return mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "user name %q is reserved", Anonymous)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "control characters in the user name")
	}
	return nil
}

// fits reports whether a name can stand in a filter without meaning more than
// itself.
func fits(name string) bool {
	return name != "" && name[0] != '$' && utf8.ValidString(name) &&
		!strings.ContainsAny(name, "+#/") && !strings.ContainsFunc(name, unicode.IsControl)
}

// misfit returns the template of f that cannot be filled in, "" without one.
func misfit(f, user, client string) string {
	switch {
	case strings.Contains(f, "{user}") && !fits(user):
		return "{user}"
	case strings.Contains(f, "{client}") && !fits(client):
		return "{client}"
	}
	return ""
}

// expand fills in a filter's templates.
func expand(f, user, client string) string {
	if !strings.Contains(f, "{") {
		return f
	}
	return strings.NewReplacer("{user}", user, "{client}", client).Replace(f)
}

// widen returns a filter that matches whatever f can stand for: a refusal
// must not shrink because a name does not fit.
func widen(f string) string {
	levels := strings.Split(f, "/")
	for i, l := range levels {
		if sample.Replace(l) != l {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}
