package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dunlin-mqtt/dunlin/scripts/board/initramfs"
)

// kind is what differs between the boards that there are images for.
type kind struct {
	goarch, goarm string
	oneSlot       bool
	firmware      []string // of github.com/gokrazy/firmware
	kernelFile    string   // the kernel's name in the slot
	compress      bool     // the firmware unpacks kernels of 64 bits only
	config        string   // config.txt
	source        string   // where the kernel's source is
	kernel        func(*build) (*kernelFiles, error)
	modules       []string // loaded in this order, with what they need
}

// kernelFiles is where a kernel and its device trees lie.
type kernelFiles struct {
	image, license string
	trees          []string          // globs of files
	renamed        map[string]string // device trees whose names the firmware does not know
	overlays       string            // a directory; empty for none
	modules        string            // the directory of those for Wi-Fi; empty for none
	debian         *initramfs.Kernel
}

const buses = `enable_uart=1
gpu_mem=32
disable_splash=1
boot_delay=0
dtparam=i2c_arm=on
dtparam=spi=on
dtparam=watchdog=on
dtoverlay=w1-gpio
`

var kinds = map[string]kind{
	"rpi": {
		goarch: "arm64", kernelFile: "kernel8.img", compress: true, kernel: raspberryKernel,
		firmware: []string{"bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat"},
		config:   "arm_64bit=1\nkernel=kernel8.img\ninitramfs initrd.gz followkernel\ndtoverlay=disable-bt\n" + buses,
	},
	"pizero": {
		goarch: "arm", goarm: "6", oneSlot: true, kernelFile: "kernel.img", kernel: debianKernel,
		firmware: []string{"bootcode.bin", "start.elf", "fixup.dat"},
		config:   "arm_64bit=0\nkernel=kernel.img\ninitramfs initrd.gz followkernel\n" + buses,
		modules: []string{"phy-generic", "dwc2", "bcm2835", "sdhci-iproc", "mmc_block", "crc32c_generic", "ext4", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1",
			"cdc_ether", "smsc95xx", "lan78xx", "asix", "ax88179_178a", "r8152", "i2c-bcm2835", "i2c-dev", "spi-bcm2835", "spidev",
			"w1-gpio", "w1-therm", "bcm2835_wdt", "ftdi_sio", "cp210x", "ch341", "pl2303", "cdc-acm", "af_packet"},
	},
}

// originalTrees gives the device trees of the kernel's own sources the names
// under which the firmware looks for one (Raspberry Pi documentation,
// config.txt, device_tree); the boards A and A+ share those of B and B+.
var originalTrees = map[string]string{
	"bcm2835-rpi-zero.dtb": "bcm2708-rpi-zero.dtb", "bcm2835-rpi-zero-w.dtb": "bcm2708-rpi-zero-w.dtb",
	"bcm2835-rpi-b.dtb": "bcm2708-rpi-b-rev1.dtb", "bcm2835-rpi-b-rev2.dtb": "bcm2708-rpi-b.dtb",
	"bcm2835-rpi-b-plus.dtb": "bcm2708-rpi-b-plus.dtb", "bcm2835-rpi-cm1-io1.dtb": "bcm2708-rpi-cm.dtb",
}

// moduleDir is where the files of a Go module are, downloaded if need be: what
// go.sum says of it is checked.
func (b *build) moduleDir(path string) (string, error) {
	cmd := b.command("go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", path)
	cmd.Stdout = nil
	out, err := cmd.Output()
	if dir := strings.TrimSpace(string(out)); err == nil && dir != "" {
		return dir, nil
	}
	if err := b.command("go", "mod", "download", path).Run(); err != nil {
		return "", err
	}
	cmd = b.command("go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", path)
	cmd.Stdout = nil
	out, err = cmd.Output()
	return strings.TrimSpace(string(out)), err
}

func raspberryKernel(b *build) (*kernelFiles, error) {
	dir, err := b.moduleDir("github.com/gokrazy/kernel.rpi")
	if err != nil {
		return nil, err
	}
	source, err := os.ReadFile(filepath.Join(dir, "_build/upstream-url.txt"))
	if err != nil {
		return nil, err
	}
	b.source = strings.TrimSpace(string(source)) + "\nwith the configuration and the patch that are in _build/ of https://github.com/gokrazy/kernel.rpi, version " +
		dir[strings.LastIndexByte(dir, '@')+1:]
	modules, err := filepath.Glob(filepath.Join(dir, "lib/modules/*"))
	if err != nil || len(modules) != 1 {
		return nil, fmt.Errorf("modules of %d kernels in %s", len(modules), dir)
	}
	return &kernelFiles{modules: modules[0], image: filepath.Join(dir, "vmlinuz"), license: filepath.Join(dir, "LICENSE.linux"),
		trees: []string{filepath.Join(dir, "bcm27*-rpi-*.dtb")}, overlays: filepath.Join(dir, "overlays")}, nil
}

func debianKernel(b *build) (*kernelFiles, error) {
	if err := b.command(filepath.Join(b.root, "scripts/kernels.sh"), "armel").Run(); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.root, "build/out/kernels/armel")
	k, err := initramfs.OpenKernel(dir)
	if err != nil {
		return nil, err
	}
	b.source = fmt.Sprintf("https://snapshot.debian.org/package/linux/ (of Debian's package linux-image-%s)", k.Version)
	return &kernelFiles{image: k.Image(), license: "/usr/share/common-licenses/GPL-2", trees: []string{k.Tree("bcm2835-rpi-*.dtb")},
		renamed: originalTrees, debian: k}, nil
}
