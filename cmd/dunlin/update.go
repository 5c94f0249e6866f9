package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const updateHelp = `Usage: dunlin update FILE|-
       dunlin update --status

Installs an update file on a machine that was flashed with dunlin's image. The
file must be signed by a key that the image trusts. It goes into the idle slot;
the machine restarts to try it, and comes back with the version before it
unless the new one proves itself. Other installations are updated as their
packages are (apt).

Examples:
  dunlin update dunlin-1.1.0-rpi.dunlin-update
  curl -s https://example.com/dunlin-1.1.0-rpi.dunlin-update | dunlin update -
  dunlin update --status

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 this is no image of dunlin,
5 refused.
`

func runUpdate(ctx context.Context, args []string, s streams) int {
	set := flags.New("update")
	status := set.Bool("status", false, "what became of the last update")
	older := set.Bool("downgrade", false, "install a version that is older than what runs")
	socket := set.String("socket", api.UpdateSocket, "the updater's `socket`")
	if code, done := parseFlags(set, args, s, func(w io.Writer) { printHelp(w, updateHelp, set) }); done {
		return code
	}
	u := &updating{s: s, line: "update\n"}
	file := io.Reader(strings.NewReader(""))
	switch {
	case *status != (set.NArg() == 0) || set.NArg() > 1:
		return usageError(s, "update", "takes FILE, or - for standard input, or --status")
	case *status:
		u.line = "status\n"
	default:
		if *older {
			u.line = "update downgrade\n"
		}
		if file = s.in; set.Arg(0) != "-" {
			f, err := os.Open(set.Arg(0))
			if err != nil {
				fmt.Fprintf(s.err, "dunlin update: %v\n", err)
				return exitFailed
			}
			defer f.Close()
			file = f
		}
	}
	code, err := u.run(ctx, *socket, file)
	if ctx.Err() != nil {
		fmt.Fprintln(s.err, "dunlin update: broken off; what runs stays")
		return exitInterrupted
	}
	if err != nil {
		fmt.Fprintf(s.err, "dunlin update: %v\n", err)
	}
	return code
}

// updating is one conversation with the updater.
type updating struct {
	s    streams
	line string // the question
}

func (u *updating) run(ctx context.Context, socket string, file io.Reader) (code int, err error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", socket)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return exitUnreachable, errors.New("this machine does not run dunlin's image: install the newer package ('apt install ./FILE.deb') or program instead")
	case err != nil:
		return exitUnreachable, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	sent := make(chan error, 1)
	// Ends when all is sent or the connection is; a terminal or a pipe may hold
	// it for longer, and then it ends with the process.
	go func() {
		_, err := io.Copy(nc, io.MultiReader(strings.NewReader(u.line), file))
		nc.(*net.UnixConn).CloseWrite()
		sent <- err
	}()
	m := newMeter(u.s, size, 0)
	lines := bufio.NewScanner(nc)
	for {
		nc.SetReadDeadline(time.Now().Add(api.UpdateSilence))
		if !lines.Scan() {
			break
		}
		word, rest, _ := strings.Cut(lines.Text(), " ")
		if word == "progress" {
			first, second, _ := strings.Cut(rest, " ")
			done, _ := strconv.ParseInt(first, 10, 64) // what cannot be read is not shown
			m.all, _ = strconv.ParseInt(second, 10, 64)
			m.add(int(done - m.done))
			continue
		}
		m.end()
		if word == "ok" {
			_, err := fmt.Fprintln(u.s.out, rest)
			return exitDone, err
		}
		return exitRefused, errors.New(rest)
	}
	select {
	case err = <-sent: // the file could not be read, perhaps
	default:
	}
	return exitFailed, errors.Join(errors.New("the updater went away: 'dunlin update --status' says what became of it"), err, lines.Err())
}
