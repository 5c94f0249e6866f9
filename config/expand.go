package config

import (
	"slices"
	"strings"
)

// text returns the text of a scalar with its environment variables and {node}
// filled in.
func (l *loader) text(n *node, path string, f field) (string, bool) {
	s, fault, hint := expandEnv(n.text, l.env)
	if fault != "" {
		l.fail(n, path, hint, "%s", fault)
		return "", false
	}
	if len(f.tmpl) == 0 {
		return s, true
	}
	for rest := s; ; {
		inside, more := template(rest)
		if inside == "" {
			break
		}
		if !slices.Contains(f.tmpl, inside) {
			l.fail(n, path, oneOf(inside, f.tmpl), "template {%s} is not known here", inside)
			return "", false
		}
		rest = more
	}
	if slices.Contains(f.tmpl, "node") {
		s = l.cfg.expand(s)
	}
	return s, true
}

// template finds the first {name} of s, which is filled in later, and what
// follows it.
func template(s string) (name, rest string) {
	for {
		begin := strings.IndexByte(s, '{')
		if begin < 0 {
			return "", ""
		}
		s = s[begin+1:]
		end := len(s) - len(strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz_"))
		if end > 0 && end < len(s) && s[end] == '}' {
			return s[:end], s[end+1:]
		}
	}
}

// expand fills in {node}.
func (c *Config) expand(s string) string { return strings.ReplaceAll(s, "{node}", c.Node) }

func isEnvName(s string) bool {
	return s != "" && strings.Trim(s, "0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" && (s[0] < '0' || s[0] > '9')
}

// expandEnv fills in ${NAME} and ${NAME:-default}; $${ is a literal ${. An
// empty variable counts as not set where there is a default, as in a shell.
func expandEnv(s string, env func(string) (string, bool)) (out, fault, hint string) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), "", ""
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		inside, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed {
			return "", "'${' is never closed", "write ${NAME}, or $${ for a literal ${"
		}
		name, def, hasDef := strings.Cut(inside, ":-")
		if !isEnvName(name) {
			return "", "what is between ${ and } does not name an environment variable", "write ${NAME}, or $${ for a literal ${"
		}
		val, set := env(name)
		if !set && !hasDef {
			return "", "environment variable " + name + " is not set", "set it, or give a default: ${" + name + ":-...}"
		}
		if hasDef && val == "" {
			val = def
		}
		b.WriteString(s[:i] + val)
		s = rest
	}
}
