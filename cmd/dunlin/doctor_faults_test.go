//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
)

// seeded is a fault of a machine or its configuration. The check that is named
// must find it, with a cure that has the words.
type seeded struct {
	fault, config string // "" is a gateway with one listener and nothing else
	seed          func(t *testing.T, d *doctor)
	check, cure   string
}

const oneListener = "mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\n"

func TestDoctorFindsSeededFaults(t *testing.T) {
	for _, tc := range slices.Concat(faultsOfMachine, faultsOfCard, faultsOfDataDir, faultsOfPorts, faultsOfHardware,
		faultsOfCertificates, faultsOfBridges, faultsOfGateway, faultsOfConfiguration) {
		t.Run(tc.fault, func(t *testing.T) {
			d := patient(t, tc.config)
			tc.seed(t, d)
			if !slices.ContainsFunc(d.found, func(f api.Finding) bool {
				return f.Check == tc.check && strings.Contains(f.Cure, tc.cure) && f.What != "" && f.Cure != ""
			}) {
				t.Errorf("not found: %+v", d.found)
			}
		})
	}
}

// look makes one check of the patient.
func look(t *testing.T, d *doctor, check string) {
	t.Helper()
	for _, c := range checkup {
		if c.name == check {
			c.look(d, t.Context())
			return
		}
	}
	t.Fatalf("there is no check %s", check)
}

// shows seeds a file of the machine and makes a check.
func shows(check, name, text string) func(*testing.T, *doctor) {
	return func(t *testing.T, d *doctor) {
		d.put(t, name, text)
		look(t, d, check)
	}
}

var faultsOfMachine = []seeded{
	{"1970 clock", "", clockShows(time.Unix(0, 0), false), "clock", "set-ntp"},
	{"clock not synchronized", "", clockShows(time.Now(), false), "clock", "set-ntp"},
	{"clock of 2038", "", clockShows(time.Unix(1<<31, 0), true), "clock", "set-ntp"},
	{"low voltage", "", shows("power", "/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"), "power", "power supply"},
	{"killed for memory", "", shows("memory", "/sys/fs/cgroup/system.slice/dunlin.service/memory.events", "low 0\noom 3\noom_kill 2\n"), "memory", "MemoryMax="},
	{"small control group", "", shows("memory", "/sys/fs/cgroup/system.slice/dunlin.service/memory.max", "16777216\n"), "memory", "MemoryMax="},
	{"few files", "", func(_ *testing.T, d *doctor) { d.filesWith(100) }, "files", "LimitNOFILE"},
	{"second broker", "", func(t *testing.T, d *doctor) {
		d.put(t, "/proc/77/comm", "mosquitto\n")
		d.put(t, "/proc/78/comm", "mosquitto\n")
		look(t, d, "brokers")
	}, "brokers", "disable --now mosquitto"},
}

func clockShows(now time.Time, synced bool) func(*testing.T, *doctor) {
	return func(_ *testing.T, d *doctor) { d.clockAt(now, synced) }
}

var faultsOfCard = []seeded{
	{"worn card", "", shows("card", "/sys/block/mmcblk0/device/life_time", "0x02 0x0b\n"), "card", "replace it"},
	{"card that fails", "", shows("card", "/dev/kmsg", "6,1,1,-;usb 1-1: new device\n3,339,5140900,-;I/O error, dev mmcblk0, sector 2048 op 0x0:(READ)\n"), "card", "dunlin backup"},
}

var faultsOfDataDir = []seeded{
	{"full disk", "", func(t *testing.T, d *doctor) {
		d.cfg.Store.MinFree = 1 << 60
		look(t, d, "disk")
	}, "disk", "delete"},
	{"data_dir in memory", "", func(t *testing.T, d *doctor) {
		if _, kind, _ := diskSpace("/dev/shm"); kind != "tmpfs" {
			t.Skip("/dev/shm is no tmpfs here")
		}
		d.cfg.DataDir = "/dev/shm/no/such/dir"
		look(t, d, "disk")
	}, "disk", "partition"},
	{"read-only data_dir", "", func(t *testing.T, d *doctor) {
		d.cfg.DataDir = "/proc/dunlin" // as nobody may write there, root included
		look(t, d, "disk")
	}, "disk", ""},
	{"disk without inodes", "", func(t *testing.T, d *doctor) {
		dir := t.TempDir()
		if err := syscall.Mount("none", dir, "tmpfs", 0, "nr_inodes=1,size=16m"); err != nil {
			t.Skip("no file system can be mounted here: ", err)
		}
		t.Cleanup(func() { syscall.Unmount(dir, 0) })
		d.cfg.DataDir = config.Path(dir)
		look(t, d, "disk")
	}, "disk", "df -i"},
	{"another dunlin in data_dir", "", func(t *testing.T, d *doctor) {
		f, err := os.Open(string(d.cfg.DataDir))
		if err == nil {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		look(t, d, "disk")
	}, "disk", "fuser"},
}

var faultsOfPorts = []seeded{
	{"port taken", "", func(t *testing.T, d *doctor) {
		d.cfg = load(t, fmt.Sprintf("mqtt: {listeners: [{bind: %q}]}\n", taken(t)))
		look(t, d, "ports")
	}, "ports", "ss -ltnp"},
	{"port of the page taken", "", func(t *testing.T, d *doctor) {
		d.cfg = load(t, fmt.Sprintf(oneListener+"http: {bind: %q}\n", taken(t)))
		look(t, d, "ports")
	}, "ports", "ss -ltnp"},
	{"address of another machine", "mqtt: {listeners: [{bind: \"192.0.2.1:1883\", anonymous: true}]}\n", checks("ports"), "ports", "ip address"},
}

// checks makes a check of what the configuration names.
func checks(check string) func(*testing.T, *doctor) {
	return func(t *testing.T, d *doctor) { look(t, d, check) }
}

// taken is an address that somebody listens at.
func taken(t *testing.T) net.Addr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr()
}

const i2cBus = oneListener + "buses: [{id: i2c1, type: i2c, path: /dev/i2c-1}]\n"

var faultsOfHardware = []seeded{
	{"I2C switched off", i2cBus, checks("hardware"), "hardware", "dtparam=i2c_arm=on"},
	{"missing serial device", oneListener + "devices: [{name: meter, driver: lines, port: {path: /dev/ttyUSB9}, entities: {v: {key: v}}}]\n",
		checks("hardware"), "hardware", "/dev/serial/by-id"},
	{"wrong group", i2cBus, func(t *testing.T, d *doctor) {
		if os.Geteuid() == 0 {
			t.Skip("root may open everything")
		}
		d.put(t, "/dev/i2c-1", "")
		os.Chmod(d.root+"/dev/i2c-1", 0)
		look(t, d, "hardware")
	}, "hardware", "usermod -aG i2c"},
	{"group of the service", i2cBus, func(t *testing.T, d *doctor) {
		d.put(t, "/dev/i2c-1", "")
		d.put(t, "/etc/passwd", "root:x:0:0::/:/bin/sh\ndunlin:x:997:997::/:/bin/false\n")
		d.put(t, "/etc/group", "dialout:x:20:dunlin\ni2c:x:994:pi\n")
		if err := errors.Join(os.Chmod(d.root+"/dev/i2c-1", 0o660), os.Chown(d.root+"/dev/i2c-1", 0, 994)); err != nil {
			t.Skip("only root can look as root does: ", err)
		}
		look(t, d, "hardware")
	}, "hardware", "usermod -aG i2c dunlin"},
}

const day = 24 * time.Hour

var faultsOfCertificates = []seeded{
	{"expired certificate", "", certificateShows(-2*day, -day), "certificates", "get a new one"},
	{"certificate that ends soon", "", certificateShows(-2*day, 3*day), "certificates", "without a restart"},
	{"certificate of the future", "", certificateShows(day, 90*day), "certificates", "clock"},
}

func certificateShows(from, until time.Duration) func(*testing.T, *doctor) {
	return func(t *testing.T, d *doctor) {
		d.cfg = load(t, oneListener+"bridges: {cloud: {servers: [\"mqtts://127.0.0.1\"], tls: {ca: \""+certificateFor(t, from, until)+"\"}, out: [{from: a}]}}\n")
		look(t, d, "certificates")
	}
}

var faultsOfBridges = []seeded{
	{"server that refuses", "", func(t *testing.T, d *doctor) {
		d.cfg = load(t, oneListener+"bridges: {cloud: {servers: [\"mqtt://"+freeAddress(t)+"\"], out: [{from: a}]}}\n")
		look(t, d, "bridges")
	}, "bridges", "firewall"},
	{"name that is not found", oneListener + "bridges: {cloud: {servers: [\"mqtt://no-such-host.invalid\"], out: [{from: a}]}}\n",
		checks("bridges"), "bridges", "resolv.conf"},
	{"no route", "", func(_ *testing.T, d *doctor) {
		d.unreachable("cloud", &url.URL{Host: "192.0.2.1:8883"}, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)})
	}, "bridges", "ip route"},
	{"bridge down", "", tells(api.Status{Bridges: []api.Bridge{{Name: "cloud", State: "down", Class: "auth"}}}), "bridges", "look at client_id and credentials, those of proxy too, and at the rights there; 'dunlin bridge test cloud'"},
	{"spool that dropped", "", tells(api.Status{Bridges: []api.Bridge{{Name: "cloud", State: "up", Dropped: 7, Drops: map[string]uint64{"full": 7}}}}), "bridges", "max_size"},
}

// tells has the gateway run and tell of itself.
func tells(s api.Status) func(*testing.T, *doctor) {
	return func(t *testing.T, d *doctor) {
		d.status = &s
		look(t, d, "gateway")
		look(t, d, "bridges")
	}
}

// offlineFor is a gateway that tells of a device without a value.
func offlineFor(reason, err string) func(*testing.T, *doctor) {
	return tells(api.Status{Devices: []api.Device{{Name: "air", State: "offline", Reason: reason, Error: reason + ": " + err}}})
}

var faultsOfGateway = []seeded{
	{"gateway that does not run", "", checks("gateway"), "gateway", "systemctl status"},
	{"device without a right", "", tells(api.Status{Devices: []api.Device{{Name: "air", State: "offline", Reason: "permission"}}}), "gateway", "usermod"},
	{"I2C is off", "", offlineFor("not_found", "open /dev/i2c-1: no such file or directory"), "gateway", "dtparam=i2c_arm=on"},
	{"1-Wire is off", "", offlineFor("not_found", "no 1-Wire sensor 28-0316a2794ff1"), "gateway", "w1-gpio"},
	{"no such program", "", offlineFor("not_found", "fork/exec /nonexistent: no such file or directory"), "gateway", "command"},
	{"no such chip", "", offlineFor("not_found", "there is no hwmon at all"), "gateway", "dunlin scan"},
	{"program that ends", "", offlineFor("exited", "the program has ended, exit code 1"), "gateway", "by hand"},
	{"value out of range", "", offlineFor("out_of_range", "116.08 is outside 0 to 10"), "gateway", "range of its entities"},
	{"another chip", "", offlineFor("wrong_chip", "id 0x61"), "gateway", "driver or address"},
	{"device offline", "", tells(api.Status{Devices: []api.Device{{Name: "door", State: "offline", Reason: "nack"}}}), "gateway", "wires"},
	{"disk that failed", "", tells(api.Status{Store: api.Store{Mode: "degraded", Error: "input/output error"}}), "gateway", "dmesg"},
	{"disk that is full", "", tells(api.Status{Store: api.Store{Mode: "degraded", Error: "no room on the disk for another segment"}}), "gateway", "make room"},
	{"messages dropped", "", tells(api.Status{Broker: api.Broker{Dropped: 3}}), "gateway", "queue_messages"},
}

var faultsOfConfiguration = []seeded{
	{"missing configuration", "", func(t *testing.T, d *doctor) {
		d.configuration(filepath.Join(t.TempDir(), "none.yaml"))
	}, "configuration", ""},
	{"mistake in the configuration", "", reads("mqtt: {limits: {conections: 5}}\n"), "configuration", "did you mean connections"},
	{"missing users file", "", reads(oneListener + "auth: {users_file: /no/such/file}\n"), "configuration", ""},
	{"missing CA of a bridge", "", reads(oneListener + "bridges: {cloud: {servers: [\"mqtts://broker.example\"], tls: {ca: /no/such/ca.pem}, out: [{from: a}]}}\n"), "configuration", ""},
	{"key of another certificate", "", func(t *testing.T, d *doctor) {
		a, b := serverAuthority(t), serverAuthority(t)
		reads(tlsListener(a.path("server.pem"), b.path("server.key")))(t, d)
	}, "configuration", ""},
	{"key that others can read", "", func(t *testing.T, d *doctor) {
		a := serverAuthority(t)
		os.Chmod(a.path("server.key"), 0o644)
		reads(tlsListener(a.path("server.pem"), a.path("server.key")))(t, d)
	}, "configuration", "chmod 600"},
}

// reads has a configuration in a file.
func reads(text string) func(*testing.T, *doctor) {
	return func(t *testing.T, d *doctor) { d.configuration(secretFile(t, "dunlin.yaml", text)) }
}

func tlsListener(cert, key string) string {
	return fmt.Sprintf("mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true, tls: {cert: %s, key: %s}}]}\n", cert, key)
}
