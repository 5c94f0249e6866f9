package config

import "strings"

// Auth says who may connect and what they may do.
type Auth struct {
	UsersFile Path     `yaml:"users_file" doc:"password file" ex:"users"`
	JWT       *JWT     `yaml:"jwt" doc:"accept signed tokens as passwords"`
	Admins    []string `yaml:"admins" doc:"users who may change things over the API"`
	Rules     []Rule   `yaml:"rules" doc:"the first match wins; no match is refused"`
}

// JWT says whose tokens are accepted.
type JWT struct {
	Keys      Path   `yaml:"keys" req:"1" ex:"jwks.json" doc:"JSON Web Key Set with the issuer's public keys"`
	UserClaim string `yaml:"user_claim" doc:"claim that is the user name"`
}

func (j *JWT) setDefaults() { j.UserClaim = "sub" }

// Rule lets users publish and subscribe.
type Rule struct {
	User      string        `yaml:"user" req:"1" ex:"\"esp-*\"" doc:"user name; * stands for any characters"`
	Publish   []TopicFilter `yaml:"publish" tmpl:"user,client" doc:"topics the user may publish to"`
	Subscribe []TopicFilter `yaml:"subscribe" tmpl:"user,client" doc:"topics the user may subscribe to"`
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
	checkRules(l, "auth.rules", a.Rules)
}

func checkRules(l *loader, path string, rules []Rule) {
	for i, r := range rules {
		if len(r.Publish) == 0 && len(r.Subscribe) == 0 {
			l.failIf("allows nothing: give it publish or subscribe", index(path, i), "", "rule %s")
		}
	}
}
