package main

import (
	"context"
	"fmt"
	"io"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/mosquittoconf"
)

const importHelp = `Usage: dunlin import FILE

Writes the configuration that does what a mosquitto.conf does, with its bridges,
to standard output, and for each line that has no equal a note, to standard error. Files of
users and rules are named, not copied: dunlin reads mosquitto's.

Examples:
  dunlin import /etc/mosquitto/mosquitto.conf > dunlin.yaml
  dunlin check dunlin.yaml

Exit codes: 0 done, with or without notes, 1 failed, 2 wrong usage.
`

func runImport(_ context.Context, args []string, s streams) int {
	fs := flags.New("import")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, importHelp, fs) }); done {
		return code
	}
	if fs.NArg() != 1 {
		return usageError(s, "import", "takes one FILE, a mosquitto.conf")
	}
	lines, err := mosquittoconf.Read(fs.Arg(0))
	if err != nil {
		fmt.Fprintln(s.err, "dunlin import:", err)
		return exitFailed
	}
	text, notes := mosquittoconf.Convert(lines)
	if _, err := io.WriteString(s.out, text); err != nil {
		fmt.Fprintln(s.err, "dunlin import:", err)
		return exitFailed
	}
	for _, n := range notes {
		fmt.Fprintf(s.err, "%s:%d: %s\n", n.File, n.Line, n.Text)
	}
	return exitDone
}
