package config

import (
	"path"
	"slices"
	"strings"
)

// later is one row of what this version reads and checks but does not carry
// out. A row goes when its key is carried out.
type later struct {
	// path is a pattern: * stands for one key or list index.
	path string
	// harmless are values that need nothing to be carried out.
	harmless []string
	// only limits the row to values with one of these beginnings.
	only []string
	// refuse, when set, is why the program must not start: leaving the key out
	// would open what it closes, or promise what is not kept.
	refuse string
	// note is what holds instead, for a warning.
	note string
}

// notYet is the table.
func notYet() []later {
	return nil // everything is carried out
}

// NotYet warns about every key of the file that is read and checked but not
// carried out by this version.
func (c *Config) NotYet() []Error { return c.warnings(notYet()) }

func (c *Config) warnings(rows []later) []Error {
	return c.later(rows, func(at *node, p string, row later) (Error, bool) {
		e := at.at()
		e.Path, e.Warning, e.Hint = p, true, row.note
		e.Msg = p + " is read but not carried out by this version"
		return e, row.refuse == ""
	})
}

// Runnable returns why this version must not run the configuration, although
// it is correct: keys that would be weaker than they say. Nil lets it run.
func (c *Config) Runnable() Errors {
	errs := c.later(notYet(), func(at *node, p string, row later) (Error, bool) {
		e := at.at()
		e.Path = p
		e.Msg = p + " is not carried out by this version"
		e.Hint = row.refuse
		return e, row.refuse != ""
	})
	for i, li := range c.MQTT.Listeners {
		if p := index("mqtt.listeners", i); !li.Anonymous && !c.letsIn(&li) {
			errs = append(errs, c.Errorf(join(p, "bind"), "name a users_file under auth ('dunlin passwd' writes it), or write anonymous: true to let everyone in who can reach it",
				"%s lets nobody in: it is not anonymous, and there are no users", p))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return Errors(errs).sorted()
}

// letsIn reports whether somebody can prove a name at a listener.
func (c *Config) letsIn(li *Listener) bool {
	kind, _ := li.Kind()
	return kind == "unix" || c.Auth.UsersFile != "" || c.Auth.JWT != nil || li.UsersFile != "" || li.TLS != nil && li.TLS.CA != "" || len(li.ProxyProtocol) > 0
}

// later calls f for every place in the file that a row of the table is about.
func (c *Config) later(rows []later, f func(at *node, p string, row later) (Error, bool)) []Error {
	var out Errors
	c.root.walk("", func(p string, at, value *node) {
		for _, row := range rows {
			if !row.about(p, value) {
				continue
			}
			if e, ok := f(at, p, row); ok {
				out = append(out, e)
			}
		}
	})
	return out.sorted()
}

func (r later) about(p string, value *node) bool {
	if ok, _ := path.Match(strings.ReplaceAll(r.path, ".", "/"), strings.Join(segments(p), "/")); !ok || value.kind == null {
		return false
	}
	if slices.Contains(r.harmless, value.text) && value.kind == scalar {
		return false
	}
	return len(r.only) == 0 || slices.ContainsFunc(r.only, func(prefix string) bool { return strings.HasPrefix(value.text, prefix) })
}
