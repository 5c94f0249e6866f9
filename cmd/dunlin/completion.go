package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const completionHelp = `Usage: dunlin completion bash|zsh|fish

Writes what a shell needs to complete commands, topics, clients and bridges:
the latter from the running gateway, if there is one.

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
		"bash": "complete -C 'dunlin __complete' dunlin\n",
		"zsh":  "autoload -U +X bashcompinit && bashcompinit\ncomplete -C 'dunlin __complete' dunlin\n",
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
		candidates = fromGateway(ctx, words[1], word, s)
	}
	for _, c := range candidates {
		if strings.HasPrefix(c, word) {
			fmt.Fprintln(s.out, c)
		}
	}
	return exitDone
}

// fromGateway asks the running gateway for what a word of a command may be;
// nothing if none runs.
func fromGateway(ctx context.Context, command, word string, s streams) (candidates []string) {
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
	case "clients":
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
	}
	return candidates
}
