package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// offer says where the kernel's source is, as the GPL wants it.
const offer = `This image contains the Linux kernel, under the GNU General Public License,
version 2 (GPL-2.txt). Its complete source is

%s

The people who made this image send you the same source on a medium, for what
sending it costs, for three years from when you got it: write to
dunlin@users.noreply.github.com and name the image's version, %s.
`

// licenceFiles puts the licences into the slot, beside what they are about.
func (b *build) licenceFiles(tree string, k *kernelFiles, firmware string) error {
	dir := filepath.Join(tree, "licences")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	modules, err := b.moduleLicences()
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"SOURCE.txt": fmt.Sprintf(offer, b.source, b.version), "dunlin.txt": modules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	texts := map[string]string{
		k.license: "GPL-2.txt", filepath.Join(firmware, "LICENSE.broadcom"): "firmware-broadcom.txt",
		"/usr/share/doc/ca-certificates/copyright": "ca-certificates.txt",
	}
	if k.modules != "" {
		texts[filepath.Join(b.root, radioFirmware, "usr/share/doc/firmware-brcm80211/copyright")] = "firmware-wifi.txt"
	}
	for from, to := range texts {
		if err := copyFile(from, filepath.Join(dir, to)); err != nil {
			return err
		}
	}
	return nil
}

// moduleLicences are those of all modules inside dunlin and init.
func (b *build) moduleLicences() (string, error) {
	var all strings.Builder
	for _, program := range []struct{ dir, binary string }{{b.root, "dunlin"}, {".", "init"}} {
		tool := b.temporary("release-tool")
		compile := b.command("go", "build", "-o", tool, "./scripts/release")
		compile.Dir = b.root
		if err := compile.Run(); err != nil {
			return "", err
		}
		cmd := b.command(tool, "licences", b.temporary(program.binary))
		cmd.Dir, cmd.Stdout = program.dir, &all
		if err := cmd.Run(); err != nil {
			return "", err
		}
	}
	return all.String(), nil
}

// licences keeps them beside the image too.
func (b *build) licences() error {
	names, err := filepath.Glob(b.temporary("slot/licences/*"))
	if err != nil {
		return err
	}
	dir := b.product("-licences")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if err := copyFile(name, filepath.Join(dir, filepath.Base(name))); err != nil {
			return err
		}
	}
	return nil
}
