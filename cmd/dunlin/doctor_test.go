//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
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
		text = oneListener
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
	certificateShows(-time.Hour, 90*day)(t, d)
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

// What is missing is told once, with its cure: not as a device that is offline,
// too.
func TestDoctorTellsOnce(t *testing.T) {
	d := patient(t, i2cBus)
	d.status = &api.Status{Devices: []api.Device{
		{Name: "climate", State: "offline", Reason: "not_found", Error: "open /dev/i2c-1: no such file or directory"},
		{Name: "other", State: "offline", Reason: "timeout", Error: "nothing came"},
	}}
	d.status.Bridges = []api.Bridge{{Name: "cloud", State: "up", Dropped: 9, Drops: map[string]uint64{"unwanted": 4, "replaced": 5}}}
	d.hardware(t.Context())
	d.bridges(t.Context())
	d.gateway(t.Context())
	if len(d.found) != 2 || d.found[0].Check != "hardware" || !strings.HasPrefix(d.found[1].What, "device other is offline") {
		t.Errorf("%+v", d.found)
	}
}

func TestDoctorCommand(t *testing.T) {
	startAPI(t)
	file := secretFile(t, "dunlin.yaml", "mqtt: {listeners: [{bind: \"127.0.0.1:0\"}]}\nhttp: {tokens: [{name: x, token: hidden-word}]}\n")
	var doc struct {
		API   string
		Found []api.Finding
	}
	_, out, stderr := runTool(t, "doctor", "-c", file, "--json")
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.API != "v1" {
		t.Errorf("%v: %s%s", err, out, stderr)
	}
	if _, out, _ := runTool(t, "doctor", "-c", file); !strings.Contains(out, "✓ ports\n") {
		t.Errorf("doctor says\n%s", out)
	}
	report := filepath.Join(t.TempDir(), "report.tgz")
	if code, _, stderr := runTool(t, "doctor", "-c", file, "--bundle", report); code != exitUsage || !strings.Contains(stderr, "the report is plain text, not .tgz: --bundle") {
		t.Errorf("%d %s", code, stderr)
	}
	report = strings.TrimSuffix(report, ".tgz")
	runTool(t, "doctor", "-c", file, "--bundle", report)
	b, err := os.ReadFile(report)
	for _, want := range []string{"== doctor", "mqtt.limits.connections:", "\ndunlin_build_info{", `"node":"barn"`, "MemTotal:", "== /api/v1/logs"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in the report (%v)", want, err)
		}
	}
	if strings.Contains(string(b), "hidden") || strings.Contains(string(b), "do-as-you-like") {
		t.Error("a secret is in the report")
	}
}

// An expired certificate and a secret for everybody are told by check, which
// calls the file valid: the gateway starts with it.
func TestCheckWarnsOfCertificatesAndSecrets(t *testing.T) {
	for until, warned := range map[time.Duration]bool{-day: true, 90 * day: false} {
		file := filepath.Join(t.TempDir(), "dunlin.yaml")
		text := oneListener + "bridges: {cloud: {servers: [\"mqtts://127.0.0.1\"], tls: {ca: \"" + certificateFor(t, -2*day, until) + "\"}, credentials: {username: me, password: x}, out: [{from: a}]}}\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		code, out, stderr := runTool(t, "check", file)
		if !strings.Contains(stderr, "everybody on this machine can read this secret") {
			t.Errorf("a secret in a file of mode 0644: %s", stderr)
		}
		if code != exitDone || !strings.Contains(out, "is valid") || strings.Contains(stderr, "has expired 1 d 0 h ago") != warned {
			t.Errorf("until %v: exit code %d\n%s%s", until, code, out, stderr)
		}
	}
}
