package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/config"
)

// What 100 devices that are read once a second may cost over a gateway without
// devices: MB, and percent of a core.
const pollingMemory, pollingPercent = 4, 2

// TestPolling measures what polling costs, of processor time and of memory
// that is not the program's code. POLLING is for how many seconds each driver
// is measured (make polling); 0 or nothing takes a moment of one of them, which
// tells that the measure works and no more.
func TestPolling(t *testing.T) {
	if os.Getenv("POLLING_DRIVER") != "" {
		return // the other test's turn
	}
	seconds, _ := strconv.Atoi(os.Getenv("POLLING"))
	if seconds == 0 {
		if got := measurePolling(t, "sim", 2); got.values == 0 {
			t.Error("no values in two seconds")
		}
		return
	}
	margin := 1.0
	if seconds < 5 {
		margin = 1.5 // a moment has more or less of the collector in it
	}
	empty := measurePolling(t, "none", seconds)
	t.Logf("%-10s %8s %8s %9s", "driver", "% core", "MB", "values/s")
	t.Logf("%-10s %8.2f %8.2f", "none", empty.percent, float64(empty.rss)/1e6)
	for _, p := range polledDrivers() {
		t.Run(p.driver, func(t *testing.T) {
			got := measurePolling(t, p.driver, seconds)
			percent, mb := got.percent-empty.percent, float64(got.rss-empty.rss)/1e6
			t.Logf("%-10s %8.2f %8.2f %9.0f", p.driver, percent, mb, float64(got.values)/float64(seconds))
			least := polledDevices * (seconds - 1) * 9 / 10 / max(p.every, 1) // the moment of one may be just outside
			if percent >= margin*pollingPercent || mb >= margin*pollingMemory || got.values < least {
				t.Errorf("%s costs more than %.1f %% of a core or %.1f MB, or gives too few values", p.driver, margin*pollingPercent, margin*pollingMemory)
			}
		})
	}
}

type pollingCost struct {
	percent float64 // of one core, user and system
	rss     int64   // bytes, without files
	values  int
}

// measurePolling runs a gateway in a process of its own. Devices that talk stay
// in this one, behind their ports: what they cost is not the gateway's. Nor is
// the memory profile that a test keeps.
func measurePolling(t *testing.T, driver string, seconds int) (c pollingCost) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestPollingChild$")
	cmd.Env = append(os.Environ(), "POLLING_DRIVER="+driver, "POLLING="+strconv.Itoa(seconds), "GODEBUG=memprofilerate=0")
	for _, p := range polledDrivers() {
		if p.driver == driver && p.says != nil {
			cmd.Env = append(cmd.Env, "POLLING_PORTS="+speak(t, p.says))
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", driver, err, out)
	}
	_, line, _ := strings.Cut(string(out), "polling: ")
	if _, err := fmt.Sscan(line, &c.percent, &c.rss, &c.values); err != nil {
		t.Fatalf("%s: %v in %s", driver, err, out)
	}
	return c
}

// TestPollingChild is the process that is measured.
func TestPollingChild(t *testing.T) {
	driver, seconds := os.Getenv("POLLING_DRIVER"), os.Getenv("POLLING")
	if driver == "" {
		return
	}
	m := newModels(t)
	text := "node: poll\ngateway: {defaults: {interval: 1s, stale_after: 10s}}\nmqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\n" +
		"buses:\n  - {id: line, type: modbus_tcp, address: \"127.0.0.1:502\"}\n"
	if strings.HasPrefix(driver, "m") { // SPI: a bus is a chip select
		for i := range polledDevices {
			text += fmt.Sprintf("  - {id: s%d, type: spi, path: /dev/spidev0.%d}\n", i, i)
		}
	}
	for _, p := range polledDrivers() {
		if p.driver != driver {
			continue
		}
		text += "devices:\n"
		if p.model != nil {
			p.model(t, m)
		}
		if ports := os.Getenv("POLLING_PORTS"); ports != "" {
			for i, path := range strings.Split(ports, " ") {
				m.ports["/dev/P"+strconv.Itoa(i)] = path
			}
		}
		for i := range polledDevices {
			keys := strings.ReplaceAll(p.device, "%d", strconv.Itoa(i))
			text += fmt.Sprintf("  - {name: d%d, driver: %s, interval: %ds%s}\n", i, driver, max(p.every, 1), strings.TrimSuffix(", "+keys, ", "))
		}
	}
	cfg := load(t, text)
	cfg.DataDir = config.Path(t.TempDir())
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	g, err := wire(cfg, deps{log: log, buses: m, memory: limitMemory(cfg.Memory, log)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	n, _ := strconv.Atoi(seconds)
	time.Sleep(time.Duration(1+n/4) * time.Second) // opened, and the first values out
	before, read := processorTime(t), readings(g)
	time.Sleep(time.Duration(n) * time.Second)
	percent := 100 * (processorTime(t) - before).Seconds() / float64(n)
	fmt.Printf("polling: %.4f %d %d\n", percent, residentMemory(t), readings(g)-read)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// readings is how many intervals gave valid readings.
func readings(g *gateway) (n int) {
	for _, s := range g.sensors.Status() {
		n += int(s.Health.OK)
	}
	return n
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentMemory is what this process has in memory beside files, in bytes:
// the pages of the test's code would hide what is measured.
func residentMemory(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "Anonymous:")
	if _, err := fmt.Sscan(rest, &n); !ok || err != nil {
		t.Fatalf("no Anonymous in smaps_rollup: %v", err)
	}
	return n << 10
}
