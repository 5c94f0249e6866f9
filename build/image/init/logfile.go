package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// logFileName is a file on the card into which the log is written, if the
// user has put it there: for ten minutes after each start, once a minute.
const logFileName = "dunlin-log.txt"

func (b *board) logFile(ctx context.Context) error {
	for range 10 {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Minute):
		}
		wanted := false
		err := b.onCard(func(dir string) error {
			name := filepath.Join(dir, logFileName)
			if _, err := os.Stat(name); err != nil {
				return nil
			}
			wanted = true
			return writeFile(name, logText(kernelLog(), b.log.text()), 0o600)
		})
		if err != nil || !wanted {
			if err != nil {
				b.logf("%s: %v", logFileName, err)
			}
			break
		}
	}
	<-ctx.Done()
	return nil
}

// logText is both logs with the line ends of every editor.
func logText(kernel, ours []byte) []byte {
	text := bytes.Join([][]byte{[]byte("The kernel:\n"), kernel, []byte("\nThe gateway:\n"), ours}, nil)
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

// kernelLog is what the kernel keeps in its own ring.
func kernelLog() []byte {
	const readAll = 3 // SYSLOG_ACTION_READ_ALL
	buf := make([]byte, 128<<10)
	n, err := unix.Klogctl(readAll, buf)
	if err != nil {
		return []byte(err.Error())
	}
	return buf[:n]
}
