package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

// updateKey finds the key that updates are signed with: UPDATE_KEY names
// minisign's file of it, without a password. Without it a key is made once and
// kept beside what is built: its images take updates from this tree only.
// UPDATE_PUB names a file of further public keys that the image trusts.
func (b *build) updateKey() error {
	name, made := os.Getenv("UPDATE_KEY"), false
	if name == "" {
		name = b.root + "/build/out/update.key"
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			key, err := update.NewSecretKey()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(b.root+"/build/out", 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(name, []byte(key.Text()), 0o600); err != nil {
				return err
			}
			made = true
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if b.key, err = update.ParseSecretKey(string(text)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.trusted = b.key.Public().Text()
	if others := os.Getenv("UPDATE_PUB"); others != "" {
		text, err := os.ReadFile(others)
		if err != nil {
			return err
		}
		if _, err := update.ParsePublicKeys(string(text)); err != nil {
			return fmt.Errorf("%s: %w", others, err)
		}
		b.trusted += string(text)
	}
	switch {
	case made:
		fmt.Printf("made the key %s, %s: keep it, the images of today take updates signed by it only\n", b.key.Public(), name)
	case os.Getenv("UPDATE_KEY") == "":
		fmt.Printf("updates are signed by key %s, %s\n", b.key.Public(), name)
	}
	return nil
}

// describe makes the manifest of the slot's contents. What its file system
// never used is no part of them.
func (b *build) describe() error {
	contents, err := os.ReadFile(b.product(".slot"))
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(b.epoch, 10, 64)
	if err != nil {
		return err
	}
	used := (len(bytes.TrimRight(contents, "\x00")) + slots.Sector - 1) / slots.Sector * slots.Sector
	b.contents = contents[:used]
	b.manifest, err = slots.Describe(bytes.NewReader(b.contents), b.board, b.version, time.Unix(seconds, 0))
	return err
}

// updateFile writes the file that carries the slot to cards that run another
// version, and the manifest alone for whoever signs with a key of his own.
func (b *build) updateFile() error {
	if b.oneSlot {
		return nil // such a card takes none
	}
	if err := os.WriteFile(b.product(".manifest"), b.manifest.Text(), 0o644); err != nil {
		return err
	}
	f, err := os.Create(b.product(".dunlin-update"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := update.Make(f, b.manifest, bytes.NewReader(b.contents), b.key); err != nil {
		return err
	}
	return f.Close()
}
