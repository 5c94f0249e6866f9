package drivers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// slave is the kernel's w1_slave of a DS18B20 with these two bytes of
// temperature and this many bits.
func slave(raw uint16, bits int) string {
	pad := []byte{byte(raw), byte(raw >> 8), 0x4b, 0x46, byte(bits-9)<<5 | 0x1f, 0xff, 0x0c, 0x10}
	crc := w1CRC(pad)
	text := fmt.Sprintf("% x", append(pad, crc))
	return fmt.Sprintf("%s : crc=%02x YES\n%s t=%d", text, crc, text, int(int16(raw))*1000/16)
}

// benchmarkReads measures one Read of a driver on a tree of files: what a
// device costs each interval, without its hardware.
func benchmarkReads(b *testing.B, driver string, files map[string]string) {
	h := &tree{root: b.TempDir()}
	for name, text := range files {
		file := filepath.Join(h.root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	spec := Table()[driver]
	d, err := spec.New(spec.Options(), nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := d.Open(context.Background(), h); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if list, err := d.Read(context.Background()); err != nil || len(list) == 0 {
			b.Fatal(list, err)
		}
	}
}

func BenchmarkHwmon(b *testing.B) {
	const dir = "/sys/class/hwmon/hwmon0/"
	benchmarkReads(b, "hwmon", map[string]string{dir + "name": "lm75", dir + "temp1_input": "23500", dir + "temp1_fault": "0"})
}

func BenchmarkIIO(b *testing.B) {
	const dir = "/sys/bus/iio/devices/iio:device0/"
	benchmarkReads(b, "iio", map[string]string{
		dir + "name": "bmp280", dir + "in_temp_input": "23500", dir + "in_pressure_input": "100.65", dir + "in_voltage0_raw": "1", dir + "in_voltage0_scale": "2",
	})
}

func BenchmarkW1Therm(b *testing.B) {
	benchmarkReads(b, "w1_therm", map[string]string{
		w1Devices + "28-3c01e076877d/w1_slave": slave(0x0191, 12),
	})
}

func BenchmarkSystem(b *testing.B) {
	benchmarkReads(b, "system", map[string]string{
		"/proc/loadavg": "0.20 0.18 0.12 1/80 11206", "/proc/stat": procStat, "/proc/meminfo": procMeminfo, "/proc/uptime": "3612.91 6953.11", "/proc/net/dev": procNetDev,
		"/sys/class/thermal/thermal_zone0/type": "cpu-thermal", "/sys/class/thermal/thermal_zone0/temp": "48312",
	})
}

func BenchmarkGPIOIn(b *testing.B) {
	l := newFakeLine()
	d := &gpioIn{entity: "input", line: l, told: true}
	b.ReportAllocs()
	for b.Loop() {
		l.edge(true, 0)
		if list, err := d.Read(context.Background()); err != nil || len(list) != 1 {
			b.Fatal(list, err)
		}
	}
}

func BenchmarkPulse(b *testing.B) {
	m := &meter{totals: []total{{entity: "total", pulseEntity: pulseEntity{PerPulse: 1}}}, rates: []rate{{entity: "flow", pulseEntity: pulseEntity{PerPulse: 1, Per: time.Minute}}}}
	now := time.Now()
	m.open(now)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		m.count(1, now)
	}
}

func BenchmarkPWM(b *testing.B) {
	h := &tree{root: b.TempDir()}
	for _, name := range []string{"enable", "period", "duty_cycle"} {
		if err := os.WriteFile(filepath.Join(h.root, name), []byte("1\n"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	var d sensors.Commander = &pwm{o: pwmOptions{Period: 1}, entity: "output", kernel: kernel{root: h.root}, dir: "/"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Do(context.Background(), "output", []byte("100")); err != nil {
			b.Fatal(err)
		}
	}
}
