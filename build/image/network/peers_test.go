package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/arp"
	"github.com/dunlin-mqtt/dunlin/build/image/network/link"
	"github.com/dunlin-mqtt/dunlin/build/image/network/mdns"
)

// TestPeers runs the network against real servers: dnsmasq, chrony, avahi,
// python-zeroconf. It is run by "make image-net" (IMAGE_NET=1), as root: it
// starts itself again in network and mount namespaces of its own, so that
// nothing of this machine is touched and nothing of it stays.
func TestPeers(t *testing.T) {
	switch os.Getenv("IMAGE_NET") {
	case "":
		t.Skip("needs root and servers: make image-net")
	case "inside":
		lab(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestPeers$", "-test.v", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), "IMAGE_NET=inside")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// patience is for a loaded machine; what is waited for comes in seconds.
const patience = 60 * time.Second

// peer is a network namespace at the other end of the board's cables.
type peer struct {
	t   *testing.T
	pid string // of the process that keeps it
}

// run runs a command in the peer's namespace.
func (p *peer) run(args ...string) {
	p.t.Helper()
	if out, err := p.command(args...).CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

func (p *peer) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", p.pid, "-n"}, args...)...)
}

// start starts a server there; stop ends it, as the test's end does.
func (p *peer) start(args ...string) (stop func(), output *buffer) {
	p.t.Helper()
	cmd, output := p.command(args...), &buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	p.t.Cleanup(stop)
	return stop, output
}

type buffer struct {
	sync.Mutex
	b bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.b.String()
}

// cable connects a new link of the board with one of the peer's, which gets
// address.
func (p *peer) cable(board, other, address string) {
	p.t.Helper()
	ip(p.t, "link", "add", board, "type", "veth", "peer", "name", other)
	ip(p.t, "link", "set", other, "netns", p.pid)
	p.run("ip", "addr", "add", address, "dev", other)
	p.run("ip", "link", "set", other, "up")
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	keeper := exec.Command("sleep", "600")
	keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keeper.Process.Kill(); keeper.Wait() })
	p := &peer{t: t, pid: strconv.Itoa(keeper.Process.Pid)}
	p.run("ip", "link", "set", "lo", "up")
	return p
}

// dnsmasq serves DHCP and DNS on a link: addresses from first to last.
func (p *peer) dnsmasq(link, first, last string) (stop func()) {
	dir, router := p.t.TempDir(), first[:strings.LastIndexByte(first, '.')]+".1"
	stop, _ = p.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
		"--pid-file="+filepath.Join(dir, "pid"), "--dhcp-leasefile="+filepath.Join(dir, "leases"), "--log-facility=-",
		"--interface="+link, "--except-interface=lo", "--bind-dynamic", "--dhcp-authoritative", "--no-ping",
		"--dhcp-range="+first+","+last+",255.255.255.0,10m", "--domain=lan.test",
		"--dhcp-option=option:classless-static-route,10.99.0.0/16,10.77.0.2,0.0.0.0/0,"+router, "--dhcp-option=option:ntp-server,10.77.0.1", "--dhcp-option=option:mtu,1400", "--dhcp-option=option:domain-search,lan.test,plant.test")
	return stop
}

// announce sends an ARP announcement on the first cable, in a VLAN or in none.
func (p *peer) announce(vlan, host, addr string) {
	const script = `
import socket, sys
vlan, host, addr = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), socket.inet_aton(sys.argv[3])
tag = b"\x81\x00" + int(vlan).to_bytes(2, "big") if vlan else b""
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("lan0", 0))
s.send(b"\xff" * 6 + host + tag + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" + host + addr + bytes(6) + addr)`
	p.t.Helper()
	p.run("/usr/bin/python3", "-c", script, vlan, host, addr)
}

// chrony serves the machine's time to everybody.
func (p *peer) chrony() {
	dir := p.t.TempDir()
	conf := filepath.Join(dir, "conf")
	text := fmt.Sprintf("local stratum 2\nallow\ncmdport 0\nbindcmdaddress /\npidfile %s/pid\ndriftfile %s/drift\n", dir, dir)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.start("chronyd", "-x", "-d", "-u", "root", "-f", conf) // -x: it never sets a clock
}

// behind stands in for the machine's clock, which the test leaves alone.
type behind struct {
	sync.Mutex
	by time.Duration
}

func (b *behind) Now() time.Time { return time.Now().Add(b.wrong()) }

func (b *behind) wrong() time.Duration {
	b.Lock()
	defer b.Unlock()
	return b.by
}

func (b *behind) Step(offset time.Duration) error {
	b.Lock()
	defer b.Unlock()
	b.by += offset
	return nil
}

func (b *behind) Slew(offset time.Duration) error { return b.Step(offset) }

// eventually waits for ok to become true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("%s: after %v", what, time.Since(begin).Round(10*time.Millisecond))
}

// address is the IPv4 address of a link of the board; not valid for none.
func address(name string) netip.Prefix {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Prefix{}
	}
	all, _ := ifi.Addrs() // no link, no address
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p
		}
	}
	return netip.Prefix{}
}

func contains(file string, lines ...string) func() bool {
	return func() bool {
		b, err := os.ReadFile(file)
		for _, l := range lines {
			if err != nil || !strings.Contains(string(b), l) {
				return false
			}
		}
		return true
	}
}

func routes(t *testing.T) string {
	out, err := exec.Command("ip", "-4", "route").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// lab is the test proper, inside its namespaces.
func lab(t *testing.T) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	ip(t, "link", "set", "lo", "up")
	p := newPeer(t)
	clock, state := &behind{by: -time.Hour}, t.TempDir()
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	o := Options{
		Services: func() []mdns.Service { return []mdns.Service{{Type: "_mqtt._tcp", Port: 1883}} },
		Name:     "dunlin-77aa", Resolv: resolv, Clock: clock, State: state,
		Problem: func(part, text string) { t.Logf("problem: %s: %s", part, text) },
		Logf:    func(f string, a ...any) { t.Logf("%s "+f, append([]any{time.Now().Format("05.000")}, a...)...) },
	}
	t.Run("two hosts of a /31 reach each other", func(t *testing.T) {
		p.cable("ptp0", "lan3", "10.80.0.1/31")
		ip(t, "link", "set", "ptp0", "up")
		k, err := link.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		ifi, err := net.InterfaceByName("ptp0")
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Configure(ifi.Index, netip.MustParsePrefix("10.80.0.0/31"), nil, 1, 0); err != nil {
			t.Fatal(err)
		}
		defer ip(t, "link", "del", "ptp0")
		if _, err := net.Dial("tcp", "10.80.0.1:1"); !errors.Is(err, syscall.ECONNREFUSED) { // by the other
			t.Error(err)
		}
	})
	p.cable("eth0", "lan0", "10.77.0.1/24")
	p.cable("eth1", "lan1", "10.78.0.1/24") // nobody serves here
	p.chrony()
	stopServer := p.dnsmasq("lan0", "10.77.0.100", "10.77.0.101")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()

	var first netip.Prefix
	inside := func(lo, hi int) func() bool {
		return func() bool {
			a := address("eth0")
			return a.IsValid() && a.Addr().As4()[3] >= byte(lo) && a.Addr().As4()[3] <= byte(hi)
		}
	}
	eventually(t, "an address of dnsmasq's", inside(100, 101))
	first = address("eth0")
	eventually(t, "name servers and search list", contains(resolv, "nameserver 10.77.0.1\n", "search lan.test plant.test\n"))
	if r := routes(t); !strings.Contains(r, "default via 10.77.0.1 dev eth0 proto dhcp") || !strings.Contains(r, "10.99.0.0/16 via 10.77.0.2 dev eth0 proto dhcp") {
		t.Errorf("routes:\n%s", r)
	}
	t.Run("packets are as long as the server says, those of the network itself too", func(t *testing.T) {
		for line := range strings.Lines(routes(t)) {
			if strings.Contains(line, "dev eth0") && !strings.Contains(line, "mtu 1400") {
				t.Errorf("no: %s", line)
			}
		}
	})
	t.Run("only other hosts' packets about an address are heard, and none of another VLAN", func(t *testing.T) {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		second, err := net.InterfaceByName("eth1")
		if err != nil {
			t.Fatal(err)
		}
		socket, err := arp.Dial(ifi)
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		if err := socket.Only(netip.MustParseAddr("10.77.0.77")); err != nil {
			t.Fatal(err)
		}
		p.announce("7", "02:00:00:00:00:07", "10.77.0.77")
		p.announce("", "02:00:00:00:00:08", "10.77.0.78")
		p.announce("", second.HardwareAddr.String(), "10.77.0.77")
		p.announce("", "02:00:00:00:00:09", "10.77.0.77")
		packet, err := socket.Receive(time.Now().Add(patience))
		if err != nil || packet.SenderHardware[5] != 9 {
			t.Errorf("heard %+v, %v", packet, err)
		}
	})
	t.Run("the server knows the host's name", func(t *testing.T) {
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "10.77.0.1:53")
		}}
		a, err := r.LookupNetIP(t.Context(), "ip4", "dunlin-77aa.lan.test")
		if err != nil || len(a) != 1 || a[0].Unmap() != first.Addr() {
			t.Errorf("%v, %v", a, err)
		}
	})
	t.Run("chrony sets the clock, and it is kept", func(t *testing.T) {
		eventually(t, "the time", func() bool { return clock.wrong().Abs() < 50*time.Millisecond })
		eventually(t, "the file", contains(TimeFile(state), time.Now().UTC().Format("2006-01-02T15:")))
	})
	t.Run("python-zeroconf finds the name and the service", func(t *testing.T) {
		const script = `
import sys, time
from zeroconf import IPVersion, Zeroconf
z = Zeroconf()
for _ in range(20):
    i = z.get_service_info("_mqtt._tcp.local.", "dunlin-77aa._mqtt._tcp.local.", 3000)
    if i: break
print(i.server, i.parsed_addresses(IPVersion.V4Only)[0], i.port)
z.close()`
		out, err := p.command("/usr/bin/python3", "-c", script).CombinedOutput()
		if want := fmt.Sprintf("dunlin-77aa.local. %v 1883\n", first.Addr()); err != nil || string(out) != want {
			t.Errorf("%v: %q, want %q", err, out, want)
		}
	})
	t.Run("a network of IPv6 only", func(t *testing.T) {
		p.cable("eth6", "lan6", "2001:db8:6::1/64")
		p.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--pid-file="+filepath.Join(t.TempDir(), "pid"), "--log-facility=-",
			"--interface=lan6", "--except-interface=lo", "--bind-dynamic", "--enable-ra", "--dhcp-range=2001:db8:6::,ra-only,10m", "--dhcp-option=option6:dns-server,[2001:db8:6::1]", "--ra-param=lan6,5")
		eventually(t, "its name server", contains(resolv, "nameserver 2001:db8:6::1\n"))
		const script = `
import socket
from zeroconf import IPVersion, Zeroconf
z = Zeroconf(interfaces=["2001:db8:6::1"], ip_version=IPVersion.V6Only)
found = []
while not found: # the address of fe80::/64 is there before
    i = z.get_service_info("_mqtt._tcp.local.", "dunlin-77aa._mqtt._tcp.local.", 1000)
    found = [a for a in (i.parsed_addresses(IPVersion.V6Only) if i else []) if a.startswith("2001:")]
z.close()
try:
    socket.create_connection((found[0], 1), 10)
except ConnectionRefusedError:
    print("reached")`
		if out, err := p.command("/usr/bin/python3", "-c", script).CombinedOutput(); err != nil || string(out) != "reached\n" {
			t.Errorf("%v: %q", err, out)
		}
		ip(t, "link", "del", "eth6")
	})
	t.Run("cable pulled and put back", func(t *testing.T) {
		p.run("ip", "link", "set", "lan0", "down")
		eventually(t, "no address without a cable", func() bool { return !address("eth0").IsValid() })
		p.run("ip", "link", "set", "lan0", "up")
		eventually(t, "the same address again", func() bool { return address("eth0") == first })
	})
	t.Run("another host insists on the address", func(t *testing.T) {
		p.announce("", "02:00:00:00:00:77", first.Addr().String())
		p.announce("", "02:00:00:00:00:77", first.Addr().String())
		eventually(t, "another address", func() bool { return inside(100, 101)() && address("eth0") != first })
	})
	t.Run("moved to another network", func(t *testing.T) {
		stopServer()
		p.run("ip", "link", "set", "lan0", "down")
		eventually(t, "no address without a cable", func() bool { return !address("eth0").IsValid() })
		stopServer = p.dnsmasq("lan0", "10.77.0.200", "10.77.0.201")
		p.run("ip", "link", "set", "lan0", "up")
		eventually(t, "an address of the new range", inside(200, 201))
	})
	t.Run("moved in a moment that nobody saw", func(t *testing.T) {
		stopServer()
		p.dnsmasq("lan0", "10.77.0.220", "10.77.0.221")
		flap := filepath.Join(t.TempDir(), "flap")
		if err := os.WriteFile(flap, []byte("link set lan0 down\nlink set lan0 up\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.run("ip", "-batch", flap)
		eventually(t, "an address of the new range", inside(220, 221))
	})
	t.Run("a device plugged in, and pulled out", func(t *testing.T) {
		p.cable("usb0", "lan2", "10.79.0.1/24")
		p.dnsmasq("lan2", "10.79.0.50", "10.79.0.60")
		eventually(t, "it has an address", func() bool { return address("usb0").IsValid() })
		if r := routes(t); strings.Count(r, "default via") != 2 {
			t.Errorf("routes:\n%s", r)
		}
		ip(t, "link", "del", "usb0")
		eventually(t, "its name server is forgotten", func() bool { return !contains(resolv, "10.79.0.1")() })
	})
	eventually(t, "a link-local address where nobody serves", func() bool {
		return netip.MustParsePrefix("169.254.0.0/16").Contains(address("eth1").Addr())
	})
	fmt.Print(routes(t))
}
