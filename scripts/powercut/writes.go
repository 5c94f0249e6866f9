package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/dunlin-mqtt/dunlin/scripts/powercut/oracle"
)

const sectorSize = 512

// Flags of a write in the record, whose format is that of Linux's dm-log-writes.
const (
	isFlush   = 1
	isFUA     = 2
	isDiscard = 4
)

const recordMagic = 0x6a736677736872

// write is one request of the machine to its disk.
type write struct {
	at     int64
	flush  bool // all that was written before is durable
	fua    bool // this is, by itself
	data   []byte
	stamp  oracle.Stamp
	stamps bool // stamp is what it is
}

// readRecord reads what blklogwrites has written down.
func readRecord(name string) ([]write, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	head := make([]byte, sectorSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if le.Uint64(head) != recordMagic || le.Uint32(head[24:]) != sectorSize {
		return nil, fmt.Errorf("%s is no record of writes", name)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var all []write
	for count := le.Uint64(head[16:]); uint64(len(all)) < count; {
		if _, err := io.ReadFull(r, head); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		flags := le.Uint64(head[16:])
		w := write{at: int64(le.Uint64(head)) * sectorSize, flush: flags&isFlush != 0, fua: flags&isFUA != 0}
		if flags&isDiscard == 0 {
			n := le.Uint64(head[8:])
			if n > uint64(info.Size())/sectorSize || w.at < 0 || w.at > oracle.DiskSize {
				return nil, fmt.Errorf("%s: request %d is not of this disk", name, len(all))
			}
			w.data = make([]byte, n*sectorSize)
			if _, err := io.ReadFull(r, w.data); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		if w.at == oracle.StampAt {
			w.stamp, w.stamps = oracle.Read(w.data)
		}
		all = append(all, w)
	}
	return all, nil
}
