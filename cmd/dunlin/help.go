package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

func runHelp(ctx context.Context, args []string, s streams) int {
	fs := flags.New("help")
	man := fs.Bool("man", false, "write the manual page dunlin(1)")
	code, done := parseFlags(fs, args, s, func(w io.Writer) {
		printHelp(w, "Usage: dunlin help [COMMAND]\n\nExamples:\n  dunlin help\n  dunlin help sub\n  dunlin help --man | man -l -\n", fs)
	})
	if done {
		return code
	}
	if *man {
		manual(ctx, s.out)
		return exitDone
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
		fmt.Fprintf(w, "%-10s%-12s%s\n", label, c.name, c.summary)
	}
	fmt.Fprintln(w, "\ndunlin COMMAND --help shows flags and examples. Every command takes --color auto|always|never\nand --quiet (no progress; before the command also -q).")
}

// printHelp writes the help of one command: its text, then its flags.
func printHelp(w io.Writer, text string, fs *flags.Set) {
	fmt.Fprint(w, text)
	if usages := fs.FlagUsages(); usages != "" {
		fmt.Fprintf(w, "\nFlags:\n%s", usages)
	}
}

// manual writes a page in the language of man(7), made from the help of every
// command.
func manual(ctx context.Context, w io.Writer) {
	safe := strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'")
	page := ".TH DUNLIN 1 \"\" \"dunlin " + readVersion().Version + "\"\n.SH NAME\ndunlin \\- MQTT gateway for the edge\n.SH SYNOPSIS\n.B dunlin\nCOMMAND\n"
	for _, c := range commands() {
		var text strings.Builder
		c.run(ctx, []string{"--help"}, streams{out: &text, err: io.Discard})
		page += ".SH " + strings.ToUpper(c.name) + "\n" + safe.Replace(c.summary) + "\n.PP\n.nf\n" + safe.Replace(text.String()) + ".fi\n"
	}
	page += ".SH FILES\n/etc/dunlin/dunlin.yaml, /var/lib/dunlin, /run/dunlin/dunlin.sock\n"
	io.WriteString(w, page)
}
