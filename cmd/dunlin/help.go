package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"
)

func runHelp(ctx context.Context, args []string, s streams) int {
	fs := pflag.NewFlagSet("help", pflag.ContinueOnError)
	code, done := parseFlags(fs, args, s, func(w io.Writer) {
		fmt.Fprint(w, "Usage: dunlin help [COMMAND]\n\nExamples:\n  dunlin help\n  dunlin help sub\n")
	})
	if done {
		return code
	}
	if fs.NArg() == 0 {
		overview(s.out)
		return exitDone
	}
	c, ok := findCommand(fs.Arg(0))
	if !ok {
		return unknownCommand(s, fs.Arg(0))
	}
	return c.run(ctx, []string{"--help"}, s)
}

// overview lists the commands of the table by group.
func overview(w io.Writer) {
	fmt.Fprintf(w, "dunlin %s — MQTT gateway for the edge\n\n", readVersion().Version)
	group := ""
	for _, c := range commands() {
		label := ""
		if c.group != group {
			group, label = c.group, c.group
		}
		fmt.Fprintf(w, "%-10s%-9s%s\n", label, c.name, c.summary)
	}
	fmt.Fprintln(w, "\ndunlin COMMAND --help shows flags and examples.")
}

// printHelp writes the help of one command: its text, then its flags.
func printHelp(w io.Writer, text string, fs *pflag.FlagSet) {
	fmt.Fprint(w, text)
	if usages := fs.FlagUsages(); usages != "" {
		fmt.Fprintf(w, "\nFlags:\n%s", usages)
	}
}
