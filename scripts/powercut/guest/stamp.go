package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/scripts/powercut/oracle"
)

const disk = "/dev/vda"

// How often stamp looks, and at least writes: who judges wants to know the time.
const (
	look  = 2 * time.Millisecond
	write = 50 * time.Millisecond
)

// stamp writes down behind the file system what was acknowledged, until the
// machine ends.
func stamp(acked *[len(oracle.Publishers)]atomic.Uint64, failed chan<- error) error {
	raw, err := unix.Open(disk, unix.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	sector, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	begin := time.Now()
	go func() { // ends with the machine
		for last := (oracle.Stamp{}); ; time.Sleep(look) {
			s := oracle.Stamp{After: time.Since(begin)}
			for i := range acked {
				s.Acked[i] = acked[i].Load()
			}
			if s.Acked == last.Acked && s.After-last.After < write {
				continue
			}
			s.Put(sector)
			if _, err := unix.Pwrite(raw, sector[:oracle.StampSize], oracle.StampAt); err != nil {
				failed <- fmt.Errorf("stamp: %w", err)
				return
			}
			last = s
		}
	}()
	return nil
}
