package drivers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

const (
	procStat    = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0"
	procMeminfo = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     250 kB\nSwapTotal:        200 kB\nSwapFree:         150 kB"
	procNetDev  = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    9930     144    0    0    0     0          0         0     9930     144    0    0    0     0       0          0
  eth0: 5000000000 1728    3    0    0     0          0         0   196359    1612    4    0    0     0       0          0
wlan0.5:12       1    0    0    0     0          0         0   13    1    0    0    0     0       0          0`
)

// clockless is a system driver that does not look at this machine's clock.
func clockless(t *testing.T, set func(any)) sensors.Driver {
	t.Helper()
	d := mustBuild(t, "system", set, nil)
	d.(*system).synced = nil
	return d
}

func TestSystemClock(t *testing.T) {
	h := newTree(t, nil)
	for _, synced := range []bool{false, true} {
		d := clockless(t, func(o any) { o.(*systemOptions).Disks = nil })
		d.(*system).synced = func() bool { return synced }
		wantShown(t, shows(t, open(t, d, h)), fmt.Sprintf("clock_synced=%v", synced))
	}
}

func TestSystem(t *testing.T) {
	options := func(change func(*systemOptions)) func(any) {
		return func(o any) {
			o.(*systemOptions).Disks = nil
			if change != nil {
				change(o.(*systemOptions))
			}
		}
	}
	t.Run("a board with everything", func(t *testing.T) {
		h := newTree(t, map[string]string{
			"/proc/loadavg": "0.20 0.18 0.12 1/80 11206",
			"/proc/stat":    procStat, "/proc/meminfo": procMeminfo, "/proc/uptime": "3612.91 6953.11", "/proc/net/dev": procNetDev + "\nveth1a2b: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0",
			"/sys/class/net/eth0/device/vendor": "0x1", "/sys/class/net/wlan0.5/device/vendor": "0x1", "/sys/class/net/veth1a2b/mtu": "1500",
			"/sys/class/thermal/thermal_zone0/type":                    "gpu-thermal",
			"/sys/class/thermal/thermal_zone0/temp":                    "41000",
			"/sys/class/thermal/thermal_zone1/type":                    "cpu-thermal",
			"/sys/class/thermal/thermal_zone1/temp":                    "48312",
			"/sys/devices/platform/soc/soc:firmware/get_throttled":     "50005",
			"/sys/class/watchdog/watchdog0/state":                      "active",
			"/sys/class/watchdog/watchdog0/bootstatus":                 "32",
			"/sys/class/thermal/thermal_zone2/type":                    "gpu-thermal",
			"/sys/class/thermal/thermal_zone2/temp":                    "42000",
			"/sys/class/thermal/thermal_zone3/type":                    "off",
			"/sys/class/thermal/cooling_device0/type":                  "fan",
			"/sys/class/hwmon/hwmon0/name":                             "rpi_volt",
			"/sys/class/hwmon/hwmon0/in0_lcrit_alarm":                  "0",
			"/sys/devices/platform/soc/soc:firmware/something_or_else": "1",
		})
		d := open(t, clockless(t, options(nil)), h)
		h.write("/proc/stat", "cpu  130 0 60 840 70 0 0 0 0 0")
		wantShown(t, shows(t, d),
			"load_1m=0.2", "load_5m=0.18", "load_15m=0.12", "cpu_percent=40 %",
			"memory_total=1024000 B", "memory_available=256000 B", "memory_used_percent=75 %",
			"swap_total=204800 B", "swap_used_percent=25 %", "uptime=3612 s",
			"thermal_gpu_thermal=41 °C", "cpu_temperature=48.312 °C", "thermal_gpu_thermal_2=42 °C", "undervoltage=true", "undervoltage_seen=true", "throttled=true", "watchdog=true", "watchdog_reset=true",
			"net_eth0_rx_bytes=5000000000 B", "net_eth0_rx_errors=3", "net_eth0_tx_bytes=196359 B", "net_eth0_tx_errors=4",
			"net_wlan0_5_rx_bytes=12 B", "net_wlan0_5_rx_errors=0", "net_wlan0_5_tx_bytes=13 B", "net_wlan0_5_tx_errors=0")
	})
	t.Run("no zone gets the name of one that cannot be read", func(t *testing.T) {
		h := newTree(t, map[string]string{
			"/sys/class/thermal/thermal_zone0/type": "gpu-thermal", "/sys/class/thermal/thermal_zone0/temp": "41000",
			"/sys/class/thermal/thermal_zone1/type": "gpu-thermal", "/sys/class/thermal/thermal_zone1/temp": "42000",
			"/sys/class/thermal/thermal_zone2/type": "cpu-thermal", "/sys/class/thermal/thermal_zone2/temp": "48000",
		})
		d := open(t, clockless(t, options(nil)), h)
		wantShown(t, shows(t, d), "thermal_gpu_thermal=41 °C", "thermal_gpu_thermal_2=42 °C", "cpu_temperature=48 °C")
		h.broken("/sys/class/thermal/thermal_zone2/temp")
		wantShown(t, shows(t, d), "thermal_gpu_thermal=41 °C", "thermal_gpu_thermal_2=42 °C")
		h.broken("/sys/class/thermal/thermal_zone0/temp")
		h.write("/sys/class/thermal/thermal_zone1/temp", "43000")
		wantShown(t, shows(t, d), "thermal_gpu_thermal_2=43 °C")
	})
	t.Run("a container without sensors has fewer entities and no error", func(t *testing.T) {
		h := newTree(t, map[string]string{"/proc/loadavg": "1.50 1.25 1.00 1/80 11206"})
		wantShown(t, shows(t, open(t, clockless(t, options(nil)), h)), "load_1m=1.5", "load_5m=1.25", "load_15m=1")
	})
	t.Run("only what is included", func(t *testing.T) {
		h := newTree(t, map[string]string{"/proc/loadavg": "1 2 3 4/5 6", "/proc/net/dev": procNetDev})
		d := clockless(t, options(func(o *systemOptions) {
			o.Include, o.Interfaces = []string{"net_*_bytes", "load_5m"}, []string{"eth*"}
		}))
		wantShown(t, shows(t, open(t, d, h)), "load_5m=2", "net_eth0_rx_bytes=5000000000 B", "net_eth0_tx_bytes=196359 B")
	})
	t.Run("disks of this machine", func(t *testing.T) {
		h := newTree(t, map[string]string{"/var/lib/x": ""})
		d := clockless(t, options(func(o *systemOptions) { o.Disks = []string{"/", "/var/lib", "/missing"} }))
		lines := shows(t, open(t, d, h))
		if len(lines) != 6 || !strings.HasPrefix(lines[0], "disk_used_percent=") || !strings.HasPrefix(lines[4], "disk_var_lib_free=") || lines[5] != "disk_var_lib_read_only=false" {
			t.Errorf("read %q", lines)
		}
	})
	t.Run("broken files are no entities", func(t *testing.T) {
		h := newTree(t, map[string]string{
			"/proc/loadavg": "x y", "/proc/stat": "cpu a b c d", "/proc/meminfo": "MemTotal\n:", "/proc/uptime": "",
			"/proc/net/dev": "eth0: 1 2", "/sys/class/thermal/thermal_zone0/temp": "hot", "/sys/class/thermal/thermal_zone0/type": "cpu",
		})
		wantShown(t, shows(t, open(t, clockless(t, options(nil)), h)))
	})
	t.Run("bad options are named", func(t *testing.T) {
		o := &systemOptions{Interfaces: []string{"[a"}, Disks: []string{"data"}}
		var paths []string
		o.Validate(func(path, _ string) { paths = append(paths, path) })
		if strings.Join(paths, " ") != "interfaces[0] disks" {
			t.Errorf("reported %q", paths)
		}
	})
}
