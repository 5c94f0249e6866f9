package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/dunlin-mqtt/dunlin/config"
)

// certificate is one that the configuration names, as its file has it now.
type certificate struct {
	use, file string // use: listener:BIND, bridge:NAME, or ca:NAME for the authority of its server
	path      string // in the configuration
	*x509.Certificate
}

// certificates are those that can be read: others are mistakes in the
// configuration.
func certificates(cfg *config.Config) (all []certificate) {
	add := func(use, path, file string) {
		b, _ := os.ReadFile(file)
		if block, _ := pem.Decode(b); block != nil {
			if c, err := x509.ParseCertificate(block.Bytes); err == nil {
				all = append(all, certificate{use, file, path, c})
			}
		}
	}
	for i, l := range cfg.MQTT.Listeners {
		if l.TLS != nil {
			add("listener:"+l.Bind, fmt.Sprintf("mqtt.listeners[%d].tls.cert", i), string(l.TLS.Cert))
		}
	}
	for _, b := range cfg.Bridges {
		add("bridge:"+b.Name, "bridges."+b.Name+".credentials.cert", string(b.Credentials.Cert))
		add("ca:"+b.Name, "bridges."+b.Name+".tls.ca", string(b.TLS.CA))
	}
	return all
}
