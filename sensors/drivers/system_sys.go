package drivers

import (
	"path"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// cpuZones are the types of thermal zones that are the processor's, best
// first: Raspberry Pi and most ARM boards, Intel, AMD and others.
var cpuZones = [...]string{"cpu-thermal", "cpu_thermal", "x86_pkg_temp", "cpu", "soc", "k10temp", "acpitz"}

// temperatures reads the thermal zones in m°C. The processor's is
// cpu_temperature, the others are thermal_{type}: also while one of them cannot
// be read, so that none gets the name of another.
func (s *system) temperatures() {
	type zone struct {
		kind  string
		value float64
		err   error // of a zone that is switched off, or busy: EINVAL, ENODATA, EAGAIN
	}
	var zones []zone
	for _, dir := range s.kernel.glob("/sys/class/thermal/thermal_zone*") {
		kind, err := s.kernel.text(dir + "/type")
		value, verr := s.kernel.number(dir + "/temp")
		if err == nil {
			zones = append(zones, zone{kind, value / 1000, verr})
		}
	}
	best, rank := -1, len(cpuZones)
	for i, z := range zones {
		for r, name := range cpuZones {
			if r < rank && strings.Contains(strings.ToLower(z.kind), name) {
				best, rank = i, r
			}
		}
	}
	if best < 0 && len(zones) > 0 {
		best = 0
	}
	seen := map[string]int{}
	for i, z := range zones {
		name := "cpu_temperature"
		if i != best {
			name = "thermal_" + sensors.EntityName(z.kind)
			if seen[name]++; seen[name] > 1 {
				name += "_" + strconv.Itoa(seen[name])
			}
		}
		if z.err == nil {
			s.list.add(name, z.value, "°C")
		}
	}
}

// supply asks the Raspberry Pi's firmware whether the supply is too weak and
// the processor slowed down: bits of get_throttled, or the alarm of its hwmon
// device. Bit 16 remembers bit 0 since the start.
func (s *system) supply() {
	text, err := s.kernel.text("/sys/devices/platform/soc/soc:firmware/get_throttled")
	if err == nil {
		if bits, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 32); err == nil {
			s.list.add("undervoltage", bits&1 != 0, "")
			s.list.add("undervoltage_seen", bits&(1<<16) != 0, "")
			s.list.add("throttled", bits&(1<<1|1<<2|1<<3) != 0, "") // capped, throttled, soft limit
			return
		}
	}
	for _, file := range s.kernel.glob("/sys/class/hwmon/hwmon*/in0_lcrit_alarm") {
		name, err := s.kernel.text(path.Dir(file) + "/name")
		alarm, aerr := s.kernel.number(file)
		if err == nil && aerr == nil && name == "rpi_volt" {
			s.list.add("undervoltage", alarm != 0, "")
			return
		}
	}
}

// watchdog says whether somebody feeds the hardware's watchdog, and whether it
// was that which started the machine: CARDRESET of Linux's watchdog API.
func (s *system) watchdog() {
	const dir = "/sys/class/watchdog/watchdog0/"
	if state, err := s.kernel.text(dir + "state"); err == nil {
		s.list.add("watchdog", state == "active", "")
	}
	if bits, err := s.kernel.number(dir + "bootstatus"); err == nil {
		s.list.add("watchdog_reset", int(bits)&0x20 != 0, "")
	}
}

// disks measures the file systems as df does: used is what is not free, and
// percent is of what users may have.
func (s *system) disks() {
	for _, dir := range s.Disks {
		d, err := statfs(s.kernel.path(dir))
		if err != nil || d.used+d.available == 0 {
			continue
		}
		prefix := "disk_"
		if name := sensors.EntityName(dir); name != "" {
			prefix += name + "_"
		}
		s.list.add(prefix+"used_percent", round(100*float64(d.used)/float64(d.used+d.available), 1), "%")
		s.list.add(prefix+"free", int64(d.available), "B")
		s.list.add(prefix+"read_only", d.readOnly, "")
	}
}

// disk is the space of a file system in bytes. The kernel makes one read-only
// when its card fails.
type disk struct {
	used, available uint64
	readOnly        bool
}
