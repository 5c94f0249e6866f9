package config

import "github.com/dunlin-mqtt/dunlin/broker/topic"

// Wills warns about bridges that take announcements to a Home Assistant which
// would not hear that the gateway is gone: its will is on another topic than they
// name.
func (c *Config) Wills() (found Errors) {
	status := string(c.Gateway.Base) + "/status"
	for i := range c.Bridges {
		b := &c.Bridges[i]
		announces := false
		for _, r := range b.Out {
			announces = announces || r.From == r.To && topic.Covers(string(r.From), c.Gateway.HomeAssistant.Prefix+"/device/x/config")
		}
		if !announces || !c.Gateway.HomeAssistant.Discovery || b.StatusTopic == status {
			continue
		}
		e := c.Errorf(join(join("bridges", b.Name), "status_topic"), "status_topic: \""+status+"\"",
			"Home Assistant at the other side looks at %s, and the will is on %q: without the gateway its outputs would look alive", shorten(status), b.StatusTopic)
		e.Warning = true
		found = append(found, e)
	}
	return found.sorted()
}
