package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
)

const statusHelp = `Usage: dunlin status [--json] [--check]

Shows the running gateway on one page: devices, the broker, what waits for
other servers, and what a person should look at.

--check prints one line and exits as Nagios and its like expect: 0 all is well,
1 something needs attention, 2 the gateway does not run or keeps nothing,
3 unknown. Messages that a bridge lost need it for a day.

Examples:
  dunlin status
  dunlin status --json | jq .bridges
  dunlin status --check || mail -s dunlin admin@example.com
`

func runStatus(ctx context.Context, args []string, s streams) int {
	q := newAsker("status", statusHelp, s)
	q.jsonFlag()
	check := q.flags.Bool("check", false, "one line, and an exit code for monitoring")
	if code, done := q.parse(args); done {
		return code
	}
	if q.flags.NArg() > 0 {
		return q.usage("takes no arguments")
	}
	var st api.Status
	show, err := q.get(ctx, "GET", "/api/v1/status", &st)
	if *check {
		return checkStatus(s, &st, err)
	}
	if err == nil && show {
		err = writeStatus(s.out, &st)
	}
	if err != nil {
		return q.fail(err)
	}
	return exitDone
}

// checkStatus answers a monitoring system.
func checkStatus(s streams, st *api.Status, err error) int {
	const warning, critical, unknown = 1, 2, 3
	var gone *unreachable
	switch {
	case errors.As(err, &gone) && !errors.Is(err, fs.ErrPermission):
		fmt.Fprintln(s.out, "CRITICAL:", err)
		return critical
	case err != nil:
		fmt.Fprintln(s.out, "UNKNOWN:", err)
		return unknown
	case st.Store.Mode == "degraded":
		fmt.Fprintln(s.out, "CRITICAL:", strings.Join(st.Attention, "; "))
		return critical
	case len(st.Attention) > 0:
		fmt.Fprintln(s.out, "WARNING:", strings.Join(st.Attention, "; "))
		return warning
	}
	fmt.Fprintf(s.out, "OK: %s, %d clients, up %s\n", st.Node, st.Broker.Clients, span(st.Uptime))
	return exitDone
}

// writeStatus draws the page.
func writeStatus(w io.Writer, st *api.Status) error {
	if _, err := fmt.Fprintln(w, headLine(st)+"\n\n"+pathLine(st)); err != nil {
		return err
	}
	if len(st.Devices) > 0 {
		fmt.Fprintln(w)
		if err := writeTable(w, deviceRows(st.Devices)); err != nil {
			return err
		}
	}
	if len(st.Bridges) > 0 {
		fmt.Fprintln(w)
		if err := writeTable(w, bridgeRows(st.Bridges)); err != nil {
			return err
		}
	}
	for i, line := range st.Attention {
		if i == 0 {
			fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintln(w, "! "+line); err != nil {
			return err
		}
	}
	if len(st.Attention) > 0 {
		_, err := fmt.Fprintln(w, "  'dunlin doctor' says what to do")
		return err
	}
	return nil
}

// pathLine is the way of a value: where it is broken, there is the trouble.
func pathLine(st *api.Status) string {
	line := ""
	if n := len(st.Devices); n > 0 {
		good := 0
		for _, d := range st.Devices {
			if d.State == "online" {
				good++
			}
		}
		line = fmt.Sprintf("Sensors %d/%d good ──▶ ", good, n)
	}
	line += fmt.Sprintf("Broker %d clients, %s in, %s out", st.Broker.Clients, rate(st.Broker.ReceivedRate), rate(st.Broker.SentRate))
	for i, b := range st.Bridges {
		if i > 0 {
			line += "\n" + strings.Repeat(" ", 8)
		}
		wire := "──▶"
		if b.State != "up" {
			wire = "──✕──▶"
		}
		line += fmt.Sprintf(" ──▶ Spool %s %s %s %s", count(b.Waiting), wire, b.Name, strings.ToUpper(b.State))
		if b.State != "up" {
			line += " " + span(b.Since)
		}
	}
	return line
}

// headLine says which gateway this is, and how it fares.
func headLine(st *api.Status) string {
	head := fmt.Sprintf("%s   dunlin %s   up %s   %s   cpu %.0f %%", st.Node, st.Version, span(st.Uptime), size(st.Memory), 100*st.CPU/max(st.Uptime, 1))
	if len(st.Attention) > 0 {
		head += fmt.Sprintf("          ATTENTION: %d", len(st.Attention))
	}
	return head
}

func deviceRows(all []api.Device) [][]string {
	rows := [][]string{{"DEVICE", "DRIVER", "READING", "AGE", "STATE"}}
	for i := range all {
		rows = append(rows, deviceRow(&all[i]))
	}
	return rows
}

func deviceRow(d *api.Device) []string {
	const wide = 48
	text := ""
	for i := range d.Values {
		if text += "  " + reading(&d.Values[i]); len(text) > wide && i < len(d.Values)-1 {
			text += "  …" // 'dunlin sub' shows them all
			break
		}
	}
	state := d.State
	if why := reasonOf(d); why != "" {
		state += ": " + why
	}
	if text == "" {
		text = "-"
	}
	return []string{d.Name, d.Driver, strings.TrimSpace(text), span(d.Age), printable(state)}
}

// reasonOf is why a device is not online; its error begins with the reason as
// a rule.
func reasonOf(d *api.Device) string {
	if d.Error == "" || strings.HasPrefix(d.Error, d.Reason) {
		return cmp.Or(d.Error, d.Reason)
	}
	return d.Reason + ": " + d.Error
}

// reading words a value as JSON brought it.
func reading(v *api.Value) string {
	n, number := v.Value.(float64)
	switch {
	case number && v.Unit == "B":
		return size(int64(n))
	case number && v.Unit == "s":
		return span(n)
	case number:
		return strings.TrimSpace(strconv.FormatFloat(n, 'f', -1, 64) + " " + v.Unit)
	}
	return printable(strings.TrimSpace(fmt.Sprint(v.Value) + " " + v.Unit))
}

func bridgeRows(all []api.Bridge) [][]string {
	rows := [][]string{{"BRIDGE", "STATE", "WAITING", "SIZE", "OLDEST", "DROPPED", "LAST ERROR"}}
	for i := range all {
		rows = append(rows, bridgeRow(&all[i]))
	}
	return rows
}

func bridgeRow(b *api.Bridge) []string {
	state, oldest := b.State+" "+span(b.Since), "-"
	if b.State == "up" && b.RTT > 0 {
		state += ", " + span(b.RTT)
	}
	if b.Paused {
		state += ", paused"
	}
	if b.Waiting > 0 {
		oldest = span(b.Oldest)
	}
	fault := "-"
	if b.Reason != "" {
		fault = b.Class + ": " + b.Reason
	}
	return []string{b.Name, state, count(b.Waiting), size(b.Bytes), oldest, count(b.Dropped), printable(fault)}
}
