package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const backupHelp = `Usage: dunlin backup FILE|-

Writes what the running gateway keeps to FILE, or to standard output: sessions,
queues and retained messages, as they are at one moment, with everything that
was acknowledged before. Nothing stops meanwhile. FILE may hold secrets, and is
readable for its owner only. 'dunlin restore' puts it back; configuration and
users files are not in it.

Examples:
  dunlin backup /srv/backup/barn-$(date +%F)
  ssh barn dunlin backup - > barn.backup

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 no gateway runs, 5 not allowed.
`

func runBackup(ctx context.Context, args []string, s streams) int {
	q := newAsker("backup", backupHelp, s)
	if code, done := q.parse(args); done {
		return code
	}
	if q.flags.NArg() != 1 {
		return q.usage("takes FILE, or - for standard output")
	}
	file := q.flags.Arg(0)
	if file == "-" {
		if _, err := q.backup(ctx, s.out); err != nil {
			return q.fail(err)
		}
		return exitDone
	}
	n, err := q.backupTo(ctx, file)
	if err != nil {
		return q.fail(err)
	}
	fmt.Fprintf(s.err, "%s: %s\n", file, size(n))
	return exitDone
}

// backup copies a backup to w.
func (q *asker) backup(ctx context.Context, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := q.ask(ctx, "GET", "/api/v1/backup")
	if err != nil {
		return 0, err
	}
	m := newMeter(q.s, size, 0)
	n, err := io.Copy(w, io.TeeReader(r.Body, m))
	m.end()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the gateway broke the backup off: its log says why")
	}
	return n, err
}

// backupTo writes a file that is there only when it is complete, also while
// another backup is written to it.
func (q *asker) backupTo(ctx context.Context, file string) (n int64, err error) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file; - is standard output", file)
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp") // for its owner only
	if err != nil {
		return 0, err
	}
	if n, err = q.backup(ctx, f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(f.Name()))
	}
	return n, syncDir(filepath.Dir(file))
}
