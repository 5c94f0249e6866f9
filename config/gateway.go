package config

import (
	"strings"
	"time"
)

// Gateway says how the gateway's own devices speak.
type Gateway struct {
	Base          string         `yaml:"base" tmpl:"node" doc:"topic above all devices" ex:"\"dunlin/{node}\""`
	Payload       string         `yaml:"payload" enum:"plain|json|both|senml|sparkplug" doc:"one scalar a topic, one JSON object a device, both, SenML, or Sparkplug B"`
	Defaults      DeviceDefaults `yaml:"defaults" doc:"what devices do not say themselves"`
	HomeAssistant HomeAssistant  `yaml:"homeassistant" doc:"Home Assistant discovery"`
	Sparkplug     Sparkplug      `yaml:"sparkplug" doc:"Sparkplug B of devices with payload: sparkplug"`
	Record        Path           `yaml:"record" doc:"write all traffic of buses and serial ports to this file, 64 MiB at most; nothing is recorded if it is there already" ex:"/tmp/shed.rec"`
	Replay        Path           `yaml:"replay" doc:"play a recording in place of buses and serial ports"`
}

// DeviceDefaults are the values of devices that do not set them.
type DeviceDefaults struct {
	Interval   time.Duration `yaml:"interval" min:"10ms" max:"10000d" doc:"time between readings" ex:"30s"`
	StaleAfter time.Duration `yaml:"stale_after" min:"10ms" max:"36500d" doc:"offline after this time without a good reading; at least three intervals where a device sets its own" ex:"90s"`
	FailAfter  int           `yaml:"fail_after" min:"1" max:"1000" doc:"offline after this many failures in a row"`
	WillDelay  time.Duration `yaml:"will_delay" max:"36500d" doc:"time until a failed device is called offline" ex:"5s"`
	QoS        int           `yaml:"qos" min:"0" max:"2" doc:"QoS of readings"`
}

// HomeAssistant is the discovery of devices.
type HomeAssistant struct {
	Discovery bool   `yaml:"discovery" doc:"announce devices to Home Assistant"`
	Prefix    string `yaml:"prefix" doc:"topic of announcements"`
}

// Sparkplug is the gateway as a Sparkplug Edge Node; node is its name.
type Sparkplug struct {
	Group string `yaml:"group" doc:"group of the Edge Node"`
}

func (g *Gateway) setDefaults() {
	g.Base, g.Payload = "dunlin/{node}", "plain"
	g.Defaults = DeviceDefaults{Interval: 30 * time.Second, StaleAfter: 90 * time.Second, FailAfter: 3, WillDelay: 5 * time.Second, QoS: 1}
	g.HomeAssistant.Prefix, g.Sparkplug.Group = "homeassistant", "dunlin"
}

func (g *Gateway) check(l *loader) {
	fault := topicFault(g.Base)
	switch {
	case fault != "":
	case strings.HasPrefix(g.Base, "$"):
		fault = "may not start with $: such topics are the server's own"
	case strings.HasPrefix(g.Base, "/") || strings.HasSuffix(g.Base, "/"):
		fault = "may not start or end with /"
	}
	l.failIf(fault, "gateway.base", "for example dunlin/{node}", "base %s")
	if g.Record != "" && g.Replay != "" {
		l.failAt("gateway.replay", "", "record and replay do not go together")
	}
	l.failIf(topicFault(g.HomeAssistant.Prefix), "gateway.homeassistant.prefix", "", "prefix %s")
	l.failIf(nameFault(g.Sparkplug.Group), "gateway.sparkplug.group", "", "group %s")
	if d := g.Defaults; d.StaleAfter < d.Interval {
		l.failIf("is shorter than interval: every device would go offline between readings", "gateway.defaults.stale_after", "", "stale_after %s")
	}
}
