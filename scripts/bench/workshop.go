package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// workshop is a folder with what the brokers need.
type workshop struct {
	dir    string // also holds cert.pem and key.pem
	dunlin string // path of the binary; $DUNLIN, or built
	mochi  string
	armv6  int64 // bytes of dunlin's binary for ARMv6, 0 when not asked for
}

// prepare builds what the brokers and scenarios named need.
func prepare(here string, brokers []broker, scenarios []scenario) (*workshop, error) {
	dir, err := os.MkdirTemp("", "dunlin-bench")
	if err != nil {
		return nil, err
	}
	w := &workshop{dir: dir, dunlin: os.Getenv("DUNLIN"), mochi: filepath.Join(dir, "mochi")}
	if w.dunlin == "" {
		w.dunlin = filepath.Join(dir, "dunlin")
		err = compile(here, w.dunlin)
	}
	for _, b := range brokers {
		if b.name == "mochi" && err == nil {
			err = build(filepath.Join(here, "mochi"), w.mochi, ".")
		}
	}
	for _, s := range scenarios {
		if s.name == "size" && err == nil {
			w.armv6, err = armv6(here, dir)
		}
	}
	if err == nil {
		err = writeCertificate(dir)
	}
	return w, err
}

// compile builds dunlin as it is released.
func compile(here, out string, env ...string) error {
	cmd := exec.Command(filepath.Join(here, "../compile.sh"), out)
	cmd.Env = append(os.Environ(), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile.sh: %w\n%s", err, strings.TrimSpace(string(text)))
	}
	return nil
}

func build(module, out, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, strings.TrimSpace(string(text)))
	}
	return nil
}

func armv6(here, dir string) (int64, error) {
	out := filepath.Join(dir, "dunlin-armv6")
	if err := compile(here, out, "GOOS=linux", "GOARCH=arm", "GOARM=6"); err != nil {
		return 0, err
	}
	st, err := os.Stat(out)
	if err != nil {
		return 0, err
	}
	return st.Size(), os.Remove(out)
}

// writeCertificate makes a self-signed certificate for this machine: P-256, as
// a board would use.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 7),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, "cert.pem"), "CERTIFICATE", cert); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, "key.pem"), "PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
