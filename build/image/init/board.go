package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/network/mdns"
	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

// Where things are. The root is the initramfs: what must last is below /data.
const (
	dataDir = "/data"
	keptDir = "/data/init"   // init's own
	etcDir  = "/data/etc"    // dunlin.yaml, users, certificates
	homeDir = "/data/dunlin" // dunlin's data_dir
	cardDir = "/boot/card"   // the drive DUNLIN, while it is mounted
)

// board is the machine that init runs, as its start found it.
type board struct {
	log       *ring
	options   map[string]string              // of the kernel's command line
	disk      string                         // the card: mmcblk0; empty when there is none
	slot      int                            // the partition that was started: 2 or 3; 0 when unknown
	name      string                         // host name
	card      chan struct{}                  // held by who works on the drive DUNLIN; before reports
	life      *life                          // dunlin's
	volatile  atomic.Bool                    // /data is in memory
	emergency atomic.Bool                    // dunlin refused its configuration, and runs with the one it came with
	updater   atomic.Pointer[update.Updater] // nil before it runs, and without a card
	served    atomic.Pointer[[]mdns.Service] // by dunlin; nil: nothing
	reports   struct {                       // what a user without a screen should know, by part
		sync.Mutex
		text    map[string]string
		changed chan struct{} // has one when the gateway has not been told yet
	}
	ending struct { // why the machine stops
		sync.Mutex
		stop context.CancelFunc
		how  string // what the firmware is told: "0 tryboot"
	}
}

func newBoard() *board {
	b := &board{log: newRing(256 << 10), options: map[string]string{}, card: make(chan struct{}, 1), life: newLife()}
	b.reports.text, b.reports.changed = map[string]string{}, make(chan struct{}, 1)
	return b
}

// logf writes a line to the console and into the ring.
func (b *board) logf(format string, args ...any) {
	b.log.line("init", fmt.Sprintf(format, args...))
}

// readBoot reads how the machine was started, and finds the card.
func (b *board) readBoot() {
	line, _ := os.ReadFile("/proc/cmdline") // without it there are no options
	b.options = commandLine(string(line))
	b.slot, _ = strconv.Atoi(b.options["dunlin.slot"])
	if b.slot == 0 {
		// Set by the firmware of every model, as a cell of the device tree.
		if cell, err := os.ReadFile("/proc/device-tree/chosen/bootloader/partition"); err == nil && len(cell) == 4 {
			b.slot = int(binary.BigEndian.Uint32(cell))
		}
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if b.disk = findDisk("/sys/class/block", "/dev"); b.disk != "" {
			b.logf("the card is %s, slot %d", b.disk, b.slot)
			return
		}
	}
	b.logf("no card of dunlin's was found within 10 s")
}

// commandLine splits the kernel's command line. A word without "=" has an
// empty value.
func commandLine(line string) map[string]string {
	options := map[string]string{}
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		options[name] = value
	}
	return options
}

// partition is the device of one of the card's partitions.
func (b *board) partition(number int) string { return "/dev/" + partitionName(b.disk, number) }

func partitionName(disk string, number int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", disk, number)
	}
	return fmt.Sprintf("%s%d", disk, number)
}

// takeName gives the machine its name: the user's (hostname.txt), else dunlin-XXXX of the board's serial number.
func (b *board) takeName() {
	kept, _ := os.ReadFile(filepath.Join(keptDir, "hostname"))
	if b.name = strings.TrimSpace(string(kept)); b.name == "" {
		serial, _ := os.ReadFile("/proc/device-tree/serial-number")
		b.name = serialName(string(serial))
	}
	if err := setHostname(b.name); err != nil {
		b.logf("host name %s: %v", b.name, err)
	}
	b.logf("this is %s", b.name)
}

// serialName is the name of a board without a given one: the last four digits
// of its serial number, which is in the device tree with a zero at its end.
func serialName(serial string) string {
	serial = strings.ToLower(strings.TrimRight(serial, "\x00\n "))
	if len(serial) < 4 {
		return "dunlin"
	}
	return "dunlin-" + serial[len(serial)-4:]
}
