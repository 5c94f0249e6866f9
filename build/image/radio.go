package main

import (
	"os"
	"path"
	"path/filepath"

	"github.com/dunlin-mqtt/dunlin/build/image/network/wifi"
	"github.com/dunlin-mqtt/dunlin/scripts/board/initramfs"
)

// radio adds what Wi-Fi needs to the first file system's contents: drivers
// that are not part of the kernel, and the radios' own programs.
func (b *build) radio(k *kernelFiles, contents map[string]string) error {
	if k.modules == "" {
		return nil
	}
	if err := b.command(filepath.Join(b.root, "scripts/wifi-firmware.sh")).Run(); err != nil {
		return err
	}
	from := map[string]string{}
	for _, name := range wifi.Modules {
		from[path.Join("lib/modules", filepath.Base(k.modules), name)] = filepath.Join(k.modules, name)
	}
	for _, name := range wifi.Firmware {
		from[path.Join("lib/firmware", name)] = filepath.Join(b.root, radioFirmware, "usr/lib/firmware", name)
	}
	for name, file := range from {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		contents[name] = string(content)
	}
	return nil
}

const radioFirmware = "build/out/wifi-firmware"

// addDirs adds the directories above a name that are not there yet.
func addDirs(a *initramfs.Archive, there map[string]bool, name string) {
	dir := path.Dir(name)
	if dir == "." || there[dir] {
		return
	}
	addDirs(a, there, dir)
	a.Dir(dir)
	there[dir] = true
}
