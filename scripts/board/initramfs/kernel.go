package initramfs

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Kernel is an unpacked linux-image package of Debian, with a file "version".
type Kernel struct {
	dir     string
	Version string
	needs   map[string][]string // of a module's path, those it needs, the nearest first
	paths   map[string]string   // of a module's name; empty for what is part of the image
}

// OpenKernel reads which modules there are.
func OpenKernel(dir string) (*Kernel, error) {
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return nil, err
	}
	k := &Kernel{dir: dir, Version: strings.TrimSpace(string(version)), needs: map[string][]string{}, paths: map[string]string{}}
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

func (k *Kernel) modules(name string) string {
	return filepath.Join(k.dir, "lib/modules", k.Version, name)
}

// Image is the kernel itself.
func (k *Kernel) Image() string { return filepath.Join(k.dir, "boot/vmlinuz-"+k.Version) }

// Tree is the file of a device tree.
func (k *Kernel) Tree(name string) string {
	return filepath.Join(k.dir, "usr/lib/linux-image-"+k.Version, name)
}

// Load adds modules and all that they need to an archive, and tells the order
// in which they can be loaded. "name parameters" passes parameters.
func (k *Kernel) Load(a *Archive, names []string) (order []string, err error) {
	have := map[string]bool{}
	for _, name := range names {
		name, parameters, _ := strings.Cut(name, " ")
		found, ok := k.paths[moduleName(name)]
		if !ok {
			return nil, fmt.Errorf("the kernel %s has no module %s", k.Version, name)
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
			a.File("lib/modules/"+file, content)
			if p == found && parameters != "" {
				file += " " + parameters
			}
			order = append(order, file)
		}
	}
	return order, nil
}

func (k *Kernel) module(name string) ([]byte, error) {
	if strings.HasSuffix(name, ".xz") {
		return exec.Command("xz", "-dc", k.modules(name)).Output()
	}
	return os.ReadFile(k.modules(name))
}
