package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// initramfs is an archive in cpio's "newc" format that the kernel unpacks as
// its first file system.
type initramfs struct {
	b     bytes.Buffer
	inode int
}

func (a *initramfs) add(name string, mode int, content []byte) {
	a.inode++
	fmt.Fprintf(&a.b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	a.b.WriteString(name + "\x00")
	a.pad()
	a.b.Write(content)
	a.pad()
}

func (a *initramfs) pad() { a.b.Write(make([]byte, -a.b.Len()&3)) }

func (a *initramfs) dir(name string) { a.add(name, 0o40755, nil) }

func (a *initramfs) file(name string, content []byte) { a.add(name, 0o100755, content) }

// write compresses the archive into a file.
func (a *initramfs) write(name string) error {
	a.add("TRAILER!!!", 0, nil)
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	z.Write(a.b.Bytes())
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, out.Bytes(), 0o644)
}

// kernel is an unpacked linux-image package.
type kernel struct {
	dir, version string
	needs        map[string][]string // of a module's path, those it needs, the nearest first
	paths        map[string]string   // of a module's name; empty for what is part of the image
}

func openKernel(dir string) (*kernel, error) {
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return nil, err
	}
	k := &kernel{dir: dir, version: strings.TrimSpace(string(version)), needs: map[string][]string{}, paths: map[string]string{}}
	deps, err := os.ReadFile(k.modules("modules.dep"))
	if err != nil {
		return nil, err
	}
	builtin, err := os.ReadFile(k.modules("modules.builtin"))
	if err != nil {
		return nil, err
	}
	for name := range strings.Lines(string(builtin)) {
		k.paths[moduleName(strings.TrimSpace(name))] = ""
	}
	for line := range strings.Lines(string(deps)) {
		name, needs, _ := strings.Cut(line, ":")
		k.needs[name], k.paths[moduleName(name)] = strings.Fields(needs), name
	}
	return k, nil
}

// moduleName is a module's name for the kernel, which knows no hyphens.
func moduleName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(path.Base(file), ".xz"), ".ko"), "-", "_")
}

func (k *kernel) modules(name string) string {
	return filepath.Join(k.dir, "lib/modules", k.version, name)
}

func (k *kernel) image() string { return filepath.Join(k.dir, "boot/vmlinuz-"+k.version) }

func (k *kernel) tree(name string) string {
	return filepath.Join(k.dir, "usr/lib/linux-image-"+k.version, name)
}

// load adds modules and all that they need to an archive, and tells the order
// in which they can be loaded. "name parameters" passes parameters.
func (k *kernel) load(a *initramfs, names []string) (order []string, err error) {
	have := map[string]bool{}
	for _, name := range names {
		name, parameters, _ := strings.Cut(name, " ")
		found, ok := k.paths[moduleName(name)]
		if !ok {
			return nil, fmt.Errorf("the kernel %s has no module %s", k.version, name)
		}
		if found == "" {
			continue
		}
		chain := slices.Clone(k.needs[found])
		slices.Reverse(chain)
		for _, p := range append(chain, found) {
			file := strings.TrimSuffix(path.Base(p), ".xz")
			if have[file] {
				continue
			}
			have[file] = true
			content, err := k.module(p)
			if err != nil {
				return nil, err
			}
			a.file("lib/modules/"+file, content)
			if p == found && parameters != "" {
				file += " " + parameters
			}
			order = append(order, file)
		}
	}
	return order, nil
}

func (k *kernel) module(name string) ([]byte, error) {
	if strings.HasSuffix(name, ".xz") {
		return exec.Command("xz", "-dc", k.modules(name)).Output()
	}
	return os.ReadFile(k.modules(name))
}
