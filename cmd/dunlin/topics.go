package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

const topicsHelp = `Usage: dunlin topics [TOPIC] [--json]
       dunlin topics clear FILTER [-y]

Shows what is retained at a topic and one level below it, with the number of
topics that are deeper. clear takes away the retained messages that a filter
matches; without -y it only says which.

Examples:
  dunlin topics
  dunlin topics dunlin/barn-1
  dunlin topics clear 'old/#' -y
`

func runTopics(ctx context.Context, args []string, s streams) int {
	q := newAsker("topics", topicsHelp, s)
	q.jsonFlag()
	yes := q.flags.BoolP("yes", "y", false, "clear without looking first")
	if code, done := q.parse(args); done {
		return code
	}
	args = q.flags.Args()
	var err error
	switch {
	case len(args) == 2 && args[0] == "clear":
		err = clearTopics(ctx, q, args[1], *yes)
	case len(args) == 0:
		err = listTopics(ctx, q, "")
	case len(args) == 1 && args[0] != "clear":
		err = listTopics(ctx, q, strings.TrimSuffix(args[0], "/"))
	default:
		return q.usage("takes one topic, or clear and a filter")
	}
	if err != nil {
		return q.fail(err)
	}
	return exitDone
}

func listTopics(ctx context.Context, q *asker, prefix string) error {
	query := url.Values{"limit": {"1000"}, "prefix": {prefix}}
	for {
		var page api.Topics
		show, err := q.get(ctx, "GET", "/api/v1/topics?"+query.Encode(), &page)
		if err != nil || !show {
			return err
		}
		var rows [][]string
		for i := range page.Topics {
			t := &page.Topics[i]
			below, value := "", ""
			if t.Below > 0 {
				below = count(t.Below) + " below"
			}
			if t.Retained {
				value = printable(t.Payload)
				if t.Payload == "" {
					value = size(int64(t.Size))
				}
			}
			rows = append(rows, []string{printable(t.Topic), below, value})
		}
		if err := writeTable(q.s.out, rows); err != nil || page.Cursor == "" {
			return err
		}
		query.Set("cursor", page.Cursor)
	}
}

func clearTopics(ctx context.Context, q *asker, filter string, yes bool) error {
	target := "/api/v1/retained?filter=" + url.QueryEscape(filter)
	if !yes {
		target += "&dry_run=true"
	}
	var c api.Cleared
	show, err := q.get(ctx, "DELETE", target, &c)
	if err != nil || !show {
		return err
	}
	for _, t := range c.Topics {
		fmt.Fprintln(q.s.out, printable(t))
	}
	if more := c.Count - len(c.Topics); more > 0 {
		fmt.Fprintf(q.s.out, "and %s more\n", count(more))
	}
	if yes {
		_, err = fmt.Fprintf(q.s.out, "%s cleared\n", count(c.Count))
	} else {
		_, err = fmt.Fprintf(q.s.out, "%s would be cleared: add -y\n", count(c.Count))
	}
	return err
}
