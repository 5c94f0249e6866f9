package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// packPackages archives what the machine gets to install: the package under test;
// one that is older; one whose installation fails; and one that is cut off. It
// returns the version of the first.
func packPackages(dir, deb string) (version string, err error) {
	out, err := exec.Command("dpkg-deb", "-f", deb, "Version").Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", deb, err)
	}
	text, err := os.ReadFile(deb)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "dunlin.deb"), text, 0o644); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "cut.deb"), text[:len(text)/2], 0o644); err != nil {
		return "", err
	}
	for name, change := range map[string]func(root string) error{
		"older": func(root string) error { return setVersion(root, "0.0.1") },
		"failing": func(root string) error {
			if err := setVersion(root, "99.0.0"); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(root, "DEBIAN/preinst"), []byte("#!/bin/sh\nexit 1\n"), 0o755)
		},
	} {
		root := filepath.Join(dir, name)
		if out, err := exec.Command("dpkg-deb", "-R", deb, root).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		if err := change(root); err != nil {
			return "", err
		}
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", root, root+".deb").CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
	}
	pack := exec.Command("tar", "-cf", "packages.tar", "dunlin.deb", "older.deb", "failing.deb", "cut.deb")
	pack.Dir = dir
	if out, err := pack.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func setVersion(root, version string) error {
	name := filepath.Join(root, "DEBIAN/control")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAll(text, []byte("Version: "+version)), 0o644)
}
