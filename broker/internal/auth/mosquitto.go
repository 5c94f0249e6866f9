package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

const maxACLFile = 4 << 20

// readACL reads a file in the format of mosquitto's acl_file.
func readACL(file string, anyOwner bool) ([]Rule, error) {
	b, err := readFile(file, maxACLFile, false, anyOwner)
	if err != nil {
		return nil, err
	}
	return parseACL(file, b)
}

// acl collects the lines of a mosquitto ACL file.
type acl struct {
	// groups[0] is for anonymous clients, the others are one user's each.
	groups []aclGroup
	// patterns are for everybody.
	patterns aclGroup
	current  int // the group that topic lines go to
}

type aclGroup struct {
	user            string
	denied, allowed []Rule
}

func (g *aclGroup) rules() []Rule { return slices.Concat(g.denied, g.allowed) }

// parseACL makes rules of mosquitto's: "topic" lines in front of the first
// "user" line are for anonymous clients, "pattern" lines for everybody. As
// there, a user's own lines go before the patterns, what is denied before what
// is allowed; SUBSCRIBE is granted for every filter of which the client may
// read anything, and each message is asked for.
func parseACL(file string, b []byte) ([]Rule, error) {
	a := &acl{groups: []aclGroup{{user: Anonymous}}}
	if faults := lines(file, b, a.line); faults != nil {
		return nil, faults
	}
	var out []Rule
	for i := range a.groups {
		out = append(out, a.groups[i].rules()...)
	}
	for _, r := range a.patterns.rules() {
		r.User = "*"
		out = append(out, r)
		if !strings.Contains(strings.Join(slices.Concat(r.Publish, r.Receive), ""), "{user}") {
			r.User = Anonymous
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, Faults{{File: file, Msg: "it holds no rule, and would let nobody do anything",
			Hint: "all rights for one user: 'user NAME' and below it 'topic readwrite #'"}}
	}
	for _, everybody := range []string{"*", Anonymous} {
		out = append(out, Rule{User: everybody, Subscribe: []string{"#", "$SYS/#"}, Receive: []string{}, MaxQoS: mqtt.ExactlyOnce})
	}
	return out, nil
}

// line reads one line.
func (a *acl) line(line string) error {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "":
		return nil // blanks only
	case "user":
		return a.user(rest)
	case "topic":
		g := &a.groups[a.current]
		return g.add(rest, false)
	case "pattern":
		return a.patterns.add(rest, true)
	}
	return fmt.Errorf("a line starts with user, topic or pattern, not %q", word)
}

// user makes the lines that follow those of one user.
func (a *acl) user(name string) error {
	if validUser(name) != nil {
		return fmt.Errorf("user: not a name: empty, reserved, longer than %d bytes, or with control characters", maxName)
	}
	if strings.Contains(name, "*") {
		return fmt.Errorf("user %q: the * would stand for any characters here", name)
	}
	a.current = slices.IndexFunc(a.groups, func(g aclGroup) bool { return g.user == name })
	if a.current < 0 {
		a.current = len(a.groups)
		a.groups = append(a.groups, aclGroup{user: name})
	}
	return nil
}

// templates are mosquitto's words for ours.
var templates = strings.NewReplacer("%u", "{user}", "%c", "{client}")

// add reads "[read|write|readwrite|deny] FILTER".
func (g *aclGroup) add(text string, pattern bool) error {
	access, filter, two := strings.Cut(text, " ")
	if filter = strings.TrimSpace(filter); !two {
		access, filter = "readwrite", access
	}
	if sample.Replace(filter) != filter {
		return fmt.Errorf("filter %q: {user} and {client} mean something else here", filter)
	}
	if pattern {
		filter = templates.Replace(filter)
	}
	if err := topic.ValidFilter(sample.Replace(filter)); err != nil {
		return fmt.Errorf("filter %q: %w", filter, err)
	}
	r := Rule{User: g.user, MaxQoS: mqtt.ExactlyOnce, Retain: true, Receive: []string{}}
	switch access {
	case "read":
		r.Receive = []string{filter}
	case "write":
		r.Publish = []string{filter}
	case "readwrite", "deny":
		r.Publish, r.Receive = []string{filter}, []string{filter}
	default:
		return fmt.Errorf("access is read, write, readwrite or deny, not %q", access)
	}
	if r.Deny = access == "deny"; r.Deny {
		g.denied = append(g.denied, r)
	} else {
		g.allowed = append(g.allowed, r)
	}
	return nil
}
