package bridge

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
)

// What the state says of certificates tells whose fault it is, and what to do.
func TestB04CertificatesAreExplained(t *testing.T) {
	type certificate struct {
		stranger bool // of an authority that nobody trusts
		name     string
		from     time.Duration // an hour long
	}
	good := certificate{name: "cloud.example", from: -time.Minute}
	for name, tc := range map[string]struct {
		server certificate
		own    *certificate
		asks   bool
		want   []string
	}{
		"no certificate":            {good, nil, true, []string{"the server refuses us", "it asks for a client certificate"}},
		"ours has ended":            {good, &certificate{name: "gw", from: -2 * time.Hour}, true, []string{"the server refuses us", "our certificate, cert of credentials, ended "}},
		"ours has not begun":        {good, &certificate{name: "gw", from: 2 * time.Hour}, true, []string{"our certificate, cert of credentials, begins "}},
		"ours is of a stranger":     {good, &certificate{name: "gw", stranger: true}, true, []string{"the server refuses us"}},
		"an authority nobody knows": {certificate{name: "cloud.example", stranger: true}, nil, false, []string{`it is issued by "CN=cloudtest": if`, "tls.ca"}},
		"another name":              {certificate{name: "other.example"}, nil, false, []string{`it is for "other.example"`, "tls.server_name"}},
		"an address":                {certificate{name: "10.0.0.1"}, nil, false, []string{`it is for "10.0.0.1"`}},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			bubble(t, name+", "+tls.VersionName(version), func(t *testing.T) {
				id, other := cloudtest.NewAuthority(), cloudtest.NewAuthority()
				issue := func(c certificate) tls.Certificate {
					a := id
					if c.stranger {
						a = other
					}
					return a.Issue(c.name, c.from, c.from+time.Hour)
				}
				var own []tls.Certificate
				if tc.own != nil {
					own = append(own, issue(*tc.own))
				}
				server := issue(tc.server)
				c, err := cloudtest.New(cloudtest.Options{})
				if err != nil {
					t.Fatal(err)
				}
				tr := &cloudtest.Transport{Cloud: c, TLS: func() *tls.Config {
					cfg := &tls.Config{Certificates: []tls.Certificate{server}, MaxVersion: version, ClientCAs: id.Roots()}
					if tc.asks {
						cfg.ClientAuth = tls.RequireAndVerifyClientCert
					}
					return cfg
				}}
				r := against(t, c, func(o *Options) {
					o.Servers, o.Dial = []string{"mqtts://cloud.example"}, tr.Dial
					o.TLS = func() (*tls.Config, error) { return &tls.Config{RootCAs: id.Roots(), Certificates: own}, nil }
				})
				after(time.Second)
				s := r.Stats()
				for _, text := range tc.want {
					if s.Class != ClassTLS || !strings.Contains(s.Reason, text) {
						t.Errorf("%s: %s, not %q", s.Class, s.Reason, text)
					}
				}
				r.stop()
			})
		}
	}
}
