package main

import (
	"context"
	"fmt"
	"io"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"github.com/dunlin-mqtt/dunlin/config"
)

const configHelp = `Usage: dunlin config show [-c FILE] [--origin]
       dunlin config schema
       dunlin config reference

show lists every setting that would be carried out, defaults included and
environment variables filled in; secrets are ***. --origin adds the place in the
file, where it has one. schema writes a JSON Schema for editors, reference a
page about every key.

Examples:
  dunlin config show | grep limits
  dunlin config show --origin
  dunlin config schema > dunlin.schema.json
`

func runConfig(_ context.Context, args []string, s streams) int {
	fs := flags.New("config")
	file := fs.StringP("config", "c", "", "configuration `file`")
	origin := fs.Bool("origin", false, "add the place in the file")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, configHelp, fs) }); done {
		return code
	}
	if fs.NArg() != 1 {
		return usageError(s, "config", "takes show, schema or reference")
	}
	var err error
	switch fs.Arg(0) {
	case "show":
		cfg, code := loadForRun(*file, s)
		if cfg == nil {
			return code
		}
		err = showConfig(s.out, cfg, *origin)
	case "schema":
		err = config.WriteSchema(s.out, tables())
	case "reference":
		err = config.WriteReference(s.out, tables())
	default:
		return usageError(s, "config", fmt.Sprintf("there is no config %s: show, schema or reference", fs.Arg(0)))
	}
	if err != nil {
		fmt.Fprintln(s.err, "dunlin config:", err)
		return exitFailed
	}
	return exitDone
}

func showConfig(w io.Writer, cfg *config.Config, origin bool) error {
	var rows [][]string
	for _, s := range cfg.Flat() {
		row := []string{s.Path + ":", printable(s.Value)}
		if origin {
			row = append(row, cfg.Origin(s))
		}
		rows = append(rows, row)
	}
	return writeTable(w, rows)
}
