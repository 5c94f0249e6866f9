package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/board/initramfs"
	"github.com/dunlin-mqtt/dunlin/scripts/powercut/oracle"
)

// config is dunlin's in the machine: both classes, and no bound that is met.
const config = `
node: board
data_dir: /data/store
store: {durability: interval, interval: 1s, classes: [{filter: "always/#", durability: always}], retained_flush: 1s, min_free: 1MiB, max_size: 40MiB}
mqtt:
  listeners: [{bind: "127.0.0.1:1883", anonymous: true}]
  limits: {queue_messages: 1000000, queue_size: 64MiB}
http: {bind: ""}
log: {format: text}
`

// patience is for a machine that is emulated beside others, beyond its load.
const patience = 3 * time.Minute

// record runs the machine on an empty disk, "base", and leaves "record", unless
// it is there.
func (o *options) record() error {
	path := func(name string) string { return filepath.Join(o.dir, name) }
	if _, err := os.Stat(path("record")); err == nil {
		return nil
	}
	if err := o.pack(path("initrd")); err != nil {
		return err
	}
	if err := os.WriteFile(path("base"), nil, 0o600); err != nil {
		return err
	}
	err := errors.Join(os.Truncate(path("base"), oracle.DiskSize),
		made("mkfs.ext4", "-q", "-F", "-b", "4096", path("base"), fmt.Sprintf("%dk", oracle.FileSize>>10)),
		made("cp", "--sparse=always", path("base"), path("disk")), os.WriteFile(path("writes"), make([]byte, 1<<20), 0o600))
	if err != nil {
		return err
	}
	k, err := initramfs.OpenKernel(o.kernel)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Duration(o.seconds)*time.Second+patience)
	defer stop()
	cmd := exec.CommandContext(ctx, "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", k.Image(), "-initrd", path("initrd"), "-append", fmt.Sprintf("console=ttyAMA0 quiet panic=-1 rdinit=/init seconds=%d", o.seconds),
		"-serial", "stdio",
		"-blockdev", "node-name=d,driver=blklogwrites,log-sector-size=512,file.driver=file,file.filename="+path("disk")+",log.driver=file,log.filename="+path("writes"),
		"-device", "virtio-blk-pci,drive=d,discard=off,write-zeroes=off")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if err != nil || !strings.Contains(said.String(), "guest: done") {
		return fmt.Errorf("the machine: %v\n%s", err, said.Bytes())
	}
	return os.Rename(path("writes"), path("record"))
}

// pack makes the machine's first file system.
func (o *options) pack(name string) error {
	k, err := initramfs.OpenKernel(o.kernel)
	if err != nil {
		return err
	}
	a := &initramfs.Archive{}
	for _, dir := range []string{"dev", "proc", "sys", "data", "etc", "tmp", "lib", "lib/modules"} {
		a.Dir(dir)
	}
	for name, from := range map[string]string{"init": o.guest, "dunlin": o.dunlin} {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		a.File(name, content)
	}
	order, err := k.Load(a, []string{"virtio_pci", "virtio_blk", "crc32c_generic", "ext4"})
	if err != nil {
		return err
	}
	a.File("modules", []byte(strings.Join(order, "\n")+"\n"))
	a.File("etc/dunlin.yaml", []byte(config))
	return a.Write(name)
}
