package main

import (
	"errors"
	"log/slog"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
)

// makeAuth reads the files that say who may connect and what they may do, and
// reports every mistake in them at its line. anyOwner is for a root who only
// checks what another user will run.
func makeAuth(cfg *config.Config, anyOwner bool) (*broker.Auth, config.Errors) {
	o := authOptions(cfg)
	o.AnyOwner = anyOwner
	a, err := broker.NewAuth(o)
	var faults broker.AuthFaults
	switch {
	case err == nil:
		return a, nil
	case !errors.As(err, &faults):
		return nil, config.Errors{cfg.Errorf("auth", "", "auth: %v", err)}
	}
	var errs config.Errors
	for _, f := range faults {
		e := config.Error{File: f.File, Line: f.Line, Msg: f.Msg, Hint: f.Hint}
		if f.Line > 0 {
			e.Column = 1
		}
		errs = append(errs, e)
	}
	return nil, errs
}

func authOptions(cfg *config.Config) broker.AuthOptions {
	o := broker.AuthOptions{
		UsersFile: string(cfg.Auth.UsersFile),
		Admins:    cfg.Auth.Admins,
		Roles:     cfg.Auth.Roles,
		ACLFile:   string(cfg.Auth.ACLFile),
		Rules:     authRules(cfg.Auth.Rules),
		Base:      cfg.Gateway.Base,
		Memory:    memoryThereIs("/"),
		Listeners: map[string]broker.AuthListener{},
	}
	if j := cfg.Auth.JWT; j != nil {
		o.JWT = &broker.AuthJWT{Keys: string(j.Keys), UserClaim: j.UserClaim, Audience: j.Audience}
	}
	for _, l := range cfg.MQTT.Listeners {
		if l.UsersFile != "" || len(l.ACL) > 0 {
			o.Listeners[l.Bind] = broker.AuthListener{UsersFile: string(l.UsersFile), Rules: authRules(l.ACL)}
		}
	}
	return o
}

func authRules(in []config.Rule) []broker.AuthRule {
	var out []broker.AuthRule
	for _, r := range in {
		rule := broker.AuthRule{
			User: r.User, Role: r.Role, Deny: r.Deny, MaxQoS: mqtt.QoS(r.MaxQoS), Retain: r.Retain,
			Publish: texts(r.Publish), Subscribe: texts(r.Subscribe), Receive: texts(r.Receive),
		}
		out = append(out, rule)
	}
	return out
}

// texts keeps nil apart from empty: no receive means subscribe, an empty one
// nothing.
func texts(in []config.TopicFilter) []string {
	if in == nil {
		return nil
	}
	out := make([]string, len(in))
	for i, f := range in {
		out[i] = string(f)
	}
	return out
}

// warnClearText tells of listeners where passwords can be read on the way.
func warnClearText(cfg *config.Config, log *slog.Logger) {
	for i := range cfg.MQTT.Listeners {
		l := &cfg.MQTT.Listeners[i]
		kind, _ := l.Kind()
		switch {
		case l.Local() || kind != "tcp" || l.TLS != nil:
		case l.Anonymous:
			log.Warn("everybody who can reach the listener is let in, as the configuration says", "bind", l.Bind)
		default:
			log.Warn("passwords travel in the clear: give the listener tls, or bind it to this machine", "bind", l.Bind)
		}
	}
}
