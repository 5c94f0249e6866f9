package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"github.com/dunlin-mqtt/dunlin/config"
)

const explainHelp = `Usage: dunlin explain acl USER publish|subscribe|receive TOPIC [-c FILE]
       dunlin explain route TOPIC [-c FILE]
       dunlin explain key KEY [-c FILE]

acl says whether a user may do something, and which rule decides that. route
says which bridges carry a topic, and to where. key says what a key of the
configuration is for, what it is when it is left out, what it is now and where
that was written. All of it from the configuration: no gateway need run.

Examples:
  dunlin explain acl esp-17 publish devices/esp-17/temperature
  dunlin explain acl anonymous subscribe '#' --listener :1883
  dunlin explain route sensors/room/temperature
  dunlin explain key bridges.cloud.spool.max_size

Exit codes: 0 explained, also when it is not allowed; 1 there is no such thing.
`

func runExplain(_ context.Context, args []string, s streams) int {
	fs := flags.New("explain")
	file := fs.StringP("config", "c", "", "configuration `file`")
	client := fs.String("client", "", "Client `identifier`, for rules with {client}")
	listener := fs.String("listener", "", "`bind` of the listener, for those with rules of their own")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, explainHelp, fs) }); done {
		return code
	}
	want := map[string]int{"acl": 4, "route": 2, "key": 2}[fs.Arg(0)]
	if want == 0 || fs.NArg() != want {
		return usageError(s, "explain", "takes acl USER ACTION TOPIC, route TOPIC or key KEY")
	}
	cfg, code := loadForRun(*file, s)
	if cfg == nil {
		return code
	}
	var err error
	out := onTerminal(s.out)
	switch fs.Arg(0) {
	case "acl":
		err = explainACL(out, cfg, fs.Args()[1:], *client, *listener)
	case "route":
		err = explainRoute(out, cfg, fs.Arg(1))
	default:
		err = explainKey(out, cfg, fs.Arg(1))
	}
	if err != nil {
		fmt.Fprintln(onTerminal(s.err), "dunlin explain:", err)
		return exitFailed
	}
	return exitDone
}

var actions = map[string]broker.Action{"publish": broker.Publish, "subscribe": broker.Subscribe, "receive": broker.Receive}

func explainACL(w io.Writer, cfg *config.Config, args []string, client, listener string) error {
	user, action := args[0], actions[args[1]]
	if action == 0 {
		return fmt.Errorf("there is no action %s: publish, subscribe or receive", args[1])
	}
	if err := topic.ValidFilter(args[2]); err != nil {
		return fmt.Errorf("%q: %w", args[2], err)
	}
	if user == "anonymous" {
		user = ""
	}
	a, errs := makeAuth(cfg, true)
	if len(errs) > 0 {
		return errs
	}
	_, filter, _ := topic.Share(args[2]) // rules are about what is behind $share/GROUP/
	ask := broker.Access{Identity: &broker.Identity{User: user}, ClientID: client, Listener: listener, Action: action, Topic: filter}
	d := a.Authorize(&ask)
	place, rule := decisive(cfg, ask)
	switch {
	case d.Code.Failed() && (rule == nil || rule.Deny):
		fmt.Fprintf(w, "refused   %s may not %s %s\n", args[0], args[1], args[2])
	case d.Code.Failed():
		fmt.Fprintf(w, "refused   below %s only commands are published, unless a rule names topics there\n", cfg.Gateway.Base)
	default:
		fmt.Fprintf(w, "allowed   %s may %s %s, with QoS %d at most\n", args[0], args[1], args[2], d.MaxQoS)
	}
	if d.Each {
		fmt.Fprintln(w, "          but gets only those messages that it may receive")
	}
	switch {
	case rule != nil:
		fmt.Fprintf(w, "by        %s  %s\n", place, cfg.Place(place))
	case cfg.Auth.ACLFile != "":
		fmt.Fprintf(w, "by        no rule of the configuration, so by %s, or none\n", cfg.Auth.ACLFile)
	case len(cfg.Auth.Rules) == 0:
		fmt.Fprintln(w, "by        there are no rules: those let in may do everything but forge what the gateway says")
	default:
		fmt.Fprintln(w, "by        no rule names it, and what no rule names is refused")
	}
	if known := fileUsers(cfg); user != "" && len(known) > 0 && !slices.Contains(known, user) {
		fmt.Fprintf(w, "but       no users file has %s%s; certificates and tokens have other names\n", user, didYouMean(user, known, ""))
	}
	return nil
}

// fileUsers are the users of all users files.
func fileUsers(cfg *config.Config) (all []string) {
	files := []config.Path{cfg.Auth.UsersFile}
	for _, l := range cfg.MQTT.Listeners {
		files = append(files, l.UsersFile)
	}
	for _, file := range files {
		text, _ := os.ReadFile(string(file)) // makeAuth has read what there is to read
		if u, err := broker.ParseUsersText(string(file), text); err == nil {
			all = append(all, u.Users()...)
		}
	}
	return all
}

// decisive returns the first rule that is about what is asked, and its place:
// each rule is tried alone, as if it allowed what it names.
func decisive(cfg *config.Config, ask broker.Access) (place string, found *config.Rule) {
	try := func(under string, rules []config.Rule) {
		for i := range rules {
			if found != nil {
				return
			}
			alone := rules[i]
			alone.Deny, alone.MaxQoS, alone.Retain = false, 2, true
			a, err := broker.NewAuth(broker.AuthOptions{Rules: authRules([]config.Rule{alone}), Roles: cfg.Auth.Roles, Admins: cfg.Auth.Admins})
			if err == nil && a.Authorize(&ask).Code == mqtt.Success {
				place, found = fmt.Sprintf("%s[%d]", under, i), &rules[i]
			}
		}
	}
	for i, l := range cfg.MQTT.Listeners {
		if l.Bind == ask.Listener {
			try(fmt.Sprintf("mqtt.listeners[%d].acl", i), l.ACL)
		}
	}
	try("auth.rules", cfg.Auth.Rules)
	return place, found
}

func explainRoute(w io.Writer, cfg *config.Config, name string) error {
	if name == "" || strings.ContainsAny(name, "+#") {
		return fmt.Errorf("%q is no Topic Name", name)
	}
	taken := false
	for _, b := range cfg.Bridges {
		if to, i, ok := bridge.Remap(outRoutes(b.Out), name); ok {
			taken = true
			r := &b.Out[i]
			fmt.Fprintf(w, "out   %s  ->  %s  of bridge %s, QoS %d at most, lane %s  (bridges.%s.out[%d], from %s)\n", name, to, b.Name, r.QoS, r.Lane, b.Name, i, r.From)
		}
		if to, i, ok := bridge.Remap(inRoutes(b.In), name); ok {
			taken = true
			fmt.Fprintf(w, "in    %s of bridge %s  ->  %s here  (bridges.%s.in[%d], from %s)\n", name, b.Name, to, b.Name, i, b.In[i].From)
		}
	}
	if !taken {
		fmt.Fprintf(w, "no bridge carries %s: it stays on this gateway\n", name)
	}
	if strings.HasSuffix(name, "/set") && !slices.ContainsFunc(cfg.Devices, func(d config.Device) bool {
		return strings.HasPrefix(name, cfg.Gateway.Base+"/"+d.Name+"/")
	}) {
		fmt.Fprintf(w, "no device takes it as a command: those of this gateway are at %s/DEVICE/ENTITY/set\n", cfg.Gateway.Base)
	}
	return nil
}

// explainKey says what the reference has about a key, and what it is now. A
// section is explained by its keys.
func explainKey(w io.Writer, cfg *config.Config, key string) error {
	var page bytes.Buffer
	if err := config.WriteReference(&page, tables()); err != nil {
		return err
	}
	wanted := levels(key)
	text, keys, hint := lookUp(page.String(), wanted)
	switch {
	case text != "":
		fmt.Fprint(w, text)
	case keys != "":
		_, err := io.WriteString(w, keys)
		return err
	default:
		return fmt.Errorf("there is no key %s%s ('dunlin config reference' has all)", key, hint)
	}
	for _, s := range cfg.Flat() {
		if at := levels(s.Path); len(at) == len(wanted) && covered(wanted, at) {
			origin := cfg.Origin(s)
			if origin == "" {
				origin = "by default"
			}
			fmt.Fprintf(w, "  now %s: %s  (%s)\n", s.Path, s.Value, origin)
		}
	}
	return nil
}

// lookUp finds a key in the reference, whose headings name the section of the
// keys below them: what it says of the key itself and of the keys below it, and
// a hint at those that have its last name elsewhere, or nearly its name.
func lookUp(reference string, wanted []string) (text, keys, hint string) {
	section := ""
	var near, all []string
	for line := range strings.SplitSeq(reference, "\n") {
		if name, is := strings.CutPrefix(line, "## "); is {
			section = name + "."
			all = append(all, name)
			continue
		}
		rest, is := strings.CutPrefix(line, "- `")
		if !is {
			continue
		}
		name, doc, _ := strings.Cut(rest, "`: ")
		path := section
		kind, of, lent := strings.Cut(section, " ") // of a driver or bus, whose keys stand among the device's
		if lent {
			_, below, _ := strings.Cut(of, ".")
			path = lenders[kind] + below
		}
		known := levels(path + name)
		if !lent {
			all = append(all, section+name)
		}
		switch {
		case len(known) == len(wanted) && covered(known, wanted):
			text += section + name + "\n  " + doc + "\n"
		case !lent && len(known) > len(wanted) && covered(known[:len(wanted)], wanted):
			keys += section + name + ": " + doc + "\n"
		}
		if known[len(known)-1] == wanted[len(wanted)-1] {
			near = append(near, section+name)
		}
	}
	if len(near) > 0 {
		return text, keys, "; there is " + strings.Join(near[:min(len(near), 8)], ", ")
	}
	return text, keys, didYouMean(strings.Join(wanted, "."), all, "")
}

// lenders are where the keys of a kind of section stand; a filter's stand below
// its name only.
var lenders = map[string]string{"driver": "devices[].", "bus": "buses[]."}

// levels takes a path apart; list indexes and [] are levels of their own.
func levels(path string) []string {
	return strings.Split(strings.NewReplacer("[]", ".NAME", "[", ".", "]", "").Replace(path), ".")
}

// covered reports whether a path is one of those that a pattern stands for:
// NAME and * are any level.
func covered(pattern, path []string) bool {
	for i, p := range pattern {
		if p != "NAME" && p != "*" && p != path[i] && path[i] != "NAME" && path[i] != "*" {
			return false
		}
	}
	return true
}
