package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/dunlin-mqtt/dunlin/config"
)

// tlsFaults loads the files of TLS as a start would, and reports those that
// cannot be used.
func tlsFaults(cfg *config.Config) (errs config.Errors) {
	add := func(path string, err error) {
		var faults config.Errors
		switch {
		case errors.As(err, &faults):
			errs = append(errs, faults...)
		case err != nil:
			errs = append(errs, cfg.Errorf(path, "", "%v", err))
		}
	}
	for i := range cfg.MQTT.Listeners {
		if l := &cfg.MQTT.Listeners[i]; l.TLS != nil {
			place := fmt.Sprintf("mqtt.listeners[%d]", i)
			_, err := transport(cfg, l, place, slog.New(slog.DiscardHandler))
			add(place+".tls", err)
		}
	}
	for i := range cfg.Bridges {
		_, err := bridgeTLS(cfg, &cfg.Bridges[i])
		add("bridges."+cfg.Bridges[i].Name+".tls", err)
	}
	return errs
}

// fileFault is a file of TLS that cannot be used, at the value that names it.
func fileFault(cfg *config.Config, path, cure string, err error) config.Error {
	if cure == "" && errors.Is(err, fs.ErrNotExist) {
		cure = "put the PEM file there, or correct the path"
	}
	return cfg.Errorf(path, cure, "%v", err)
}

// openKeys warns of private keys of bridges that everybody can read. Those of
// listeners are refused; a bridge goes on, for what renews its key may do so at
// any hour of the night.
func openKeys(cfg *config.Config) (warnings config.Errors) {
	warn := func(path string, file config.Path) {
		fi, err := os.Stat(string(file)) // what is missing is told elsewhere
		if err != nil || fi.Mode()&0o007 == 0 || runtime.GOOS == "windows" {
			return
		}
		e := cfg.Errorf(path, "chmod 600 "+string(file), "%s is open to everybody on this machine (mode %04o)", file, fi.Mode().Perm())
		e.Warning = true
		warnings = append(warnings, e)
	}
	for i := range cfg.Bridges {
		b := &cfg.Bridges[i]
		warn("bridges."+b.Name+".credentials.key", b.Credentials.Key)
		if b.Credentials.JWT != nil {
			warn("bridges."+b.Name+".credentials.jwt.key", b.Credentials.JWT.Key)
		}
	}
	return warnings
}

// expired warns of certificates that the other side refuses. They keep nothing
// from starting: a new one is read when it comes, and the clock may be wrong.
func expired(cfg *config.Config) (warnings config.Errors) {
	now := time.Now()
	for _, c := range certificates(cfg) {
		if ago := now.Sub(c.NotAfter); ago > 0 {
			e := cfg.Errorf(c.path, renewCertificate, "%s has expired %s ago", c.file, span(ago.Seconds()))
			e.Warning = true
			warnings = append(warnings, e)
		}
	}
	return warnings
}
