package main

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

const clientsHelp = `Usage: dunlin clients [TEXT] [--offline | --connected] [--json]
       dunlin clients kick CLIENT...

Lists the clients of the running gateway whose Client Identifier or user has
TEXT in it. kick ends connections; the clients may come back.

Examples:
  dunlin clients
  dunlin clients esp- --offline
  dunlin clients kick esp-17
`

func runClients(ctx context.Context, args []string, s streams) int {
	q := newAsker("clients", clientsHelp, s)
	q.jsonFlag()
	offline := q.flags.Bool("offline", false, "only sessions whose client is away")
	connected := q.flags.Bool("connected", false, "only those that are connected")
	if code, done := q.parse(args); done {
		return code
	}
	args = q.flags.Args()
	if len(args) > 0 && args[0] == "kick" {
		return kickClients(ctx, q, args[1:])
	}
	if len(args) > 1 || *offline && *connected {
		return q.usage("takes one text, and one of --offline and --connected")
	}
	query := url.Values{"limit": {"1000"}}
	if len(args) == 1 {
		query.Set("q", args[0])
	}
	if *offline {
		query.Set("state", "offline")
	} else if *connected {
		query.Set("state", "connected")
	}
	if err := listClients(ctx, q, query); err != nil {
		return q.fail(err)
	}
	return exitDone
}

// listClients shows all pages; each is a table of its own.
func listClients(ctx context.Context, q *asker, query url.Values) error {
	for {
		var page api.Clients
		show, err := q.get(ctx, "GET", "/api/v1/clients?"+query.Encode(), &page)
		if err != nil || !show {
			return err // of JSON, the pages are for who asks to turn
		}
		if err := writeClients(q.s.out, page.Clients); err != nil {
			return err
		}
		if page.Cursor == "" {
			_, err := fmt.Fprintf(q.s.out, "%s in all\n", count(page.Total))
			return err
		}
		query.Set("cursor", page.Cursor)
	}
}

func writeClients(w io.Writer, all []api.Client) error {
	rows := [][]string{{"CLIENT", "USER", "ADDRESS", "MQTT", "STATE", "SUBS", "IN", "OUT", "WAITING", "DROPPED"}}
	for i := range all {
		c := &all[i]
		state := "offline " + span(c.Since)
		if c.Connected {
			state = "for " + span(c.Since)
		}
		from := c.Remote
		if c.Local {
			from = "this gateway"
		}
		rows = append(rows, []string{
			printable(c.ID), printable(c.User), from, c.Protocol, state, count(c.Subscriptions), count(c.Received), count(c.Sent), count(c.Waiting), count(c.Dropped),
		})
	}
	return writeTable(w, rows)
}

func kickClients(ctx context.Context, q *asker, ids []string) int {
	if len(ids) == 0 {
		return q.usage("name the clients to kick")
	}
	code := exitDone
	for _, id := range ids {
		if _, err := q.get(ctx, "DELETE", "/api/v1/clients/"+url.PathEscape(id), nil); err != nil {
			code = q.fail(err)
		} else {
			fmt.Fprintf(q.s.out, "%s: connection ended\n", printable(id))
		}
	}
	return code
}
