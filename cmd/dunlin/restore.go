package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const restoreHelp = `Usage: dunlin restore [--only PARTS] FILE DIR

Makes what 'dunlin backup' wrote to FILE the state of the data_dir DIR: sessions,
queues and retained messages. The gateway must be stopped. FILE is read as a
whole before anything is changed; what was in DIR is kept as *.old. With --only
DIR has these parts of FILE and nothing else.

Examples:
  systemctl stop dunlin && dunlin restore monday.backup /var/lib/dunlin
  dunlin restore --only retained old-board.backup /var/lib/dunlin

Exit codes: 0 restored, 1 failed, 2 wrong usage.
`

func runRestore(_ context.Context, args []string, s streams) int {
	fs := flags.New("restore")
	only := fs.String("only", "retained,sessions,spools", "`parts` to restore: retained messages, sessions of clients, spools of bridges")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, restoreHelp, fs) }); done {
		return code
	}
	if fs.NArg() != 2 {
		return usageError(s, "restore", "takes FILE DIR")
	}
	var parts broker.StoredPart
	for _, name := range strings.Split(*only, ",") {
		part := map[string]broker.StoredPart{"retained": broker.StoredRetained, "sessions": broker.StoredSessions, "spools": broker.StoredSpools, "spool": broker.StoredSpools}[name]
		if parts |= part; part == 0 {
			return usageError(s, "restore", fmt.Sprintf("--only %q: parts are retained, sessions and spools; configuration and users files are in no backup", name))
		}
	}
	if err := restore(s, fs.Arg(0), fs.Arg(1), parts); err != nil {
		fmt.Fprintln(s.err, "dunlin restore:", err)
		return exitFailed
	}
	fmt.Fprintf(s.out, "%s holds what was in %s\n", fs.Arg(1), fs.Arg(0))
	return exitDone
}

func restore(s streams, file, dir string, parts broker.StoredPart) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: a backup is read twice", file)
	}
	m := newMeter(s, size, 2*info.Size()) // it is read twice
	err = broker.RestoreData(dir, &measured{f, m}, info.Size(), parts)
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
