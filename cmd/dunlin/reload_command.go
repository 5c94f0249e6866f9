package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

const reloadHelp = `Usage: dunlin reload [--dry-run] [--json]

Makes the running gateway read its configuration again and shows what is
different. Listeners, limits, devices, bridges, users, rights, tokens, the page's
address and log levels are changed at once, each by itself; + is new, - is gone, ~ is different.
A listener that is different ends its own connections, limits are those of new
ones. With any mistake in the configuration, or a listener that cannot be bound,
nothing changes; the exit code is 3 for a mistake. Files that the configuration
names (users, rights, certificates) are read again in any case.

Examples:
  dunlin reload --dry-run
  dunlin reload
`

func runReload(ctx context.Context, args []string, s streams) int {
	q := newAsker("reload", reloadHelp, s)
	q.jsonFlag()
	dry := q.flags.Bool("dry-run", false, "only show what would change")
	if code, done := q.parse(args); done {
		return code
	}
	if q.flags.NArg() > 0 {
		return q.usage("takes no arguments")
	}
	target := "/api/v1/reload"
	if *dry {
		target += "?dry_run=true"
	}
	var plan api.Reload
	show, err := q.get(ctx, "POST", target, &plan)
	var p *api.Problem
	switch {
	case errors.As(err, &p) && p.Status == 422:
		fmt.Fprintf(s.err, "%s%s\n", p.Detail, p.Title)
		return exitConfig
	case err == nil && show:
		err = writePlan(s.out, &plan)
	}
	if err != nil {
		return q.fail(err)
	}
	return exitDone
}

func writePlan(w io.Writer, plan *api.Reload) error {
	if len(plan.Changes) == 0 {
		text := "nothing is different"
		if plan.Applied {
			text += "; users, rights and certificates were read again"
		}
		_, err := fmt.Fprintln(w, text)
		return err
	}
	var rows [][]string
	for _, c := range plan.Changes {
		sign, what := "~ ", c.Old+" → "+c.New
		switch {
		case c.Old == "":
			sign, what = "+ ", c.New
		case c.New == "":
			sign, what = "- ", c.Old
		}
		rows = append(rows, []string{sign + c.Path, printable(what), c.Effect})
	}
	return writeTable(w, rows)
}
