package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Auth says who may connect and what they may do.
type Auth struct {
	UsersFile Path                `yaml:"users_file" doc:"password file; 'dunlin passwd' and mosquitto_passwd write it" ex:"users"`
	JWT       *JWT                `yaml:"jwt" doc:"accept signed tokens as passwords"`
	Admins    []string            `yaml:"admins" doc:"users who may read $SYS and change things over the API"`
	Roles     map[string][]string `yaml:"roles" doc:"users by role, for rules" ex:"{operators: [alice, bob]}"`
	Rules     []Rule              `yaml:"rules" doc:"the first match wins; no match is refused; without rules, those let in may do everything"`
	ACLFile   Path                `yaml:"acl_file" doc:"file in the format of mosquitto's acl_file, after the rules" ex:"acl"`
}

// JWT says whose tokens are accepted.
type JWT struct {
	Keys      Path   `yaml:"keys" req:"1" ex:"jwks.json" doc:"JSON Web Key Set or PEM file with the issuer's public keys, or a file with the secret of HS256, one word"`
	UserClaim string `yaml:"user_claim" doc:"claim that is the user name"`
	Audience  string `yaml:"audience" ex:"dunlin" doc:"what tokens have in the claim aud; without it, tokens with that claim are refused"`
}

func (j *JWT) setDefaults() { j.UserClaim = "sub" }

// Rule lets users publish and subscribe, or refuses it.
type Rule struct {
	User      string        `yaml:"user" ex:"\"esp-*\"" doc:"user name; * stands for any characters; anonymous is who has none"`
	Role      string        `yaml:"role" ex:"operators" doc:"role of auth.roles, instead of user"`
	Publish   []TopicFilter `yaml:"publish" tmpl:"user,client" doc:"topics the user may publish to"`
	Subscribe []TopicFilter `yaml:"subscribe" tmpl:"user,client" doc:"topics the user may subscribe to"`
	Receive   []TopicFilter `yaml:"receive" tmpl:"user,client" doc:"topics whose messages the user may get; default: subscribe"`
	Deny      bool          `yaml:"deny" doc:"refuse these topics instead"`
	MaxQoS    int           `yaml:"max_qos" min:"0" max:"2" doc:"highest QoS"`
	Retain    bool          `yaml:"retain" doc:"whether retained messages may be published"`
}

func (r *Rule) setDefaults() { r.MaxQoS, r.Retain = 2, true }

func (a *Auth) check(l *loader) {
	for i, name := range a.Admins {
		if strings.TrimSpace(name) == "" || strings.Contains(name, "*") {
			l.failAt(index("auth.admins", i), "", "an admin is one user name, without *")
		}
	}
	for _, role := range names(a.Roles) {
		for i, name := range a.Roles[role] {
			if strings.TrimSpace(name) == "" || strings.Contains(name, "*") {
				l.failAt(index(join("auth.roles", role), i), "", "a member of a role is one user name, without *")
			}
		}
	}
	checkRules(l, "auth.rules", a.Rules)
}

func checkRules(l *loader, path string, rules []Rule) {
	if len(rules) == 0 && l.cfg.IsSet(path) {
		l.failIf("is empty, and would let nobody do anything", path, "remove it to let everyone who gets in do everything", last(path)+" %s")
	}
	for i := range rules {
		rules[i].check(l, index(path, i))
	}
}

func (r *Rule) check(l *loader, p string) {
	roles := l.cfg.Auth.Roles
	switch _, known := roles[r.Role]; {
	case r.User == "" && r.Role == "":
		l.failIf("needs user or role", p, `for example user: "esp-*"`, "rule %s")
	case r.User != "" && r.Role != "":
		l.failIf("is about a user or about a role, not both", p, "", "rule %s")
	case r.Role != "" && !known:
		l.failIf("is not in auth.roles", join(p, "role"), oneOf(r.Role, names(roles)), fmt.Sprintf("role %q %%s", shorten(r.Role)))
	}
	if len(r.Publish)+len(r.Subscribe)+len(r.Receive) == 0 {
		fault := "allows nothing: give it publish or subscribe"
		if r.Deny {
			fault = "refuses nothing: give it publish or subscribe"
		}
		l.failIf(fault, p, "", "rule %s")
	}
	for _, key := range []string{"max_qos", "retain"} {
		if r.Deny && l.cfg.IsSet(join(p, key)) {
			l.failIf("means nothing in a rule that refuses", join(p, key), "", key+" %s")
		}
	}
	for key, list := range map[string][]TopicFilter{"publish": r.Publish, "subscribe": r.Subscribe, "receive": r.Receive} {
		i := slices.IndexFunc(list, func(f TopicFilter) bool { _, _, shared := topic.Share(string(f)); return shared })
		if i >= 0 {
			l.failIf("is a shared one: rules are about the filter behind $share/GROUP/", index(join(p, key), i), "", "topic filter %s")
		}
	}
}
