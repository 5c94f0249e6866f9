package main

import (
	"bytes"
	"compress/gzip"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dunlin-mqtt/dunlin/scripts/board/initramfs"
)

// accounts are the only ones: init sets dunlin's devices to these groups.
const (
	passwd = "root:x:0:0:root:/:/nonexistent\ndunlin:x:900:900:dunlin:/data/dunlin:/nonexistent\n"
	groups = "root:x:0:\ndialout:x:20:dunlin\ndunlin:x:900:\ngpio:x:901:dunlin\ni2c:x:902:dunlin\nspi:x:903:dunlin\n"
)

// programs compiles init and dunlin for the board.
func (b *build) programs() error {
	dunlin := b.command(filepath.Join(b.root, "scripts/compile.sh"), b.temporary("dunlin"))
	dunlin.Env = append(dunlin.Env, "GOOS=linux", "GOARCH="+b.goarch, "GOARM="+b.goarm)
	if err := dunlin.Run(); err != nil {
		return err
	}
	first := b.command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", b.temporary("init"), "./init")
	first.Env = append(first.Env, "GOOS=linux", "GOARCH="+b.goarch, "GOARM="+b.goarm)
	return first.Run()
}

// rootfs packs the first file system, which stays the only one beside /data.
func (b *build) rootfs() error {
	a, there := &initramfs.Archive{}, map[string]bool{}
	for _, dir := range []string{"boot/card", "data", "dev", "etc", "lib/modules", "proc", "run", "sys", "tmp", "var/lib"} {
		addDirs(a, there, dir+"/.")
	}
	contents := map[string]string{
		"etc/passwd": passwd, "etc/group": groups, "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
		"etc/update-keys": b.trusted,
		"etc/image":       "board=" + b.board + "\nversion=" + b.version + "\ndate=" + b.epoch + "\n",
	}
	for name, from := range map[string]string{
		"init": b.temporary("init"), "usr/bin/dunlin": b.temporary("dunlin"),
		"etc/ssl/certs/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt",
	} {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		contents[name] = string(content)
	}
	a.Link("etc/resolv.conf", "/run/resolv.conf")
	a.Link("var/lib/dunlin", "/data/dunlin") // a configuration of elsewhere names it
	files, err := b.kernel(b)
	if err != nil {
		return err
	}
	if files.debian != nil {
		order, err := files.debian.Load(a, b.modules)
		if err != nil {
			return err
		}
		contents["lib/modules/order"] = strings.Join(order, "\n") + "\n"
	}
	if err := b.radio(files, contents); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		addDirs(a, there, name)
		a.File(name, []byte(contents[name]))
	}
	var packed bytes.Buffer
	if err := a.Pack(&packed, gzip.BestCompression); err != nil {
		return err
	}
	return os.WriteFile(b.temporary("initrd.gz"), packed.Bytes(), 0o644)
}
