package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

const traceHelp = `Usage: dunlin trace CLIENT [--json]
       dunlin trace --topic FILTER [--json]

Follows one client of the running gateway for five minutes: when it comes and
goes and why, what it subscribes to, what it may not do, the messages it
publishes, how many are delivered to it. With --topic it follows the messages
on topics that a filter matches. Payloads are not shown: that is 'dunlin sub'.
Ctrl-C ends it earlier.

Examples:
  dunlin trace esp-17
  dunlin trace --topic 'sensors/#' --for 30s
`

// maxTraced is the longest event of the stream: a second of a trace, in bytes.
const maxTraced = 4 << 20

func runTrace(ctx context.Context, args []string, s streams) int {
	q := newAsker("trace", traceHelp, s)
	q.jsonFlag()
	filter := q.flags.StringP("topic", "t", "", "follow the messages of a topic `filter`")
	span := q.flags.Duration("for", 5*time.Minute, "how long; five minutes at most")
	if code, done := q.parse(args); done {
		return code
	}
	if q.flags.NArg() > 1 || (q.flags.NArg() == 1) == (*filter != "") {
		return q.usage("takes one client, or --topic")
	}
	if *span <= 0 || *span > 5*time.Minute {
		return q.usage("--for is five minutes at most, as 30s")
	}
	ctx, cancel := context.WithTimeout(ctx, *span)
	defer cancel()
	err := q.trace(ctx, url.Values{"client": q.flags.Args(), "filter": {*filter}})
	if ctx.Err() != nil {
		err = nil
	}
	if err != nil {
		return q.fail(err)
	}
	return exitDone
}

// trace prints the stream until ctx or the stream ends.
func (q *asker) trace(ctx context.Context, what url.Values) error {
	for k, v := range what {
		if len(v) == 0 || v[0] == "" {
			delete(what, k)
		}
	}
	return q.stream(ctx, "/api/v1/trace?"+what.Encode(), func(data []byte) error {
		var all []json.RawMessage
		err := json.Unmarshal(data, &all)
		for i := 0; i < len(all) && err == nil; i++ {
			err = q.printTraced(all[i])
		}
		return err
	})
}

// stream gives the data of server-sent events to take until ctx or the stream
// ends.
func (q *asker) stream(ctx context.Context, target string, take func(data []byte) error) error {
	r, err := q.ask(ctx, "GET", target, nil)
	if err != nil {
		return err
	}
	scan := bufio.NewScanner(r.Body)
	scan.Buffer(nil, maxTraced)
	for scan.Scan() {
		if data, ok := bytes.CutPrefix(scan.Bytes(), []byte("data: ")); ok {
			if err := take(data); err != nil {
				return err
			}
		}
	}
	return scan.Err()
}

func (q *asker) printTraced(one json.RawMessage) error {
	if q.json {
		_, err := fmt.Fprintf(q.s.out, "%s\n", one)
		return err
	}
	var t api.Traced
	if err := json.Unmarshal(one, &t); err != nil {
		return err
	}
	text := t.Text
	if t.What == "message" {
		text = fmt.Sprintf("%s  from %s, %d bytes, QoS %d", t.Topic, t.From, t.Size, t.QoS)
		if t.Retain {
			text += ", retained"
		}
	}
	at := time.UnixMilli(int64(t.Time * 1000)).Format("15:04:05.000")
	_, err := fmt.Fprintf(q.s.out, "%s  %-12s %s\n", at, t.What, strings.TrimSpace(printable(text)))
	return err
}
