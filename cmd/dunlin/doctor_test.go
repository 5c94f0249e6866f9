//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
)

// patient is a doctor with a machine of its own.
func patient(t *testing.T, text string) *doctor {
	t.Helper()
	d := &doctor{root: t.TempDir()}
	if text == "" {
		text = "mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\n"
	}
	d.cfg = load(t, text)
	d.cfg.DataDir = config.Path(t.TempDir())
	return d
}

// put writes a file of the patient's machine.
func (d *doctor) put(t *testing.T, name, text string) {
	t.Helper()
	path := d.root + name
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// certificateFor writes a certificate that is valid from and until.
func certificateFor(t *testing.T, from, until time.Duration) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cert.pem")
	writePEM(t, path, "CERTIFICATE", der)
	return path
}

func TestDoctorFindsSeededFaults(t *testing.T) {
	day := 24 * time.Hour
	status := func(s api.Status) func(*testing.T) *doctor {
		return func(t *testing.T) *doctor {
			d := patient(t, "")
			d.status = &s
			d.gateway(t.Context())
			d.bridges(t.Context())
			return d
		}
	}
	file := func(text string) func(*testing.T) *doctor {
		return func(t *testing.T) *doctor {
			d := &doctor{root: "/"}
			d.configuration(secretFile(t, "dunlin.yaml", strings.ReplaceAll(text, "DIR", t.TempDir())))
			return d
		}
	}
	const listener = "mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\n"
	for _, tc := range []struct {
		fault       string
		seed        func(t *testing.T) *doctor
		check, cure string
	}{
		{"1970 clock", func(t *testing.T) *doctor { d := patient(t, ""); d.clockAt(time.Unix(0, 0), false); return d }, "clock", "set-ntp"},
		{"clock not synchronized", func(t *testing.T) *doctor { d := patient(t, ""); d.clockAt(time.Now(), false); return d }, "clock", "set-ntp"},
		{"low voltage", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.put(t, "/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
			d.power(t.Context())
			return d
		}, "power", "power supply"},
		{"killed for memory", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.put(t, "/sys/fs/cgroup/system.slice/dunlin.service/memory.events", "low 0\noom 3\noom_kill 2\n")
			d.memory(t.Context())
			return d
		}, "memory", "MemoryMax="},
		{"worn card", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.put(t, "/sys/block/mmcblk0/device/life_time", "0x02 0x0b\n")
			d.card(t.Context())
			return d
		}, "card", "replace it"},
		{"full disk", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.cfg.Store.MinFree = 1 << 60
			d.disk(t.Context())
			return d
		}, "disk", "delete"},
		{"data_dir in memory", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.cfg.DataDir = "/dev/shm/no/such/dir"
			if _, kind, _ := diskSpace("/dev/shm"); kind != "tmpfs" {
				t.Skip("/dev/shm is no tmpfs here")
			}
			d.disk(t.Context())
			return d
		}, "disk", "partition"},
		{"read-only data_dir", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.cfg.DataDir = "/proc/dunlin" // as nobody may write there, root included
			d.disk(t.Context())
			return d
		}, "disk", ""},
		{"few files", func(t *testing.T) *doctor { d := patient(t, ""); d.filesWith(100); return d }, "files", "LimitNOFILE"},
		{"port taken", func(t *testing.T) *doctor {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			d := patient(t, fmt.Sprintf("mqtt: {listeners: [{bind: %q}]}\n", ln.Addr()))
			d.ports(t.Context())
			return d
		}, "ports", "ss -ltnp"},
		{"address of another machine", func(t *testing.T) *doctor {
			d := patient(t, "mqtt: {listeners: [{bind: \"192.0.2.1:1883\", anonymous: true}]}\n")
			d.ports(t.Context())
			return d
		}, "ports", "ip address"},
		{"second broker", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.put(t, "/proc/77/comm", "mosquitto\n")
			d.put(t, "/proc/78/comm", "mosquitto\n")
			d.brokers(t.Context())
			return d
		}, "brokers", "disable --now mosquitto"},
		{"I2C switched off", func(t *testing.T) *doctor {
			d := patient(t, listener+"buses: [{id: i2c1, type: i2c, path: /dev/i2c-1}]\n")
			d.hardware(t.Context())
			return d
		}, "hardware", "dtparam=i2c_arm=on"},
		{"missing serial device", func(t *testing.T) *doctor {
			d := patient(t, listener+"devices: [{name: meter, driver: lines, port: {path: /dev/ttyUSB9}, entities: {v: {key: v}}}]\n")
			d.hardware(t.Context())
			return d
		}, "hardware", "/dev/serial/by-id"},
		{"wrong group", func(t *testing.T) *doctor {
			if os.Geteuid() == 0 {
				t.Skip("root may open everything")
			}
			d := patient(t, listener+"buses: [{id: i2c1, type: i2c, path: /dev/i2c-1}]\n")
			d.put(t, "/dev/i2c-1", "")
			os.Chmod(d.root+"/dev/i2c-1", 0)
			d.hardware(t.Context())
			return d
		}, "hardware", "usermod -aG i2c"},
		{"expired certificate", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.certificate("bridge cloud", certificateFor(t, -2*day, -day), time.Now())
			return d
		}, "certificates", "get a new one"},
		{"certificate that ends soon", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.certificate("bridge cloud", certificateFor(t, -2*day, 3*day), time.Now())
			return d
		}, "certificates", "without a restart"},
		{"certificate of the future", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.certificate("bridge cloud", certificateFor(t, day, 90*day), time.Now())
			return d
		}, "certificates", "clock"},
		{"clock of 2038", func(t *testing.T) *doctor { d := patient(t, ""); d.clockAt(time.Unix(1<<31, 0), true); return d }, "clock", "set-ntp"},
		{"small control group", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.put(t, "/sys/fs/cgroup/system.slice/dunlin.service/memory.max", "16777216\n")
			d.memory(t.Context())
			return d
		}, "memory", "MemoryMax="},
		{"card that fails", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.put(t, "/dev/kmsg", "6,1,1,-;usb 1-1: new device\n3,339,5140900,-;I/O error, dev mmcblk0, sector 2048 op 0x0:(READ)\n")
			d.card(t.Context())
			return d
		}, "card", "dunlin backup"},
		{"disk without inodes", func(t *testing.T) *doctor {
			d := patient(t, "")
			dir := t.TempDir()
			if err := syscall.Mount("none", dir, "tmpfs", 0, "nr_inodes=1,size=16m"); err != nil {
				t.Skip("no file system can be mounted here: ", err)
			}
			t.Cleanup(func() { syscall.Unmount(dir, 0) })
			d.cfg.DataDir = config.Path(dir)
			d.disk(t.Context())
			return d
		}, "disk", "df -i"},
		{"another dunlin in data_dir", func(t *testing.T) *doctor {
			d := patient(t, "")
			f, err := os.Open(string(d.cfg.DataDir))
			if err == nil {
				err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			d.disk(t.Context())
			return d
		}, "disk", "fuser"},
		{"port of the page taken", func(t *testing.T) *doctor {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			d := patient(t, fmt.Sprintf(listener+"http: {bind: %q}\n", ln.Addr()))
			d.ports(t.Context())
			return d
		}, "ports", "ss -ltnp"},
		{"group of the service", func(t *testing.T) *doctor {
			d := patient(t, listener+"buses: [{id: i2c1, type: i2c, path: /dev/i2c-1}]\n")
			d.put(t, "/dev/i2c-1", "")
			d.put(t, "/etc/passwd", "root:x:0:0::/:/bin/sh\ndunlin:x:997:997::/:/bin/false\n")
			d.put(t, "/etc/group", "dialout:x:20:dunlin\ni2c:x:994:pi\n")
			if err := errors.Join(os.Chmod(d.root+"/dev/i2c-1", 0o660), os.Chown(d.root+"/dev/i2c-1", 0, 994)); err != nil {
				t.Skip("only root can look as root does: ", err)
			}
			d.hardware(t.Context())
			return d
		}, "hardware", "usermod -aG i2c dunlin"},
		{"device without a right", status(api.Status{Devices: []api.Device{{Name: "air", State: "offline", Reason: "permission"}}}), "gateway", "usermod"},
		{"no route", func(t *testing.T) *doctor {
			d := patient(t, "")
			d.unreachable("cloud", &url.URL{Host: "192.0.2.1:8883"}, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)})
			return d
		}, "bridges", "ip route"},
		{"key of another certificate", func(t *testing.T) *doctor {
			a, b := serverAuthority(t), serverAuthority(t)
			return file(fmt.Sprintf("mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true, tls: {cert: %s, key: %s}}]}\n", a.path("server.pem"), b.path("server.key")))(t)
		}, "configuration", ""},
		{"missing CA of a bridge", file(listener + "bridges: {cloud: {servers: [\"mqtts://broker.example\"], tls: {ca: DIR/ca.pem}, out: [{from: a}]}}\n"), "configuration", ""},
		{"server that refuses", func(t *testing.T) *doctor {
			d := patient(t, listener+"bridges: {cloud: {servers: [\"mqtt://"+freeAddress(t)+"\"], out: [{from: a}]}}\n")
			d.bridges(t.Context())
			return d
		}, "bridges", "firewall"},
		{"name that is not found", func(t *testing.T) *doctor {
			d := patient(t, listener+"bridges: {cloud: {servers: [\"mqtt://no-such-host.invalid\"], out: [{from: a}]}}\n")
			d.bridges(t.Context())
			return d
		}, "bridges", "resolv.conf"},
		{"gateway that does not run", func(t *testing.T) *doctor { d := patient(t, ""); d.gateway(t.Context()); return d }, "gateway", "systemctl status"},
		{"bridge down", status(api.Status{Bridges: []api.Bridge{{Name: "cloud", State: "down", Class: "auth"}}}), "bridges", "dunlin bridge test cloud"},
		{"spool that dropped", status(api.Status{Bridges: []api.Bridge{{Name: "cloud", State: "up", Dropped: 7}}}), "bridges", "max_size"},
		{"device offline", status(api.Status{Devices: []api.Device{{Name: "door", State: "offline", Reason: "nack"}}}), "gateway", "wires"},
		{"disk that failed", status(api.Status{Store: api.Store{Mode: "degraded"}}), "gateway", "dmesg"},
		{"messages dropped", status(api.Status{Broker: api.Broker{Dropped: 3}}), "gateway", "queue_messages"},
		{"mistake in the configuration", file("mqtt: {limits: {conections: 5}}\n"), "configuration", "did you mean connections"},
		{"missing users file", file("mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\nauth: {users_file: DIR/none}\n"), "configuration", ""},
		{"key that others can read", func(t *testing.T) *doctor {
			a := serverAuthority(t)
			os.Chmod(a.path("server.key"), 0o644)
			return file(fmt.Sprintf("mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true, tls: {cert: %s, key: %s}}]}\n", a.path("server.pem"), a.path("server.key")))(t)
		}, "configuration", "chmod 600"},
		{"missing configuration", func(t *testing.T) *doctor {
			d := &doctor{root: "/"}
			d.configuration(filepath.Join(t.TempDir(), "none.yaml"))
			return d
		}, "configuration", ""},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			d := tc.seed(t)
			for _, f := range d.found {
				if f.Check == tc.check && strings.Contains(f.Cure, tc.cure) && f.What != "" && f.Cure != "" {
					return
				}
			}
			t.Errorf("not found: %+v", d.found)
		})
	}
}

// A machine without faults has none.
func TestDoctorInvents(t *testing.T) {
	d := patient(t, "")
	d.status = &api.Status{}
	d.clockAt(time.Now(), true)
	d.put(t, "/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n")
	d.put(t, "/sys/block/mmcblk0/device/life_time", "0x01 0x01\n")
	d.put(t, "/sys/fs/cgroup/system.slice/dunlin.service/memory.events", "oom_kill 0\n")
	d.put(t, "/proc/5/comm", "bash\n")
	d.put(t, "/dev/kmsg", "6,1,1,-;mmcblk0: p1 p2\n")
	d.put(t, "/sys/fs/cgroup/system.slice/dunlin.service/memory.max", "max\n")
	for _, c := range checkup {
		if c.name != "clock" && c.name != "files" && c.name != "disk" {
			c.look(d, t.Context())
		}
	}
	d.certificate("x", certificateFor(t, -time.Hour, 90*24*time.Hour), time.Now())
	d.filesWith(4096)
	if len(d.found) > 0 {
		t.Errorf("%+v", d.found)
	}
	d.status.Broker.PublishRefused, d.status.Broker.RetainedRefused = 5, 1400
	d.gateway(t.Context())
	if len(d.found) != 2 || d.found[0].What != "5 messages of clients were refused" || d.found[1].What != "1,400 messages were not retained" {
		t.Errorf("messages that did not arrive: %+v", d.found)
	}
}

func TestDoctorCommand(t *testing.T) {
	startAPI(t)
	file := secretFile(t, "dunlin.yaml", "mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\nhttp: {tokens: [{name: x, token: hidden-word}]}\n")
	var doc struct {
		API   string
		Found []finding
	}
	_, out, stderr := runTool(t, "doctor", "-c", file, "--json")
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.API != "v1" {
		t.Errorf("%v: %s%s", err, out, stderr)
	}
	if _, out, _ := runTool(t, "doctor", "-c", file); !strings.Contains(out, "✓ ports\n") {
		t.Errorf("doctor says\n%s", out)
	}
	report := filepath.Join(t.TempDir(), "report")
	runTool(t, "doctor", "-c", file, "--bundle", report)
	b, err := os.ReadFile(report)
	for _, want := range []string{"== doctor", "mqtt.limits.connections:", "\ndunlin_build_info{", `"node":"barn"`, "MemTotal:"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in the report (%v)", want, err)
		}
	}
	if strings.Contains(string(b), "hidden") || strings.Contains(string(b), "do-as-you-like") {
		t.Error("a secret is in the report")
	}
}
