package config

// Runnable returns why the configuration must not run, although it is correct:
// a listener that lets nobody in. Nil lets it run.
func (c *Config) Runnable() Errors {
	var errs Errors
	for i, li := range c.MQTT.Listeners {
		if p := index("mqtt.listeners", i); !li.Anonymous && !c.letsIn(&li) {
			errs = append(errs, c.Errorf(join(p, "bind"), "name a users_file under auth ('dunlin passwd' writes it), or write anonymous: true to let everyone in who can reach it",
				"%s lets nobody in: it is not anonymous, and there are no users", p))
		}
	}
	return errs.sorted()
}

// letsIn reports whether somebody can prove a name at a listener. What systemd
// passes may be a Unix socket, which says who connects.
func (c *Config) letsIn(li *Listener) bool {
	kind, _ := li.Kind()
	return kind == "unix" || kind == "systemd" || c.Auth.UsersFile != "" || c.Auth.JWT != nil || li.UsersFile != "" || li.TLS != nil && li.TLS.CA != "" || len(li.ProxyProtocol) > 0
}
