package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// built is when this program was not there yet: a clock before it is wrong.
var built = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (d *doctor) clock(context.Context) { d.clockAt(time.Now(), sensors.ClockSynced()) }

func (d *doctor) clockAt(now time.Time, synced bool) {
	const why = "certificates are refused, and values carry a wrong time"
	switch {
	case now.Before(built), now.Year() > built.Year()+11: // a clock that has run over, as in 2038
		d.add("clock", why, "give the machine a network with NTP, or a real-time clock: 'timedatectl set-ntp true'", "the clock says %s", now.UTC().Format("2006-01-02"))
	case !synced:
		d.add("clock", "nobody knows how wrong it is: values carry clock=unsynced", "'timedatectl set-ntp true', and let UDP port 123 through", "the clock is not synchronized")
	}
}

func (d *doctor) power(context.Context) {
	alarms, _ := filepath.Glob(d.root + "/sys/class/hwmon/hwmon*/in0_lcrit_alarm") // the pattern is right
	for _, name := range alarms {
		if d.text(strings.TrimPrefix(name, d.root)) == "1" {
			d.add("power", "cards are damaged and USB devices vanish", "use the board's own power supply and a short cable", "the supply voltage is too low")
		}
	}
}

func (d *doctor) memory(context.Context) {
	const least = 24 << 20
	if n, err := strconv.ParseInt(d.text("/sys/fs/cgroup/system.slice/dunlin.service/memory.max"), 10, 64); err == nil && n < least {
		d.add("memory", "the kernel will kill it", "raise MemoryMax= of the service", "the gateway may have %s, it wants %s", size(n), size(least))
	}
	for line := range strings.Lines(d.text("/sys/fs/cgroup/system.slice/dunlin.service/memory.events")) {
		if n, killed := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); killed && n != "0" {
			d.add("memory", "what was not on the disk yet is lost each time", "raise MemoryMax= of the service, or lower memory.limit", "the kernel has killed the gateway %s times for want of memory", n)
		}
	}
}

// cardErrors are in lines of the kernel's log about a disk that fails.
var cardErrors = []string{"I/O error, dev ", "Buffer I/O error on dev ", "EXT4-fs error", "mmcblk0: error ", "Remounting filesystem read-only"}

// kernelLog looks for such lines, in what is there now.
func (d *doctor) kernelLog() {
	f, err := os.OpenFile(d.root+"/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return // it is for root
	}
	defer f.Close()
	record := make([]byte, 8<<10)
	for range 10_000 { // a second's worth
		n, err := syscall.Read(int(f.Fd()), record)
		if errors.Is(err, syscall.EPIPE) { // overwritten meanwhile
			continue
		}
		if n <= 0 {
			return
		}
		for _, words := range cardErrors {
			if _, what, found := strings.Cut(string(record[:n]), words); found {
				what, _, _ = strings.Cut(words+what, "\n")
				d.add("card", "it loses data, and will soon be read-only", "'dunlin backup FILE', then replace the card; 'dmesg' shows all of it", "the kernel tells of a disk that fails: %s", what)
				return
			}
		}
	}
}

// card looks at the wear that eMMC tells (JESD84-B51: 0x0A is 90 to 100 %).
func (d *doctor) card(context.Context) {
	d.kernelLog()
	cards, _ := filepath.Glob(d.root + "/sys/block/mmcblk*/device/life_time") // the pattern is right
	for _, name := range cards {
		for _, word := range strings.Fields(d.text(strings.TrimPrefix(name, d.root))) {
			if n, err := strconv.ParseUint(word, 0, 8); err == nil && n >= 0x0A {
				d.add("card", "it will soon be read-only or lose data", "replace it, and set store.durability: interval", "the flash memory is worn: life time %s of 0x0B", word)
				break
			}
		}
	}
}

func (d *doctor) disk(context.Context) {
	dir := string(d.cfg.DataDir)
	at := dir
	for { // a directory that will be made is on the disk of its parent
		_, err := os.Stat(at)
		if !errors.Is(err, fs.ErrNotExist) || at == "/" || at == "." {
			break
		}
		at = filepath.Dir(at)
	}
	free, kind, ok := diskSpace(at)
	if least := int64(d.cfg.Store.MinFree); ok && free < least {
		d.add("disk", "nothing is kept while less than store.min_free is left", "delete what is not needed: 'journalctl --vacuum-size=50M', 'apt clean'", "%s has %s free, store.min_free is %s", at, size(free), size(least))
	}
	if kind == "tmpfs" || kind == "overlay" {
		d.add("disk", "sessions, retained messages and spools are gone after a restart of the machine", "put data_dir on a partition that is written to", "%s is on %s", dir, kind)
	}
	f, err := os.CreateTemp(at, ".doctor")
	switch {
	case err == nil:
		f.Close()
		os.Remove(f.Name())
	case errors.Is(err, syscall.EROFS):
		d.add("disk", "nothing can be kept", "'mount -o remount,rw', and look for the reason: 'dmesg | grep -i error'", "%s is on a file system that is read-only", at)
	case errors.Is(err, fs.ErrPermission) && d.status == nil:
		d.add("disk", "nothing can be kept", "run this as the gateway's user, or 'chown -R dunlin: "+dir+"'", "you may not write to %s", at)
	case errors.Is(err, syscall.ENOSPC) && free > 1<<20:
		d.add("disk", "nothing can be kept", "delete what has very many small files: 'df -i', 'du --inodes -x / | sort -n | tail'", "%s has room for bytes, but for no file more", at)
	case errors.Is(err, syscall.ENOSPC):
		d.add("disk", "nothing can be kept", "delete what is not needed", "%s is full", at)
	}
	if d.status == nil && !errors.Is(d.silent, fs.ErrPermission) && broker.DataInUse(dir) {
		d.add("disk", "the gateway cannot start", "'fuser -v "+dir+"' names it: stop it", "another dunlin uses %s", dir)
	}
}

// files is how many may be open: one for each connection.
func (d *doctor) files(context.Context) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	d.filesWith(uint64(limit.Max))
}

func (d *doctor) filesWith(limit uint64) {
	if need := uint64(d.cfg.MQTT.Limits.Connections) + ownFiles; limit < need {
		d.add("files", "clients beyond that are not let in", "LimitNOFILE=16384 in the unit, or lower mqtt.limits.connections", "%d files may be open, %d connections need %d", limit, d.cfg.MQTT.Limits.Connections, need)
	}
}

// brokers finds other MQTT servers, which want the same ports.
func (d *doctor) brokers(context.Context) {
	names, _ := filepath.Glob(d.root + "/proc/[0-9]*/comm") // the pattern is right
	seen := map[string]bool{}
	for _, name := range names {
		other := d.text(strings.TrimPrefix(name, d.root))
		switch other {
		case "mosquitto", "nanomq", "emqx", "vernemq", "rumqttd", "hivemq":
			if !seen[other] {
				d.add("brokers", "clients may talk to the wrong one", "'systemctl disable --now "+other+"', or other ports for one of them", "%s runs on this machine", other)
			}
			seen[other] = true
		}
	}
}

// hardware looks for the nodes of buses, and whether one may use them.
func (d *doctor) hardware(context.Context) {
	for _, b := range d.cfg.Buses {
		var path, group, missing string
		switch o := b.Options.(type) {
		case *config.I2CBus:
			path, group, missing = string(o.Path), "i2c", switchOnI2C
		case *config.SPIBus:
			path, group, missing = string(o.Path), "spi", "switch SPI on: dtparam=spi=on in /boot/firmware/config.txt, then restart"
		}
		d.node("bus "+b.ID, path, group, missing)
	}
	for _, v := range d.cfg.Devices {
		for _, s := range d.cfg.Flat() {
			if s.Path == "devices."+v.Name+".port.path" || s.Path == "devices."+v.Name+".port" {
				d.node("device "+v.Name, s.Value, "dialout", "plug it in; a name below /dev/serial/by-id stays the same: 'ls /dev/serial/by-id'")
			}
		}
	}
}

// node checks one device file.
func (d *doctor) node(who, path, group, missing string) {
	if !strings.HasPrefix(path, "/") {
		return
	}
	f, err := os.OpenFile(d.root+path, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	switch {
	case err == nil:
		if info, err := f.Stat(); err == nil && os.Geteuid() == 0 {
			d.serviceMay(who, path, info)
		}
		f.Close()
	case errors.Is(err, fs.ErrNotExist):
		d.nodes = append(d.nodes, path)
		d.add("hardware", "it cannot be read", missing, "%s: %s does not exist", who, path)
	case errors.Is(err, fs.ErrPermission):
		d.nodes = append(d.nodes, path)
		d.add("hardware", "it cannot be read", "'usermod -aG "+group+" dunlin', then restart the gateway", "%s: no permission for %s", who, path)
	}
}

// serviceMay says whether the service's user may use what root may.
func (d *doctor) serviceMay(who, path string, info fs.FileInfo) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&0o006 == 0o006 || !strings.Contains("\n"+d.text("/etc/passwd"), "\ndunlin:") {
		return
	}
	gid := strconv.Itoa(int(st.Gid))
	for line := range strings.Lines(d.text("/etc/group")) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 4 && f[2] == gid && !strings.Contains(","+f[3]+",", ",dunlin,") && f[0] != "dunlin" {
			d.add("hardware", "it cannot be read", "'usermod -aG "+f[0]+" dunlin', then restart the gateway", "%s: the user dunlin is not in the group %s of %s", who, f[0], path)
		}
	}
}
