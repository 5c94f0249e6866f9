package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

const clientsHelp = `Usage: dunlin clients [TEXT] [--offline | --connected] [--all] [--json]
       dunlin clients kick|drop CLIENT...
       dunlin clients ban [CLIENT] [--user USER] [--address IP] [--for 1h]
       dunlin clients unban [CLIENT] [--user USER] [--address IP]
       dunlin clients bans [--json]

Lists the clients of the running gateway whose Client Identifier or user has
TEXT in it; --all and --json have the gateway's own too. kick ends connections; the clients may come back. drop
ends their sessions too, with all that waits in them. ban keeps out who matches
all that is named, until unban, the time or a restart. bans shows who is kept
out; mqtt.limits.flapping makes such bans too.

Examples:
  dunlin clients
  dunlin clients esp- --offline
  dunlin clients kick esp-17
  dunlin clients drop 'old phone'
  dunlin clients ban esp-17 --for 10m
  dunlin clients ban --address 192.0.2.7
`

func runClients(ctx context.Context, args []string, s streams) int {
	q := newAsker("clients", clientsHelp, s)
	q.jsonFlag()
	offline := q.flags.Bool("offline", false, "only sessions whose client is away")
	connected := q.flags.Bool("connected", false, "only those that are connected")
	all := q.flags.Bool("all", false, "also the gateway's own clients")
	user := q.flags.String("user", "", "ban, unban: clients of the `user`")
	address := q.flags.String("address", "", "ban, unban: clients that come from the `IP` address")
	long := q.flags.Duration("for", time.Hour, "ban: how long")
	if code, done := q.parse(args); done {
		return code
	}
	args = q.flags.Args()
	if len(args) > 0 && (args[0] == "ban" || args[0] == "unban") {
		return banClients(ctx, q, args[0] == "ban", url.Values{"user": {*user}, "address": {*address}}, *long, args[1:])
	}
	if *user != "" || *address != "" {
		return q.usage("--user and --address are for ban and unban")
	}
	if len(args) > 0 && args[0] == "bans" {
		return listBans(ctx, q, args[1:])
	}
	if len(args) > 0 && (args[0] == "kick" || args[0] == "drop") {
		return kickClients(ctx, q, args[0] == "drop", args[1:])
	}
	if len(args) > 1 {
		return q.usage("takes one text, or kick, drop, ban, unban or bans%s", didYouMean(args[0], []string{"kick", "drop", "ban", "unban", "bans"}, ""))
	}
	if *offline && *connected {
		return q.usage("takes one of --offline and --connected")
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
	if !*all && !q.json {
		query.Set("local", "false")
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

// kickClients ends connections, with drop sessions too.
func kickClients(ctx context.Context, q *asker, drop bool, ids []string) int {
	what, query := "connection", ""
	if drop {
		what, query = "session", "?session=true"
	}
	if len(ids) == 0 {
		return q.usage("name the clients whose %s is to end", what)
	}
	code := exitDone
	for _, id := range ids {
		if _, err := q.get(ctx, "DELETE", "/api/v1/clients/"+url.PathEscape(id)+query, nil); err != nil {
			var p *api.Problem
			if errors.As(err, &p) && p.Status == 404 {
				p.Title += q.meant(ctx, id, false)
			}
			code = q.fail(err)
		} else {
			fmt.Fprintf(q.s.out, "%s: %s ended\n", printable(id), what)
		}
	}
	return code
}

// meant suggests a client for an identifier that the gateway does not know,
// with own also one of the gateway itself.
func (q *asker) meant(ctx context.Context, id string, own bool) string {
	asked, known := *q, api.Clients{}
	asked.json = false
	asked.get(ctx, "GET", "/api/v1/clients?limit=1000", &known) // else there is nothing to suggest
	var names []string
	for i := range known.Clients {
		if own || !known.Clients[i].Local {
			names = append(names, printable(known.Clients[i].ID))
		}
	}
	return didYouMean(id, names, "")
}

func banClients(ctx context.Context, q *asker, in bool, who url.Values, long time.Duration, ids []string) int {
	if len(ids) > 1 {
		return q.usage("takes one client")
	}
	if len(ids) == 1 {
		who.Set("client", ids[0])
	}
	switch {
	case who.Get("client")+who.Get("user")+who.Get("address") == "":
		return q.usage("name a client, --user or --address")
	case in && long == 0:
		return q.usage("--for is how long, as 10m; 'dunlin clients unban' ends a ban")
	}
	method, done := "DELETE", "may come back"
	if in {
		method, done = "POST", "kept out for "+span(long.Seconds())
		who.Set("for", strconv.FormatFloat(long.Seconds(), 'f', -1, 64))
	}
	if _, err := q.get(ctx, method, "/api/v1/bans?"+who.Encode(), nil); err != nil {
		return q.fail(err)
	}
	fmt.Fprintln(q.s.out, done)
	return exitDone
}

func listBans(ctx context.Context, q *asker, args []string) int {
	if len(args) > 0 {
		return q.usage("bans takes nothing more")
	}
	var all []api.Ban
	show, err := q.get(ctx, "GET", "/api/v1/bans", &all)
	if err == nil && show {
		rows := [][]string{{"CLIENT", "USER", "ADDRESS", "FOR"}}
		for _, b := range all {
			rows = append(rows, []string{printable(b.Client), printable(b.User), b.Address, span(b.For)})
		}
		err = writeTable(q.s.out, rows)
	}
	if err != nil {
		return q.fail(err)
	}
	return exitDone
}
