package config

// HTTP is the page, the API and the metrics.
type HTTP struct {
	Bind    string  `yaml:"bind" doc:"host:port; empty is off" ex:"\"127.0.0.1:8083\""`
	Metrics string  `yaml:"metrics" enum:"open|token|none" doc:"who may read /metrics"`
	Tokens  []Token `yaml:"tokens" doc:"bearer tokens for scripts"`
}

// Token lets a script use the API. An empty token lets nobody in.
type Token struct {
	Name  string `yaml:"name" req:"1" ex:"prometheus" doc:"label in the audit log"`
	Token Secret `yaml:"token" req:"1" ex:"credential:prometheus" doc:"the token: file:/path, credential:NAME or \"${NAME}\""`
	Role  string `yaml:"role" enum:"viewer|admin" doc:"what the token may do"`
}

func (t *Token) setDefaults() { t.Role = "viewer" }

func (h *HTTP) setDefaults() { h.Bind, h.Metrics = "127.0.0.1:8083", "open" }

func (h *HTTP) check(l *loader) {
	if h.Bind != "" {
		fault, hint := bindFault("tcp", h.Bind)
		l.failIf(fault, "http.bind", hint, "bind %s")
	}
	seen := map[string]int{}
	for i, t := range h.Tokens {
		if j, twice := seen[t.Name]; twice && t.Name != "" {
			l.failAt(join(index("http.tokens", i), "name"), l.first(join(index("http.tokens", j), "name")), "token %q is here twice", shorten(t.Name))
		}
		seen[t.Name] = i
	}
}
