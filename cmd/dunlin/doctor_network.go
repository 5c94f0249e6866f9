package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// ports tries the listeners of a gateway that does not run. Of one that does, it
// looks whether the machine has their addresses.
func (d *doctor) ports(context.Context) {
	runs := d.status != nil || errors.Is(d.silent, fs.ErrPermission)
	var binds []string
	for _, l := range d.cfg.MQTT.Listeners {
		if kind, _ := l.Kind(); kind == "tcp" {
			binds = append(binds, l.Bind)
		}
	}
	if page := d.cfg.HTTP.Bind; d.cfg.IsSet("http.bind") && page != "" && !slices.Contains(binds, page) {
		binds = append(binds, page)
	}
	for _, bind := range binds {
		try := bind
		if host, _, err := net.SplitHostPort(bind); err == nil && runs {
			try = net.JoinHostPort(host, "0")
		}
		ln, err := broker.Listen(try)
		switch {
		case err == nil:
			ln.Close()
		case isAddressMissing(err):
			d.add("ports", "nobody can connect there before it has", "look at the cable and at 'ip address', or bind an address that the machine has", "this machine does not have the address of %s", bind)
		case runs: // it has the port
		case isAddressInUse(err):
			d.add("ports", "the gateway cannot start", "stop the other server ('ss -ltnp' names it), or choose another port", "%s is taken", bind)
		case isPermission(err):
			d.add("ports", "the gateway cannot start", "choose a port above 1023", "you may not listen on %s", bind)
		default:
			d.add("ports", "the gateway cannot start", "see mqtt.listeners and http.bind", "%v", err)
		}
	}
}

const renewCertificate = "get a new one and put it in the same file; it is read without a restart"

// expiresSoon is when a certificate is worth a word.
const expiresSoon = 14 * 24 * time.Hour

func (d *doctor) certificates(context.Context) {
	now := time.Now()
	for _, c := range certificates(d.cfg) {
		const why, cure = "the other side refuses it", renewCertificate
		switch left := c.NotAfter.Sub(now); {
		case left < 0:
			d.add("certificates", why, cure, "%s: %s has expired %s ago", c.use, c.file, span(-left.Seconds()))
		case now.Before(c.NotBefore):
			d.add("certificates", why, "look at the clock first: 'timedatectl'", "%s: %s is not valid before %s", c.use, c.file, c.NotBefore.UTC().Format(time.RFC3339))
		case left < expiresSoon:
			d.add("certificates", "then the other side refuses it", cure, "%s: %s expires in %s", c.use, c.file, span(left.Seconds()))
		}
	}
}

// bridges asks for the names and ports of upstream servers, unless the gateway
// knows better.
func (d *doctor) bridges(ctx context.Context) {
	if d.status != nil {
		for _, b := range d.status.Bridges {
			if b.State == string(bridge.Down) {
				cure := "'dunlin bridge test " + b.Name + "' goes through it step by step"
				if first := cureOf(b.Class); first != "" {
					cure = first + "; " + cure
				}
				d.add("bridges", "messages wait in the spool: "+count(b.Waiting), cure, "%s is down: %s: %s", b.Name, b.Class, b.Reason)
			}
			if n, why := b.Lost(); n > 0 {
				d.add("bridges", "the spool or the disk was full, they were too old, or the server refuses them", "raise bridges."+b.Name+".spool.max_size, or send less; 'dunlin bridge dead list "+b.Name+"' shows what was refused", "%s has dropped %s: %s", b.Name, messages(n), why)
			}
		}
		return
	}
	for _, b := range d.cfg.Bridges {
		for _, server := range b.Servers {
			if u, err := url.Parse(server); err == nil && b.Proxy.Reveal() == "" {
				d.reach(ctx, b.Name, u)
			}
		}
	}
}

func (d *doctor) reach(ctx context.Context, name string, u *url.URL) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = map[string]string{"mqtts": "8883", "ssl": "8883", "ws": "80", "wss": "443"}[u.Scheme]
	}
	if port == "" {
		port = "1883"
	}
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err == nil {
		nc.Close()
		return
	}
	d.unreachable(name, u, err)
}

// unreachable words why a server is not reached.
func (d *doctor) unreachable(name string, u *url.URL, err error) {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		d.add("bridges", "nothing reaches the server", "look at the name, and at the DNS server in /etc/resolv.conf", "%s: the name %s is not found", name, u.Hostname())
		return
	}
	if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) {
		d.add("bridges", "nothing reaches the server", "look at the cable, the address and the default route: 'ip address', 'ip route'", "%s: there is no way to %s", name, u.Host)
		return
	}
	d.add("bridges", "nothing reaches the server", "look at the server, the port and the firewalls on the way", "%s: %v", name, strings.TrimPrefix(err.Error(), "dial "))
}

const switchOnI2C = "switch I2C on: dtparam=i2c_arm=on in /boot/firmware/config.txt and 'modprobe i2c-dev', then restart"

// deviceCures say what to look at when a device has this reason, and these words
// in its error; the first that fits.
var deviceCures = [...]struct {
	reason      sensors.Reason
	words, cure string
}{
	{sensors.Permission, "", "'usermod -aG i2c,spi,gpio,dialout dunlin' with those of the groups that there are, then restart the gateway"},
	{sensors.NotFound, "/dev/i2c-", switchOnI2C},
	{sensors.NotFound, "1-Wire", "switch 1-Wire on: dtoverlay=w1-gpio in /boot/firmware/config.txt, then restart; look at its wires; 'dunlin scan' lists what is there"},
	{sensors.NotFound, "exec", "correct its command: there is no such program"},
	{sensors.NotFound, "", "'dunlin scan' lists what is there: plug it in, or correct its name in the configuration"},
	{sensors.Exited, "", "run its command by hand, as the gateway's user; what it says is in the log"},
	{sensors.OutOfRange, "", "look at what it measures, and at range of its entities"},
	{sensors.WrongChip, "", "'dunlin scan' names the chip that is there: correct driver or address"},
	{sensors.Busy, "", "end what else uses it, or give it another line or port"},
	{sensors.Parse, "", "look at what it sends: its format, or baud and parity of its port, do not fit"},
	{sensors.Garbage, "", "look at baud and parity of its port"},
	{"", "", "look at its wires, its address and its power; 'dunlin read NAME -v' shows what goes over them"},
}

func cureOfDevice(v *api.Device) string {
	for _, c := range deviceCures {
		if (c.reason == "" || string(c.reason) == v.Reason) && strings.Contains(v.Error, c.words) {
			return c.cure
		}
	}
	return ""
}

// gateway asks the running gateway.
func (d *doctor) gateway(context.Context) {
	if errors.Is(d.silent, fs.ErrPermission) {
		d.add("gateway", "what it knows is missing here", "'sudo dunlin doctor', or be in its group ('sudo usermod -aG dunlin $USER', then log in again)", "you may not use its socket")
		return
	}
	if d.status == nil {
		d.add("gateway", "nothing is served", "'systemctl status dunlin' and 'journalctl -u dunlin' say why; 'dunlin run' starts it by hand", "no gateway answers on its socket")
		return
	}
	if d.status.Store.Mode == "degraded" {
		cure := "look at the disk: 'dmesg | grep -i error'"
		if strings.Contains(d.status.Store.Error, "no room") || strings.Contains(d.status.Store.Error, syscall.ENOSPC.Error()) {
			cure = "make room: 'journalctl --vacuum-size=50M', 'apt clean'; or lower store.min_free, or raise store.max_size"
		}
		d.add("gateway", "what arrives now is lost at a restart", cure, "the disk refuses writes: %s", d.status.Store.Error)
	}
	for _, v := range d.status.Devices {
		told := slices.ContainsFunc(d.nodes, func(node string) bool { return strings.Contains(v.Error, node) })
		if v.State != "online" && v.State != "starting" && v.Reason != string(sensors.Paused) && !told {
			d.add("gateway", "it has no value", cureOfDevice(&v), "device %s is %s: %s", v.Name, v.State, reasonOf(&v))
		}
	}
	for _, c := range []struct {
		n               uint64
		what, why, cure string
	}{
		{d.status.Broker.Dropped, "messages were dropped", "clients that were away or slow missed them", "raise mqtt.limits.queue_messages, or look at 'dunlin clients'"},
		{d.status.Broker.PublishRefused, "messages of clients were refused", "nobody gets them, and MQTT 3.1.1 does not tell who sent them", "'dunlin trace CLIENT' shows what, 'dunlin explain acl USER publish TOPIC' why"},
		{d.status.Broker.RetainedRefused, "messages were not retained", "who subscribes later does not get them: a limit is reached", "raise mqtt.limits.retained_messages, retained_size or memory.limit, or 'dunlin topics clear FILTER'"},
	} {
		if c.n > 0 {
			d.add("gateway", c.why, c.cure, "%s %s", count(c.n), c.what)
		}
	}
}
