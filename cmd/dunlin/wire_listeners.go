package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/serial"
)

// listeners are bound, but not served yet.
type listeners struct {
	all     []bound
	options []broker.ListenerOptions // of all of them
	fresh   []net.Listener           // bound now, not before
	going   []net.Listener           // close when these are served
}

// bound is one listener of the configuration.
type bound struct {
	bind      string
	sockets   []net.Listener
	transport broker.Transport
	shared    bool // the socket is the page's
}

// pageDoor is the way from the page to the listener that shares its address.
type pageDoor struct {
	bind string                                // of the page, as at the start; "" without one
	to   atomic.Pointer[broker.SharedListener] // nil: there was none yet
}

// bindAll binds the listeners; one that cannot be bound ends the start, with
// the place in the configuration that asks for it.
func bindAll(cfg *config.Config, d *deps) (all *listeners, err error) {
	inherited, err := broker.Inherit()
	if err != nil {
		return nil, err
	}
	defer inherited.Close()
	start := *d
	start.listen = d.atStart()
	if all, err = bindOthers(cfg, &start, inherited, nil, nil); err != nil {
		return nil, err
	}
	if names := inherited.Names(); len(names) > 0 {
		d.logger("broker").Warn("sockets of systemd that no listener names are closed", "names", strings.Join(names, ", "))
	}
	return all, nil
}

// bindOthers makes the listeners out of those before, as far as their bind is
// the same; renewed says of an index whether anything else of it is different.
func bindOthers(cfg *config.Config, d *deps, inherited *broker.Inherited, before []bound, renewed func(i int) bool) (*listeners, error) {
	all, before := new(listeners), append([]bound(nil), before...)
	for k := range before {
		stays := false
		for i := range cfg.MQTT.Listeners {
			stays = stays || cfg.MQTT.Listeners[i].Bind == before[k].bind
		}
		if !stays {
			all.going = append(all.going, before[k].sockets...)
		}
	}
	for i := range cfg.MQTT.Listeners {
		var old *bound
		for k := range before {
			if b := before[k]; b.bind == cfg.MQTT.Listeners[i].Bind && b.shared == cfg.MQTT.Listeners[i].Shares(d.door.bind) {
				old, before[k].bind = &b, "" // taken: several may have a bind with port 0
				break
			}
		}
		if err := all.add(cfg, i, d, inherited, old, old != nil && renewed(i)); err != nil {
			all.close()
			return nil, err
		}
	}
	return all, nil
}

// add binds one listener of the configuration, or takes over the sockets of
// old.
func (all *listeners) add(cfg *config.Config, i int, d *deps, inherited *broker.Inherited, old *bound, renewed bool) (err error) {
	l, place := &cfg.MQTT.Listeners[i], fmt.Sprintf("mqtt.listeners[%d]", i)
	now := bound{bind: l.Bind, shared: l.Shares(d.door.bind)}
	if old != nil {
		now = *old
	}
	if old == nil || renewed {
		if now.transport, err = transport(cfg, l, place, d.logger("broker")); err != nil {
			return err
		}
	}
	if old == nil {
		if now.sockets, err = bind(cfg, l, d, inherited, all.going); err != nil {
			return fmt.Errorf("%s: %w%s", place, err, bindHint(err))
		}
		all.fresh = append(all.fresh, now.sockets...)
	}
	for _, ln := range now.sockets {
		o := listenerOptions(cfg, place, l, now.transport.Over(ln))
		o.Renewed = renewed
		all.options = append(all.options, o)
	}
	all.all = append(all.all, now)
	return nil
}

func (all *listeners) addresses() (addresses []net.Addr) {
	for _, l := range all.options {
		addresses = append(addresses, l.Listener.Addr())
	}
	return addresses
}

// close closes what was not bound before.
func (all *listeners) close() {
	for _, l := range all.fresh {
		l.Close()
	}
}

// bind binds one listener of the configuration: several sockets if systemd
// passed several under its name.
func bind(cfg *config.Config, l *config.Listener, d *deps, inherited *broker.Inherited, going []net.Listener) ([]net.Listener, error) {
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
	if l.Shares(d.door.bind) {
		ln, err := broker.ListenShared(l.Bind)
		d.door.to.Store(ln)
		return []net.Listener{ln}, err
	}
	if d.listen != nil {
		ln, err := d.listen(l.Bind)
		return []net.Listener{ln}, err
	}
	ln, err := broker.Listen(l.Bind, going...)
	return []net.Listener{ln}, err
}

// atStart is how listeners are bound when the program starts: at an address that
// the machine does not have, too. A board whose cable is out has to read its
// devices all the same, and a reload has somebody to tell.
func (d *deps) atStart() func(bind string) (net.Listener, error) {
	if d.listen != nil {
		return d.listen
	}
	return func(bind string) (net.Listener, error) {
		ln, err := broker.Listen(bind)
		if isAddressMissing(err) {
			if ln, err = broker.ListenAhead(bind); err == nil {
				d.logger("broker").Warn("this machine does not have the address now; it listens there as soon as it has", "bind", bind)
			}
		}
		return ln, err
	}
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
	case isAddressMissing(err):
		return "; choose an address that this machine has ('ip address')"
	case isPermission(err):
		return "; ports below 1024 and directories of others need a privilege: choose another"
	case errors.Is(err, fs.ErrNotExist):
		return "; make the directory first"
	}
	return ""
}

func isAddressInUse(err error) bool   { return errors.Is(err, syscall.EADDRINUSE) }
func isAddressMissing(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }
func isPermission(err error) bool     { return errors.Is(err, fs.ErrPermission) }

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
