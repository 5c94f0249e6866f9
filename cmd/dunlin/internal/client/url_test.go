package client

import "testing"

func TestParseURL(t *testing.T) {
	for _, tc := range []struct {
		in                             string
		scheme, host                   string
		port                           int
		user, password, topic          string
		hasUser, hasPassword, hasTopic bool
	}{
		{in: "mqtt://h", scheme: "mqtt", host: "h", port: 1883},
		{in: "MQTTS://h", scheme: "mqtts", host: "h", port: 8883},
		{in: "mqtt://h:18/a/#", scheme: "mqtt", host: "h", port: 18, topic: "a/#", hasTopic: true},
		{in: "mqtt://h/", scheme: "mqtt", host: "h", port: 1883, hasTopic: true},
		{in: "mqtt://u@h", scheme: "mqtt", host: "h", port: 1883, user: "u", hasUser: true},
		{in: "mqtt://u:p:q@h/t", scheme: "mqtt", host: "h", port: 1883, user: "u", password: "p:q", topic: "t", hasUser: true, hasPassword: true, hasTopic: true},
		{in: "mqtt://u:p@x@h", scheme: "mqtt", host: "h", port: 1883, user: "u", password: "p@x", hasUser: true, hasPassword: true},
		{in: "mqtt://u%40d:%2F50%@h", scheme: "mqtt", host: "h", port: 1883, user: "u@d", password: "%2F50%", hasUser: true, hasPassword: true},
		{in: "mqtt://[::1]:19/t", scheme: "mqtt", host: "::1", port: 19, topic: "t", hasTopic: true},
		{in: "mqtt://[fe80::1%eth0]", scheme: "mqtt", host: "fe80::1%eth0", port: 1883},
		{in: "unix:///run/x.sock", scheme: "unix", host: "/run/x.sock"},
	} {
		u, err := ParseURL(tc.in)
		if err != nil {
			t.Errorf("%s: %v", tc.in, err)
			continue
		}
		if u.Scheme != tc.scheme || u.Host != tc.host || u.Port != tc.port || u.Topic != tc.topic || u.HasTopic != tc.hasTopic {
			t.Errorf("%s: got %+v", tc.in, u)
		}
		if (u.Username != nil) != tc.hasUser || u.Username != nil && *u.Username != tc.user {
			t.Errorf("%s: wrong user", tc.in)
		}
		if (u.Password != nil) != tc.hasPassword || u.Password != nil && *u.Password != tc.password {
			t.Errorf("%s: wrong password", tc.in)
		}
	}
	for _, in := range []string{"", "h:1883", "http://h", "mqtt://", "mqtt:///t", "mqtt://h:0", "mqtt://h:x", "mqtt://h:65536", "mqtt://[::1", "mqtt://[h]", "mqtt://[::1]x", "unix://"} {
		if u, err := ParseURL(in); err == nil {
			t.Errorf("%q: accepted as %+v", in, u)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"mqtt://u:p@h:1/t/#", "mqtts://[::1]:2", "unix:///s", "mqtt://@h", "mqtt://%", "://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURL(s)
		if err != nil {
			return
		}
		if u.Host == "" || u.Scheme != "unix" && (u.Port < 1 || u.Port > 65535) {
			t.Errorf("%q gave %+v", s, u)
		}
	})
}
