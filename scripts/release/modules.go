package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// withPage is the module whose program has the page in it; the image's init has not.
const withPage = "github.com/dunlin-mqtt/dunlin"

// module is one module inside a binary.
type module struct {
	Path, Version, Sum string
	Dir                string // its source, where the licence is; "" for a part of the page
	Licence            string // an SPDX identifier
	Texts              []string
}

// modules returns what a binary was made of: dunlin first, then Go's modules,
// what the page has of npm, and Go's own library last. The sources of Go's
// modules must be in the module cache.
func modules(binary string) ([]module, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	dirs, root, err := sources()
	if err != nil {
		return nil, err
	}
	list := []module{{Path: info.Main.Path, Dir: dirs[info.Main.Path]}}
	for _, d := range info.Deps {
		if d.Replace != nil {
			return nil, fmt.Errorf("%s is replaced: a release is made of published modules", d.Path)
		}
		list = append(list, module{Path: d.Path, Version: d.Version, Sum: d.Sum, Dir: dirs[d.Path]})
	}
	if info.Main.Path == withPage {
		page, err := pageParts(filepath.Join(list[0].Dir, "ui/LICENSES.txt"))
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
	}
	list = append(list, module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go"), Dir: root})
	for i := range list {
		if err := list[i].license(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// pageParts reads what the page is made of, and the licences, from the file
// that is written when it is built: sections after "== NAME VERSION".
func pageParts(file string) (list []module, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for _, section := range strings.Split(string(text), "\n== ")[1:] {
		head, licence, _ := strings.Cut(section, "\n")
		name, version, ok := strings.Cut(strings.TrimSpace(head), " ")
		if !ok {
			return nil, fmt.Errorf("%s: %q is no name and version", file, head)
		}
		list = append(list, module{Path: name, Version: version, Texts: []string{licence}, Licence: licenceName(licence)})
	}
	return list, nil
}

// purl names the module for those who look for weak points.
func (m *module) purl() string {
	if m.Dir == "" {
		return "pkg:npm/" + m.Path + "@" + m.Version
	}
	return "pkg:golang/" + m.Path + "@" + m.Version
}

// sources returns the folder of each module of the main module, and Go's.
func sources() (dirs map[string]string, root string, err error) {
	out, err := exec.Command("go", "list", "-m", "-json", "all").Output()
	if err != nil {
		return nil, "", fmt.Errorf("go list: %w", err)
	}
	dirs = map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var m module
		if err := d.Decode(&m); err != nil {
			return nil, "", err
		}
		dirs[m.Path] = m.Dir
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	return dirs, strings.TrimSpace(string(goroot)), err
}

// license reads a module's licence files and names the licence.
func (m *module) license() error {
	if m.Licence != "" {
		return nil // of the page
	}
	if m.Dir == "" {
		return fmt.Errorf("the source of %s is not in the module cache: run go mod download", m.Path)
	}
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "PATENTS", "LICENSES/*.txt"} {
		files, err := filepath.Glob(filepath.Join(m.Dir, pattern))
		if err != nil {
			return err
		}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && info.IsDir() {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			m.Texts = append(m.Texts, string(text))
			if m.Licence == "" {
				m.Licence = licenceName(string(text))
			}
		}
	}
	if m.Licence == "" {
		return fmt.Errorf("%s: no licence that this program knows in %s", m.Path, m.Dir)
	}
	return nil
}

// licenceName returns the SPDX identifier of a licence's text, "" when it is
// none of those that dunlin may contain.
func licenceName(text string) string {
	words := strings.Join(strings.Fields(text), " ")
	switch {
	case strings.Contains(words, "Apache License Version 2.0"):
		return "Apache-2.0"
	case strings.Contains(words, "Permission is hereby granted, free of charge"):
		return "MIT"
	case !strings.Contains(words, "Redistribution and use in source and binary forms"):
		return ""
	case strings.Contains(words, "may be used to endorse or promote products"):
		return "BSD-3-Clause"
	}
	return "BSD-2-Clause"
}
