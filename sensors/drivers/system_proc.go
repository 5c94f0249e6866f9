package drivers

import (
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// load reads /proc/loadavg: "0.20 0.18 0.12 1/80 11206".
func (s *system) load() {
	text, err := s.kernel.text("/proc/loadavg")
	fields := strings.Fields(text)
	if err != nil || len(fields) < 3 {
		return
	}
	for i, name := range [...]string{"load_1m", "load_5m", "load_15m"} {
		if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
			s.list.add(name, v, "")
		}
	}
}

// cpuTime is processor time since boot, in ticks.
type cpuTime struct{ busy, total uint64 }

// cpuTime reads the first line of /proc/stat: "cpu user nice system idle
// iowait irq softirq steal guest guest_nice"; the guests are part of user.
func (s *system) cpuTime() (t cpuTime, ok bool) {
	text, err := s.kernel.text("/proc/stat")
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if err != nil || len(fields) < 5 || fields[0] != "cpu" {
		return t, false
	}
	for i, f := range fields[1:min(len(fields), 9)] {
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return t, false
		}
		t.total += v
		if i != 3 && i != 4 { // idle, iowait
			t.busy += v
		}
	}
	return t, true
}

// cpu is the share of busy processor time since the read before. Fewer than
// 20 ticks say nothing: it is left out right after a start.
func (s *system) cpu() {
	now, ok := s.cpuTime()
	if !ok || now.total < s.busy.total || now.busy < s.busy.busy {
		s.busy = now // iowait may run backwards, says proc(5)
		return
	}
	if total := now.total - s.busy.total; total >= 20 {
		s.list.add("cpu_percent", round(100*float64(now.busy-s.busy.busy)/float64(total), 1), "%")
		s.busy = now
	}
}

// memory reads /proc/meminfo, whose "kB" are KiB.
func (s *system) memory() {
	text, err := s.kernel.text("/proc/meminfo")
	if err != nil {
		return
	}
	kib := map[string]int64{}
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if v, err := strconv.ParseInt(number, 10, 64); err == nil {
			kib[key] = v
		}
	}
	if total := kib["MemTotal"]; total > 0 {
		available, ok := kib["MemAvailable"]
		if !ok { // before Linux 3.14
			available = kib["MemFree"] + kib["Buffers"] + kib["Cached"]
		}
		s.list.add("memory_total", total*1024, "B")
		s.list.add("memory_available", available*1024, "B")
		s.list.add("memory_used_percent", round(100*float64(total-available)/float64(total), 1), "%")
	}
	if total := kib["SwapTotal"]; total > 0 {
		s.list.add("swap_total", total*1024, "B")
		s.list.add("swap_used_percent", round(100*float64(total-kib["SwapFree"])/float64(total), 1), "%")
	}
}

// uptime reads /proc/uptime: "3612.41 6953.11".
func (s *system) uptime() {
	text, err := s.kernel.text("/proc/uptime")
	first, _, _ := strings.Cut(text, " ")
	if v, perr := strconv.ParseFloat(first, 64); err == nil && perr == nil {
		s.list.add("uptime", int64(v), "s")
	}
}

// counts reports whether an interface is counted: one that is configured, else
// one of hardware, since a machine with containers has dozens that are not.
func (s *system) counts(name string) bool {
	if len(s.Interfaces) > 0 {
		return matches(s.Interfaces, name)
	}
	return s.kernel.exists("/sys/class/net/" + name + "/device")
}

// Counts implements sensors.Counter: the counters of interfaces.
func (s *system) Counts(entity string) bool {
	return strings.HasPrefix(entity, "net_") && (strings.HasSuffix(entity, "_bytes") || strings.HasSuffix(entity, "_errors"))
}

// network reads the counters of every interface from /proc/net/dev, which
// shows the network namespace that the process is in.
func (s *system) network() {
	text, err := s.kernel.text("/proc/net/dev")
	if err != nil {
		return
	}
	columns := [...]struct {
		index      int
		name, unit string
	}{{0, "rx_bytes", "B"}, {2, "rx_errors", ""}, {8, "tx_bytes", "B"}, {10, "tx_errors", ""}}
	for line := range strings.Lines(text) {
		name, counters, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		fields := strings.Fields(counters)
		if !ok || name == "lo" || len(fields) < 16 || !s.counts(name) {
			continue
		}
		for _, c := range columns {
			if v, err := strconv.ParseInt(fields[c.index], 10, 64); err == nil {
				s.list.add("net_"+sensors.EntityName(name)+"_"+c.name, v, c.unit)
			}
		}
	}
}
