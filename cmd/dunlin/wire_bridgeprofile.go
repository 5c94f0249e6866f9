package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
)

var bridgeProtocol = map[string]mqtt.Version{"3.1": mqtt.V31, "3.1.1": mqtt.V311, "5": mqtt.V5}

// bridgeOptions are those of a bridge that need nothing but its configuration.
// Defaults that the profile cannot take give way to it; what is written in the
// file stays, for Profile.Check to find.
func bridgeOptions(cfg *config.Config, bc *config.Bridge) bridge.Options {
	o := bridge.Options{
		Name: bc.Name, Servers: bc.Servers, ClientID: bc.ClientID, Protocol: bridgeProtocol[bc.Protocol],
		Username: bc.Credentials.Username, Password: bc.Credentials.Password.Reveal(), HasCertificate: bc.Credentials.Cert != "",
		Signs: bc.Credentials.SAS.IsSet() || bc.Credentials.JWT != nil,
		TLS:   func() (*tls.Config, error) { return bridgeTLS(cfg, bc) }, // read again for each connection
		Proxy: bc.Proxy.Reveal(), KeepAlive: bc.KeepAlive, StatusTopic: bc.StatusTopic,
		Out: outRoutes(bc.Out), In: inRoutes(bc.In),
		Envelope: envelopes[bc.Envelope], Base: cfg.Gateway.Base,
		InFlight: bc.Pace.Inflight, InFlightBytes: bc.Pace.InflightBytes.Int(),
		Pace: bridge.Pace{Messages: bc.Pace.Messages.PerSecond(), Bytes: bc.Pace.Bytes.PerSecond(), Daily: int64(bc.Pace.Daily)},
	}
	if bc.TLS.UnsetClock == "build-date" {
		o.Built = buildTime()
	}
	o.Profile, _ = bridge.FindProfile(bc.Profile) // the configuration knows no others
	place := "bridges." + bc.Name + "."
	if !cfg.IsSet(place+"protocol") && !o.Profile.Speaks(o.Protocol) {
		o.Protocol = o.Profile.Versions[0]
	}
	if bc.Envelope == "sparkplug" {
		o.StatusTopic = ""
	}
	if !cfg.IsSet(place+"status_topic") && !o.Profile.Takes(o.StatusTopic, o.ClientID) {
		o.StatusTopic = ""
	}
	return o
}

// bridgeSigner makes what signs in instead of a password, nil if nothing does.
func bridgeSigner(bc *config.Bridge) (bridge.Signer, error) {
	c := &bc.Credentials
	switch {
	case c.SAS.IsSet():
		return bridge.SAS(bc.ClientID, c.SAS.Reveal(), c.Lifetime)
	case c.JWT != nil:
		if _, err := jwtSigner(c); err != nil {
			return nil, err
		}
		return func(host string, now time.Time) (string, time.Time, error) {
			sign, err := jwtSigner(c) // the key may be another one since the last connection
			if err != nil {
				return "", time.Time{}, err
			}
			return sign(host, now)
		}, nil
	}
	return nil, nil
}

func jwtSigner(c *config.Credentials) (bridge.Signer, error) {
	key, err := os.ReadFile(string(c.JWT.Key))
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	return bridge.JWT(key, bridge.Claims{Audience: c.JWT.Audience, Subject: c.JWT.Subject, Issuer: c.JWT.Issuer}, c.Lifetime)
}

// checkProfiles finds what the servers of the profiles would refuse, without
// asking them, and keys that cannot sign.
func checkProfiles(cfg *config.Config) (errs config.Errors) {
	for i := range cfg.Bridges {
		bc := &cfg.Bridges[i]
		o := bridgeOptions(cfg, bc)
		if _, err := bridgeSigner(bc); err != nil {
			errs = append(errs, cfg.Errorf("bridges."+bc.Name+".credentials", "", "%v", err))
		}
		for _, f := range o.Profile.Check(&o) {
			errs = append(errs, cfg.Errorf("bridges."+bc.Name+"."+f.Place, f.Hint, "%s", f.Msg))
		}
	}
	return errs
}
