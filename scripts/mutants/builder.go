package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// How long the tests of one mutant may take, a second or some where the machine
// is quiet: one that names a statement and hangs has noticed the mutant, and a
// state of the disk that nobody has come to yet has not. Patience is how long
// they may with being built.
const (
	statementTime = 30 * time.Second
	stateTime     = 4 * time.Minute
	patience      = 8 * time.Minute
)

// builder runs the tests of packages on mutants: one binary of each package
// holds all mutants that have a place in a joint file, and the others have one
// each.
type builder struct {
	root, dir string
	overlay   string
	in        []int // the lines of the mutants in the overlay, in order

	mu       sync.Mutex
	binaries map[string]func() (string, error) // by package
}

func newBuilder(root, dir string, all []mutant) (*builder, error) {
	overlay, in, err := joint(root, filepath.Join(dir, "joint"), all)
	return &builder{root: root, dir: dir, overlay: overlay, in: in, binaries: make(map[string]func() (string, error))}, err
}

// test runs the tests of a package on a mutant and returns what they say. What
// does not compile says [build failed].
func (b *builder) test(m *mutant, pkg, pattern string) (string, error) {
	limit := statementTime
	if m.run != "" {
		limit = stateTime
	}
	if _, in := slices.BinarySearch(b.in, m.line); in {
		if binary, err := b.binary(pkg); err == nil {
			return b.run(filepath.Join(b.root, pkg), fmt.Sprint(m.line), binary,
				"-test.short", "-test.timeout", limit.String(), "-test.run", pattern)
		}
	}
	text, err := m.apply(b.root)
	if err != nil {
		return "", err
	}
	overlay, err := writeOverlay(b.root, filepath.Join(b.dir, fmt.Sprint(m.line)), map[string]string{m.file: text})
	if err != nil {
		return "", err
	}
	return b.run(b.root, "", "go", "test", "-overlay", overlay, "-vet=off", "-short", "-count=1",
		"-timeout", limit.String(), "-run", pattern, "./"+pkg)
}

// binary builds the tests of a package with all mutants of the joint files, once.
func (b *builder) binary(pkg string) (string, error) {
	b.mu.Lock()
	once := b.binaries[pkg]
	if once == nil {
		once = sync.OnceValues(func() (string, error) {
			path := filepath.Join(b.dir, strings.ReplaceAll(pkg, "/", "-")+".test")
			out, err := b.run(b.root, "", "go", "test", "-c", "-overlay", b.overlay, "-ldflags=-s -w", "-o", path, "./"+pkg)
			if err != nil {
				fmt.Printf("one of the mutants does not compile, each of %s is built on its own:\n%s", pkg, out)
			}
			return path, err
		})
		b.binaries[pkg] = once
	}
	b.mu.Unlock()
	return once()
}

func (b *builder) run(dir, mutant, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), chosen+"="+mutant)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// writeOverlay writes the files given, by their paths from the root, and the
// description that the go command reads.
func writeOverlay(root, dir string, texts map[string]string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	replace := make(map[string]string)
	for file, text := range texts {
		original, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(dir, strings.ReplaceAll(file, "/", "-")+".seeded") // no package of the module
		if err := os.WriteFile(replace[original], []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	description, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, description, 0o644)
}
