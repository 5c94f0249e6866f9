package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

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
