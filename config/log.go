package config

import "slices"

// Log says what is written to the log and how.
type Log struct {
	Level  string            `yaml:"level" enum:"debug|info|warn|error" doc:"least severe level written"`
	Format string            `yaml:"format" enum:"auto|text|json|journal" doc:"auto: the journal under systemd, text on a terminal, JSON otherwise"`
	Levels map[string]string `yaml:"levels" enum:"debug|info|warn|error" doc:"levels of single parts" ex:"{bridge: debug}"`
}

func (g *Log) setDefaults() { g.Level, g.Format = "info", "auto" }

// logParts returns the parts of the program that log.levels can name.
func logParts() []string {
	return []string{"broker", "bridge", "sensors", "serial", "store", "auth", "http", "config"}
}

func (g *Log) check(l *loader) {
	for _, part := range names(g.Levels) {
		if !slices.Contains(logParts(), part) {
			l.failAt(join("log.levels", part), oneOf(part, logParts()), "there is no part %q", shorten(part))
		}
	}
}
