package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
publishes, how many are delivered to it; first what the gateway still knows of
before, even if the client is gone. With --topic it follows the messages
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
	err := q.known(ctx)
	if err == nil {
		err = q.trace(ctx, url.Values{"client": q.flags.Args(), "filter": {*filter}})
	}
	if ctx.Err() != nil {
		err = nil
	}
	if err != nil {
		return q.fail(err)
	}
	return exitDone
}

// known prints what happened to the client before.
func (q *asker) known(ctx context.Context) error {
	if q.flags.NArg() == 0 {
		return nil
	}
	asked, c, id := *q, api.Client{}, q.flags.Arg(0)
	asked.json = false
	_, err := asked.get(ctx, "GET", "/api/v1/clients/"+url.PathEscape(id), &c)
	var p *api.Problem
	if errors.As(err, &p) && p.Status == 404 {
		fmt.Fprintf(q.s.err, "No client %s is known yet%s\n", printable(id), q.meant(ctx, id, true))
		return nil
	}
	for i := 0; i < len(c.Events) && err == nil; i++ {
		e := &c.Events[i]
		if e.Count > 1 {
			e.Text += fmt.Sprintf(", %d times", e.Count)
		}
		var b []byte
		if b, err = json.Marshal(api.Traced{What: e.What, Text: e.Text, Time: float64(e.Time.UnixMilli()) / 1000}); err == nil {
			err = q.printTraced(b)
		}
	}
	return err
}

// trace prints the stream until ctx or the stream ends.
func (q *asker) trace(ctx context.Context, what url.Values) error {
	for k, v := range what {
		if len(v) == 0 || v[0] == "" {
			delete(what, k)
		}
	}
	over := false
	err := q.stream(ctx, "/api/v1/trace?"+what.Encode(), func(data []byte) error {
		var all []json.RawMessage
		err := json.Unmarshal(data, &all)
		over = bytes.Contains(data, []byte(`"what":"end"`))
		for i := 0; i < len(all) && err == nil; i++ {
			err = q.printTraced(all[i])
		}
		return err
	})
	if err == nil && !over {
		err = errors.New("the gateway has ended the trace: it stops, or you may no longer look")
	}
	return err
}

// stream gives the data of server-sent events to take until ctx or the stream
// ends.
func (q *asker) stream(ctx context.Context, target string, take func(data []byte) error) error {
	r, err := q.ask(ctx, "GET", target)
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
		_, err := fmt.Fprintf(onTerminal(q.s.out), "%s\n", one)
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
	at, layout := time.UnixMilli(int64(t.Time*1000)), "15:04:05.000"
	if time.Since(at) > 12*time.Hour {
		layout = "Jan 02 15:04"
	}
	_, err := fmt.Fprintf(q.s.out, "%s  %-12s %s\n", at.Format(layout), t.What, strings.TrimSpace(printable(text)))
	return err
}
