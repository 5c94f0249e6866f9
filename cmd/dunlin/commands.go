package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

// command is one row of the command table; help is made from it.
type command struct {
	group   string
	name    string
	summary string
	run     func(ctx context.Context, args []string, s streams) int
}

// commands returns the table, in the order of the overview.
func commands() []command {
	return []command{
		{"Start", "demo", "try it: simulated sensors and a cloud that comes and goes", runDemo},
		{"Start", "init", "write a configuration for this machine", runInit},
		{"Start", "check", "test the configuration and say what to fix", runCheck},
		{"Start", "scan", "what hardware is there, as a list or a configuration", runScan},
		{"Start", "run", "run the gateway", runRun},
		{"Start", "service", "install, remove or show the systemd service", runService},
		{"Look", "status", "one page about the running gateway", runStatus},
		{"Look", "top", "the same, live", runTop},
		{"Look", "clients", "who is connected or has a session; end connections", runClients},
		{"Look", "topics", "what is retained, level by level; clear it", runTopics},
		{"Look", "trace", "follow one client, or the messages of a topic, for five minutes", runTrace},
		{"Look", "sub", "show messages, as mosquitto_sub", runSub},
		{"Look", "pub", "publish messages, as mosquitto_pub", runPub},
		{"Look", "read", "read one device without the gateway, to the bytes on its bus", runRead},
		{"Look", "doctor", "find out what is wrong", runDoctor},
		{"Care", "bridge", "links to other servers: test, pause, spool, dead letters", runBridge},
		{"Care", "reload", "apply the changed configuration", runReload},
		{"Care", "update", "install a signed update of dunlin's image", runUpdate},
		{"Care", "passwd", "users and passwords, as mosquitto_passwd", runPasswd},
		{"Care", "store", "look into a data_dir: check, show, export", runStore},
		{"Care", "backup", "write what the running gateway keeps to a file", runBackup},
		{"Care", "restore", "put a backup into a data_dir", runRestore},
		{"Care", "bench", "load a server and measure loss and latency", runBench},
		{"Care", "import", "make a configuration from a mosquitto.conf", runImport},
		{"Other", "config", "show what is carried out; schema, reference", runConfig},
		{"Other", "explain", "why a user may do something, where a topic goes, what a key is for", runExplain},
		{"Other", "completion", "completion for bash, zsh and fish", runCompletion},
		{"Other", "version", "show version, revision and platform", runVersion},
		{"Other", "help", "show this overview, or the help of a command", runHelp},
	}
}

func findCommand(name string) (command, bool) {
	if name == "validate" {
		name = "check" // the name that other programs use
	}
	for _, c := range commands() {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}

func dispatch(ctx context.Context, args []string, s streams) int {
	if len(args) == 0 {
		overview(s.out)
		return exitDone
	}
	args = commandFirst(args)
	name := args[0]
	switch name {
	case "--help", "-h":
		name = "help"
	case "--version":
		name = "version"
	case "__complete":
		return complete(ctx, args[1:], s)
	}
	if c, ok := findCommand(name); ok {
		return c.run(ctx, args[1:], s)
	}
	return unknownCommand(s, name)
}

func unknownCommand(s streams, name string) int {
	if strings.HasPrefix(name, "-") {
		fmt.Fprintf(s.err, "dunlin: flag %s needs a command before it\n", name)
	} else {
		var names []string
		for _, c := range commands() {
			names = append(names, c.name)
		}
		fmt.Fprintf(s.err, "dunlin: unknown command %q%s\n", name, didYouMean(name, names, ""))
	}
	fmt.Fprintln(s.err, "Run 'dunlin help' to see the commands.")
	return exitUsage
}

// parseFlags parses args into fs, whose name is the command's. When done is
// true the command is over, with code: help was shown or the usage was wrong.
func parseFlags(fs *flags.Set, args []string, s streams, help func(io.Writer)) (code int, done bool) {
	color, quiet := fs.String("color", "auto", "`when` to color: auto (on a terminal), always, never"), new(bool)
	if fs.Lookup("quiet") == nil {
		letter := "q"
		if fs.ShorthandLookup(letter) != nil {
			letter = ""
		}
		quiet = fs.BoolP("quiet", letter, false, "show no progress")
	}
	err := fs.Parse(args)
	if err == nil {
		err = inEnvironment(*color, *quiet)
	}
	switch {
	case err == nil:
		return 0, false
	case errors.Is(err, flags.ErrHelp):
		help(s.out)
		return exitDone, true
	}
	return usageError(s, fs.Name(), describeFlagError(fs, err)), true
}

// commandFirst puts the flags that every command has, and that stand before it,
// behind it.
func commandFirst(args []string) []string {
	n := 0
	for n < len(args) && strings.HasPrefix(args[n], "-") {
		name, _, joined := strings.Cut(args[n], "=")
		switch {
		case name == "-q" || name == "--quiet":
		case strings.Contains(" --color --config --socket -c ", " "+name+" "):
			if !joined {
				n++
			}
		default:
			return args // help, version, or nothing that belongs here
		}
		n++
	}
	if n == 0 || n >= len(args) {
		return args
	}
	all := append([]string{args[n]}, args[:n]...)
	for i := range all {
		if all[i] == "-q" {
			all[i] = "--quiet" // -q is another flag of sub and pub
		}
	}
	return append(all, args[n+1:]...)
}

// inEnvironment has the choice of colors where it would be anyway, for this
// process and those that it starts: no-color.org, bixense.com/clicolors.
func inEnvironment(color string, quiet bool) error {
	name := ""
	switch color {
	case "auto":
	case "always":
		name = "CLICOLOR_FORCE"
	case "never":
		name = "NO_COLOR"
	default:
		return fmt.Errorf("--color %s: auto, always or never", color)
	}
	if name != "" {
		os.Setenv(name, "1") // a name that can be set
	}
	if quiet {
		os.Setenv("DUNLIN_QUIET", "1")
	}
	return nil
}

// usageError reports wrong usage and returns its exit code.
func usageError(s streams, name, msg string) int {
	fmt.Fprintf(onTerminal(s.err), "dunlin %s: %s\nRun 'dunlin %s --help' to see flags and examples.\n", name, msg, name)
	return exitUsage
}

func describeFlagError(fs *flags.Set, err error) string {
	var unknown *flags.UnknownError
	if !errors.As(err, &unknown) {
		return err.Error()
	}
	return err.Error() + didYouMean(unknown.Name, fs.Names(), "--")
}

// isTerminal reports whether w is a terminal. A character device that is not
// the null device is close enough, and needs no system call of its own.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
