package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/serial"
)

// listeners are bound, but not served yet.
type listeners struct {
	options []broker.ListenerOptions
	tls     []*broker.TLS // of those that have it
}

// bindAll binds the listeners; one that cannot be bound ends the start, with
// the place in the configuration that asks for it.
func bindAll(cfg *config.Config, d *deps) (all *listeners, err error) {
	inherited, err := broker.Inherit()
	if err != nil {
		return nil, err
	}
	defer inherited.Close()
	log := d.logger("broker")
	all = new(listeners)
	for i := range cfg.MQTT.Listeners {
		if err := all.add(cfg, i, d, inherited, log); err != nil {
			all.close()
			return nil, err
		}
	}
	if names := inherited.Names(); len(names) > 0 {
		log.Warn("sockets of systemd that no listener names are closed", "names", strings.Join(names, ", "))
	}
	return all, nil
}

// add binds one listener of the configuration.
func (all *listeners) add(cfg *config.Config, i int, d *deps, inherited *broker.Inherited, log *slog.Logger) error {
	l, place := &cfg.MQTT.Listeners[i], fmt.Sprintf("mqtt.listeners[%d]", i)
	t, err := transport(cfg, l, place, log)
	if err != nil {
		return err
	}
	sockets, err := bind(cfg, l, d, inherited)
	if err != nil {
		return fmt.Errorf("%s: %w%s", place, err, bindHint(err))
	}
	for _, ln := range sockets {
		all.options = append(all.options, listenerOptions(l, t.Over(ln)))
	}
	if t.TLS != nil {
		all.tls = append(all.tls, t.TLS)
	}
	return nil
}

func (all *listeners) close() {
	for _, l := range all.options {
		l.Listener.Close()
	}
}

// bind binds one listener of the configuration: several sockets if systemd
// passed several under its name.
func bind(cfg *config.Config, l *config.Listener, d *deps, inherited *broker.Inherited) ([]net.Listener, error) {
	switch kind, name := l.Kind(); kind {
	case "systemd":
		return inherited.Take(name)
	case "serial":
		o := serial.ListenOptions{Port: serial.DefaultConfig(), Framing: l.Framing, Log: d.logger("broker").With("listener", l.Bind)}
		o.Port.Path, o.Port.Baud = name, l.Baud
		packet := cfg.MQTT.Limits.PacketSize
		if l.Limits != nil {
			packet = l.Limits.PacketSize
		}
		o.MaxPacket = min(int(packet), serial.MaxFrame)
		ln, err := serial.Listen(o)
		return []net.Listener{ln}, err
	}
	listen := d.listen
	if listen == nil {
		listen = broker.Listen
	}
	ln, err := listen(l.Bind)
	return []net.Listener{ln}, err
}

// transport makes what lies between a listener's sockets and MQTT. Files that
// cannot be used are mistakes in the configuration, with their place.
func transport(cfg *config.Config, l *config.Listener, place string, log *slog.Logger) (t broker.Transport, err error) {
	t.Log = log.With("listener", l.Bind)
	for _, network := range l.ProxyProtocol {
		p, err := netip.ParsePrefix(network)
		if err != nil {
			return t, err // config has checked it
		}
		t.Proxies = append(t.Proxies, p)
	}
	if l.Protocol == "websocket" {
		t.WebSocket = &broker.WebSocketOptions{Path: l.Path, Origins: l.Origins}
	}
	if l.TLS == nil {
		return t, nil
	}
	t.TLS, err = broker.NewTLS(broker.TLSOptions{
		Cert: string(l.TLS.Cert), Key: string(l.TLS.Key), CA: string(l.TLS.CA), CRL: string(l.TLS.CRL),
		RequireClientCert: l.TLS.RequireClientCert, Identity: l.TLS.Identity,
	}, t.Log)
	var file *broker.TLSError
	if errors.As(err, &file) {
		return t, config.Errors{fileFault(cfg, place+".tls."+strings.ToLower(file.Field), file.Cure, file)}
	}
	return t, err
}

// bindHint says what to do about the most frequent failure.
func bindHint(err error) string {
	switch {
	case isAddressInUse(err):
		return "; another server runs there: stop it ('systemctl disable --now mosquitto' if it is mosquitto), or choose another port"
	case isPermission(err):
		return "; ports below 1024 and directories of others need a privilege: choose another"
	case errors.Is(err, fs.ErrNotExist):
		return "; make the directory first"
	}
	return ""
}

func isAddressInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
func isPermission(err error) bool   { return errors.Is(err, fs.ErrPermission) }

// listenNear binds bind, or, when its port is taken, one of the ports after
// it, or any free one.
func listenNear(bind string) (net.Listener, error) {
	l, err := broker.Listen(bind)
	host, port, splitErr := net.SplitHostPort(bind)
	if !isAddressInUse(err) || splitErr != nil {
		return l, err
	}
	first, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, err
	}
	for p := first + 1; p <= min(first+10, 65535); p++ {
		if l, err = broker.Listen(net.JoinHostPort(host, fmt.Sprint(p))); !isAddressInUse(err) {
			return l, err
		}
	}
	return broker.Listen(net.JoinHostPort(host, "0"))
}
