package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const completionHelp = `Usage: dunlin completion bash|zsh|fish

Writes what a shell needs to complete commands, their words and flags, topics,
clients and bridges: the latter from the running gateway, if there is one.

Examples:
  dunlin completion bash | sudo tee /etc/bash_completion.d/dunlin
  source <(dunlin completion zsh)
`

func runCompletion(_ context.Context, args []string, s streams) int {
	fs := flags.New("completion")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, completionHelp, fs) }); done {
		return code
	}
	shells := map[string]string{
		"bash": "complete -o default -C 'dunlin __complete' dunlin\n",
		"zsh":  "autoload -U +X bashcompinit && bashcompinit\ncomplete -o default -C 'dunlin __complete' dunlin\n",
		"fish": "complete -c dunlin -f -a '(COMP_LINE=(commandline -cp) dunlin __complete dunlin (commandline -ct))'\n",
	}
	text, ok := shells[fs.Arg(0)]
	if !ok || fs.NArg() != 1 {
		return usageError(s, "completion", "takes bash, zsh or fish")
	}
	fmt.Fprint(s.out, text)
	return exitDone
}

// completeIn is how long completion may wait for the gateway.
const completeIn = time.Second

// complete is what the shell calls with the command, the word to complete and
// the one before it, and the line in COMP_LINE; it writes candidates.
func complete(ctx context.Context, args []string, s streams) int {
	if len(args) < 2 {
		return exitUsage
	}
	words, word := strings.Fields(os.Getenv("COMP_LINE")), args[1]
	var candidates []string
	switch {
	case len(words) < 2 || len(words) == 2 && word != "":
		for _, c := range commands() {
			candidates = append(candidates, c.name)
		}
	case words[1] == "help":
		for _, c := range commands() {
			candidates = append(candidates, c.name)
		}
	default:
		ctx, cancel := context.WithTimeout(ctx, completeIn)
		defer cancel()
		if word != "" {
			words = words[:len(words)-1]
		}
		begins := func(c string) bool { return strings.HasPrefix(c, word) }
		candidates = fromHelp(ctx, words[1:], strings.HasPrefix(word, "-"))
		if !slices.ContainsFunc(candidates, begins) {
			candidates = fromGateway(ctx, words[1], word)
		}
	}
	for _, c := range candidates {
		if strings.HasPrefix(c, word) {
			fmt.Fprintln(s.out, c)
		}
	}
	return exitDone
}

// fromHelp finds in the help of a command the flags, or the words that its
// usage has after those that are there.
func fromHelp(ctx context.Context, words []string, flags bool) (candidates []string) {
	c, ok := findCommand(words[0])
	if !ok {
		return nil
	}
	var help strings.Builder
	c.run(ctx, []string{"--help"}, streams{out: &help, err: io.Discard})
	usage := true
	for line := range strings.Lines(help.String()) {
		fields := strings.Fields(strings.TrimPrefix(line, "Usage:"))
		usage = usage && len(fields) > 0
		switch {
		case flags && strings.HasPrefix(line, "  ") && strings.HasPrefix(strings.TrimSpace(line), "-"):
			for _, f := range fields[:min(2, len(fields))] {
				if strings.HasPrefix(f, "--") {
					candidates = append(candidates, f)
				}
			}
		case !flags && usage && len(fields) > len(words)+1 && follows(fields[1:], words):
			if next := fields[len(words)+1]; isWord(next) {
				candidates = append(candidates, strings.Split(strings.TrimSuffix(next, "]"), "|")...)
			}
		}
	}
	slices.Sort(candidates)
	return slices.Compact(candidates)
}

// isWord reports whether a field of a usage is written as it is.
func isWord(field string) bool { return field[0] >= 'a' && field[0] <= 'z' }

// follows reports whether a usage begins with these words.
func follows(usage, words []string) bool {
	for i, w := range words {
		if isWord(usage[i]) && !slices.Contains(strings.Split(usage[i], "|"), w) {
			return false
		}
	}
	return true
}

// fromGateway asks the running gateway for what a word of a command may be;
// nothing if none runs.
func fromGateway(ctx context.Context, command, word string) (candidates []string) {
	q := newAsker("complete", "", streams{out: io.Discard, err: io.Discard})
	switch command {
	case "sub", "pub", "topics":
		prefix := ""
		if i := strings.LastIndexByte(word, '/'); i > 0 {
			prefix = word[:i]
		}
		var page api.Topics
		q.get(ctx, "GET", "/api/v1/topics?prefix="+url.QueryEscape(prefix), &page) // no gateway, no candidates
		for _, t := range page.Topics {
			if candidates = append(candidates, t.Topic); t.Below > 0 {
				candidates = append(candidates, t.Topic+"/")
			}
		}
	case "clients", "trace":
		var page api.Clients
		q.get(ctx, "GET", "/api/v1/clients?limit=1000", &page)
		for _, c := range page.Clients {
			candidates = append(candidates, c.ID)
		}
	case "bridge":
		var all []api.Bridge
		q.get(ctx, "GET", "/api/v1/bridges", &all)
		for _, b := range all {
			candidates = append(candidates, b.Name)
		}
	case "read":
		var st api.Status
		q.get(ctx, "GET", "/api/v1/status", &st)
		for _, d := range st.Devices {
			candidates = append(candidates, d.Name)
		}
	}
	return candidates
}
