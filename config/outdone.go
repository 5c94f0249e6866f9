package config

// Outdone warns about bounds of what waits that a tighter one makes void.
func (c *Config) Outdone() (found Errors) {
	for i := range c.Bridges {
		b := &c.Bridges[i]
		path := join("bridges", b.Name)
		warn := func(at, hint, format string, args ...any) {
			e := c.Errorf(join(path, at), hint, format, args...)
			e.Warning = true
			found = append(found, e)
		}
		if size := b.Spool.MaxSize; size > c.Store.MaxSize && c.IsSet(join(path, "spool.max_size")) {
			warn("spool.max_size", "raise store.max_size", "%s is more than store.max_size: what waits gives way before there is so much", written(size))
		}
		for j := range b.Out {
			if ttl := b.Out[j].TTL; b.Spool.MaxAge > 0 && ttl > b.Spool.MaxAge {
				warn(index("out", j)+".ttl", "raise max_age of the spool", "messages wait no longer than spool.max_age, %s", writtenTime(b.Spool.MaxAge))
			}
		}
	}
	return found.sorted()
}
