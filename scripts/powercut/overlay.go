package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// overlay writes into dir what go build -overlay needs for a bug: overlay.json
// and the file that has it.
func overlay(name, dir string) error {
	list, err := os.ReadFile("scripts/mutants/crash.txt")
	if err != nil {
		return err
	}
	_, section, found := strings.Cut(string(list), "== "+name+" ")
	section, _, _ = strings.Cut(section, "\n== ")
	file, right, wrong := "", "", ""
	for line := range strings.Lines(section) {
		if f, ok := strings.CutPrefix(line, "file "); ok {
			file = strings.TrimSpace(f)
		}
		if l, ok := strings.CutPrefix(line, "- "); ok {
			right += l
		}
		if l, ok := strings.CutPrefix(line, "+ "); ok {
			wrong += l
		}
	}
	source, err := os.ReadFile(file)
	if !found || err != nil || strings.Count(string(source), right) != 1 {
		return fmt.Errorf("%s cannot be put into %q: %v", name, file, err)
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	mutant := filepath.Join(dir, filepath.Base(file)+".mutant") // no package of the module
	if err := os.WriteFile(mutant, []byte(strings.Replace(string(source), right, wrong, 1)), 0o644); err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{file: mutant}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "overlay.json"), text, 0o644)
}
