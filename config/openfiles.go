package config

import (
	"os"
	"runtime"
)

// OpenFiles warns of files of the configuration that hold a secret and that
// everybody on this machine can read.
func (c *Config) OpenFiles() (found Errors) {
	for _, s := range c.root.sources {
		if len(s.secrets) == 0 || runtime.GOOS == "windows" {
			continue
		}
		fi, err := os.Stat(s.name) // a text from elsewhere has no file
		if err != nil || fi.Mode()&0o007 == 0 {
			continue
		}
		at := s.secrets[0]
		e := (&node{src: s, line: at.line, col: at.col, length: at.length}).at()
		e.Warning = true
		e.Msg = "everybody on this machine can read this secret"
		e.Hint = "chmod o= " + s.name + ", which the gateway's user or group must own, or write file:/path or ${NAME} here"
		found = append(found, e)
	}
	return found
}
