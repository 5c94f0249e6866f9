package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const storeHelp = `Usage: dunlin store check DIR [--json] [--repair]
       dunlin store show DIR [--json]
       dunlin store export DIR

Looks into a data_dir that no gateway uses. Nothing is changed, but by --repair.

  check    reads every file, and tells of damage
  show     lists sessions, queues and retained messages
  export   writes everything as JSON Lines, payloads included: it may hold secrets

Examples:
  dunlin store check /var/lib/dunlin
  dunlin store show --json /var/lib/dunlin | jq 'select(.messages > 1000)'
  dunlin store export /var/lib/dunlin > state.jsonl

Exit codes: 0 whole, 1 damaged or failed, 2 wrong usage, 4 cannot be opened: not
there, in use, or written by a newer version.
`

// storeJob is one run of `dunlin store`.
type storeJob struct {
	verb         string
	json, repair bool
	out          io.Writer
	lines        *json.Encoder
	tell         func(name string) // progress
}

func runStore(_ context.Context, args []string, s streams) int {
	fs := flags.New("store")
	out := onTerminal(s.out)
	j := &storeJob{out: out, lines: json.NewEncoder(out), tell: func(string) {}}
	fs.BoolVar(&j.json, "json", false, "print JSON Lines")
	fs.BoolVar(&j.repair, "repair", false, "check: write what can be read anew, keep damaged files as *.bad")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, storeHelp, fs) }); done {
		return code
	}
	if fs.NArg() != 2 {
		return usageError(s, "store", "takes check, show or export, and the data_dir")
	}
	j.verb = fs.Arg(0)
	switch verbs := []string{"check", "show", "export"}; {
	case j.verb != "check" && j.verb != "show" && j.verb != "export":
		return usageError(s, "store", fmt.Sprintf("unknown %q%s", j.verb, didYouMean(j.verb, verbs, "")))
	case j.repair && j.verb != "check":
		return usageError(s, "store", "--repair goes with check")
	}
	if isTerminal(s.err) {
		j.tell = func(name string) { fmt.Fprintf(s.err, "\r\x1b[K%s", name) }
	}
	code, err := j.run(fs.Arg(1))
	j.tell("")
	if err != nil {
		fmt.Fprintln(s.err, "dunlin store:", err)
	}
	return code
}

// run reads the directory and prints what was asked for.
func (j *storeJob) run(dir string) (code int, err error) {
	var files []broker.StoredFile
	state, err := broker.OpenStored(dir, func(f broker.StoredFile) {
		j.tell("read " + f.Name)
		files = append(files, f)
	})
	if err != nil {
		return exitUnreachable, err
	}
	defer state.Close()
	switch j.verb {
	case "show":
		err = j.show(state)
	case "export":
		err = j.export(state)
	default:
		j.tell("read what is spilled")
		if err = state.Verify(); err == nil && j.repair {
			err = state.Repair()
		}
		if err == nil {
			return j.check(dir, files, state)
		}
	}
	if err != nil {
		return exitFailed, err
	}
	return exitDone, nil
}

// storeFile is one file in JSON.
type storeFile struct {
	File     string `json:"file"`
	Use      string `json:"use"`
	Bytes    int64  `json:"bytes"`
	Records  int    `json:"records"`
	BadPages int    `json:"bad_pages"`
	Torn     int    `json:"torn_pages"`
}

// storeSummary is the last line of check in JSON.
type storeSummary struct {
	Dir      string `json:"dir"`
	Whole    bool   `json:"whole"`
	Repaired bool   `json:"repaired"`
	Records  int    `json:"records"`
	Missing  int    `json:"missing_records"`
	BadPages int    `json:"bad_pages"`
	Spill    int    `json:"bad_pages_spilled"` // of BadPages
	Torn     int    `json:"torn_pages"`
	storeCounts
}

// storeCounts says how much there is.
type storeCounts struct {
	Sessions int   `json:"sessions"`
	Queues   int   `json:"queues"`
	Messages int   `json:"messages"`
	Bytes    int64 `json:"message_bytes"`
	Retained int   `json:"retained"`
}

func storedCounts(state *broker.Stored) (c storeCounts) {
	c.Retained = len(state.Retained)
	for name, l := range state.Lines {
		switch {
		case strings.HasPrefix(name, "\x00"):
			c.Queues++
		case l.Kept:
			c.Sessions++
		}
		messages, bytes := state.Amount(name)
		c.Messages, c.Bytes = c.Messages+messages, c.Bytes+bytes
	}
	return c
}

// check prints what each file is and whether all of it can be read.
func (j *storeJob) check(dir string, files []broker.StoredFile, state *broker.Stored) (code int, err error) {
	r := &state.Report
	sum := storeSummary{Dir: dir, Whole: r.BadPages == 0 && r.Missing == 0, Repaired: j.repair,
		Records: r.Records, Missing: r.Missing, BadPages: r.BadPages, Spill: state.SpillDamage, Torn: r.Torn, storeCounts: storedCounts(state)}
	if !sum.Whole && !j.repair {
		code = exitFailed
	}
	if j.json {
		for _, f := range files {
			if err := j.lines.Encode(storeFile{f.Name, string(f.Use), f.Size, f.Records, f.Bad, f.Torn}); err != nil {
				return exitFailed, err
			}
		}
		return code, j.lines.Encode(sum)
	}
	for _, f := range files {
		text := fmt.Sprintf("%-28s %9s  %s", f.Name, size(f.Size), f.Use)
		if f.Records > 0 {
			text += fmt.Sprintf(", records: %d", f.Records)
		}
		if f.Bad > 0 {
			text += fmt.Sprintf(", bad pages: %d", f.Bad)
		}
		if f.Torn > 0 {
			text += fmt.Sprintf(", pages of a write that was cut off: %d", f.Torn)
		}
		fmt.Fprintln(j.out, text)
	}
	verdict := "whole"
	if !sum.Whole {
		verdict = fmt.Sprintf("damaged: bad pages: %d, records that are missing: %d", r.BadPages, r.Missing)
	}
	_, err = fmt.Fprintf(j.out, "%s is %s\nsessions: %d, queues: %d, messages: %d (%s), retained: %d\n",
		dir, verdict, sum.Sessions, sum.Queues, sum.Messages, size(sum.Bytes), sum.Retained)
	if sum.Spill > 0 {
		fmt.Fprintf(j.out, "bad pages of *.spill: %d; queues pass over them, and keep the file as *.bad then\n", sum.Spill)
	}
	switch {
	case r.BadPages == sum.Spill && r.Missing == 0: // nothing else
	case j.repair:
		fmt.Fprintln(j.out, "what could be read was written anew; damaged files are kept as *.bad")
	default:
		fmt.Fprintln(j.out, "= --repair writes what can be read anew and keeps damaged files as *.bad, as a start does")
	}
	return code, err
}
