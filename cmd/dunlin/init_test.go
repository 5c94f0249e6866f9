//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bridge that init writes for each vendor passes the check once its # and
// capitals are gone and its files are there.
func TestInitBridges(t *testing.T) {
	a := newAuthority(t)
	cert, err1 := os.ReadFile(a.path("ca.pem"))
	key, err2 := os.ReadFile(a.path("ca.key"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for n, name := range vendorNames() {
		dir := t.TempDir()
		code, out, stderr := runTool(t, "init", "--dir", dir, "--bridge", name, "--no-scan")
		if code != exitDone || strings.Contains(out, cloudPassword) == strings.Contains(vendors()[n].keys, "cert:") && name != "thingsboard" {
			t.Fatalf("%s: %d %s%s", name, code, out, stderr)
		}
		file := filepath.Join(dir, "dunlin.yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, bridge, _ := bytes.Cut(text, []byte("# A bridge to "))
		_, bridge, _ = bytes.Cut(bridge, []byte("\n"))
		text = append(head, bytes.ReplaceAll(append([]byte("\n"), bridge...), []byte("\n#"), []byte("\n"))...)
		for file, content := range map[string][]byte{"dunlin.yaml": text, cloudPassword: []byte("a2V5"), "aws.pem": cert, "aws.key": key, "cloud.pem": cert, "cloud.key": key, "AmazonRootCA1.pem": cert} {
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if code, out, stderr := runTool(t, "check", file); code != exitDone || !strings.Contains(out, "1 bridge") {
			t.Errorf("%s: %s%s\n%s", name, out, stderr, text)
		}
	}
	for bridge, says := range map[string]string{"asure": "did you mean azure", "barn": "has a dot"} {
		if code, _, stderr := runTool(t, "init", "--dry-run", "--no-scan", "--bridge", bridge); code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%s: %d %s", bridge, code, stderr)
		}
	}
}

// What a scan finds is in the configuration.
func TestInitFindsSensors(t *testing.T) {
	m := newSimulated(t)
	dir := t.TempDir()
	var out bytes.Buffer
	i := &setup{s: streams{strings.NewReader(""), &out, t.Output()}, dir: dir, user: "ann", scan: scanFlags{root: m.root, i2c: m.I2C}}
	if err := i.initialize(i.text(t.Context())); err != nil {
		t.Fatal(err)
	}
	said := out.String()
	if !strings.Contains(said, "BME280 at i2c-1 0x76") || !strings.Contains(said, "(of what was found 3 on, 0 behind #") {
		t.Error(said)
	}
	code, checked, stderr := runTool(t, "check", dir+"/dunlin.yaml")
	if code != exitDone || !strings.Contains(checked, "4 devices") {
		t.Errorf("%s%s", checked, stderr)
	}
}
