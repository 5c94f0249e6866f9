package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

// updates are files for the card: of the very slot that it has, under other
// versions, and a small one of bytes that mean nothing.
type updates struct {
	good, forged, hollow, broken []byte
}

func (t *trial) makeUpdates(key string) (u updates, err error) {
	dir, card := t.dir, t.card
	text, err := os.ReadFile(key)
	if err != nil {
		return u, err
	}
	secret, err := update.ParseSecretKey(string(text))
	if err != nil {
		return u, err
	}
	t.keys = []update.PublicKey{secret.Public()}
	var seal *slots.Manifest
	if err := onCard(card, func(c *slots.Card) error {
		if err := c.Check(); err != nil {
			return err
		}
		seal, err = c.Seal(slots.SlotA.Number)
		return err
	}); err != nil {
		return u, fmt.Errorf("the image as it is built: %w", err)
	}
	contents := make([]byte, seal.Size)
	f, err := os.Open(card)
	if err != nil {
		return u, err
	}
	defer f.Close()
	if _, err := f.ReadAt(contents, slots.SlotA.Offset()); err != nil {
		return u, err
	}
	if u.good, err = sign(secret, contents, "9.0.0", seal.Date.Add(time.Hour)); err != nil {
		return u, err
	}
	u.forged = bytes.Replace(u.good, []byte("version 9.0.0"), []byte("version 9.9.9"), 1)
	noise := make([]byte, 3*slots.Chunk/2)
	rand.NewChaCha8([32]byte{}).Read(noise)
	if u.hollow, err = sign(secret, noise, "9.0.5", seal.Date.Add(90*time.Minute)); err != nil {
		return u, err
	}
	if contents, err = breakSlot(dir, contents); err != nil {
		return u, err
	}
	u.broken, err = sign(secret, contents, "9.1.0", seal.Date.Add(2*time.Hour))
	return u, err
}

func sign(key update.SecretKey, contents []byte, version string, date time.Time) ([]byte, error) {
	m, err := slots.Describe(bytes.NewReader(contents), "rpi", version, date)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	err = update.Make(&file, m, bytes.NewReader(contents), key)
	return file.Bytes(), err
}

// breakSlot puts something else in the place of a slot's first file system: a
// kernel that starts, and then has nothing.
func breakSlot(dir string, contents []byte) ([]byte, error) {
	name := filepath.Join(dir, "broken")
	if err := os.WriteFile(name, contents, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(name, slots.MaxContents); err != nil {
		return nil, err
	}
	cmd := exec.Command("mcopy", "-oQ", "-i", name, "-", "::initrd.gz")
	cmd.Stdin = strings.NewReader("this is no file system\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mcopy: %w: %s", err, out)
	}
	b, err := os.ReadFile(name)
	return b[:len(contents)], err
}
