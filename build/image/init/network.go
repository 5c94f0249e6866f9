package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/build/image/network"
	"github.com/dunlin-mqtt/dunlin/build/image/network/sntp"
	"github.com/dunlin-mqtt/dunlin/build/image/network/wifi"
)

// network keeps the links' addresses and name servers, and the clock.
func (b *board) network(ctx context.Context) error {
	return network.Run(ctx, network.Options{
		Name:     b.name,
		Static:   b.static(),
		WiFi:     b.wifi(),
		Clock:    sntp.System{},
		State:    keptDir,
		Resolv:   "/run/resolv.conf",
		Logf:     b.logf,
		Problem:  b.report,
		Services: b.servedNow,
	})
}

// restoreTime sets a clock that knows nothing to the last time that was known:
// when time servers were asked last, or when the image was made.
func (b *board) restoreTime() {
	text, _ := os.ReadFile("/etc/image")
	behind, err := sntp.Restore(sntp.System{}, network.TimeFile(keptDir), builtAt(string(text)))
	if err != nil {
		b.logf("restore the time: %v", err)
	}
	if behind > 0 {
		b.logf("the clock was behind by %v", behind)
	}
}

// builtAt is the date in /etc/image; the zero time without one.
func builtAt(image string) (at time.Time) {
	for line := range strings.Lines(image) {
		if seconds, ok := strings.CutPrefix(strings.TrimSpace(line), "date="); ok {
			if n, err := strconv.ParseInt(seconds, 10, 64); err == nil {
				at = time.Unix(n, 0)
			}
		}
	}
	return at
}

// static is what the user's network.txt says; with a mistake in it, DHCP is
// better than nothing.
func (b *board) static() network.Static {
	text, err := readSmall(filepath.Join(keptDir, networkFile), 16<<10)
	if err != nil || text == nil {
		return network.Static{}
	}
	s, err := network.ParseStatic(text)
	if err != nil {
		b.report("network", err.Error())
		return network.Static{}
	}
	return s
}

// wifi is what the user's wifi.txt says, and makes the radio's driver ready;
// nil without one, or with a mistake in it.
func (b *board) wifi() *wifi.Config {
	text, err := readSmall(filepath.Join(keptDir, wifiFile), 16<<10)
	if err != nil || len(text) == 0 {
		return nil
	}
	c, err := wifi.Parse(text)
	if err != nil {
		b.report("wifi", err.Error())
		return nil
	}
	if err := wifi.Load("/lib/modules"); err != nil {
		b.logf("wifi: %v", err) // without a driver there is no radio, which the station reports
	}
	return &c
}

// loopback lets programs on this machine talk to one another: the kernel
// gives the link its address when it comes up.
func loopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}
