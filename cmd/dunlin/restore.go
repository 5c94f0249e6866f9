package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const restoreHelp = `Usage: dunlin restore FILE DIR

Makes what 'dunlin backup' wrote to FILE the state of the data_dir DIR: sessions,
queues and retained messages. The gateway must be stopped. FILE is read as a
whole before anything is changed; what was in DIR is kept as *.old.

Examples:
  systemctl stop dunlin && dunlin restore monday.backup /var/lib/dunlin

Exit codes: 0 restored, 1 failed, 2 wrong usage.
`

func runRestore(_ context.Context, args []string, s streams) int {
	fs := flags.New("restore")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, restoreHelp, fs) }); done {
		return code
	}
	if fs.NArg() != 2 {
		return usageError(s, "restore", "takes FILE DIR")
	}
	if err := restore(s, fs.Arg(0), fs.Arg(1)); err != nil {
		fmt.Fprintln(s.err, "dunlin restore:", err)
		return exitFailed
	}
	fmt.Fprintf(s.out, "%s holds what was in %s\n", fs.Arg(1), fs.Arg(0))
	return exitDone
}

func restore(s streams, file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m := newMeter(s, size, 2*info.Size()) // it is read twice
	err = broker.RestoreData(dir, &measured{f, m}, info.Size())
	if m.end(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// measured is a file whose reading a meter shows.
type measured struct {
	file io.ReaderAt
	m    *meter
}

// ReadAt implements io.ReaderAt.
func (r *measured) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.file.ReadAt(p, off)
	r.m.add(n)
	return n, err
}
