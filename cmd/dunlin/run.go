package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/lines"
	"github.com/dunlin-mqtt/dunlin/config"
)

// runRun is `dunlin run`.
func runRun(ctx context.Context, args []string, s streams) int {
	fs := flags.New("run")
	file := fs.StringP("config", "c", "", "configuration `file`")
	var set []string
	fs.StringArrayVarP(&set, "set", "", nil, "`key=value` over what the file says; may be repeated")
	test := fs.BoolP("test", "t", false, "only check the configuration")
	if code, done := parseFlags(fs, args, s, helpRun(fs)); done {
		return code
	}
	if fs.NArg() > 0 {
		return usageError(s, "run", "takes no arguments; the configuration file is named with -c")
	}
	for _, v := range set {
		if key, _, ok := strings.Cut(v, "="); !ok || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" {
			return usageError(s, "run", "--set takes key=value, as mqtt.limits.connections=50")
		}
	}
	if *test {
		return testRun(ctx, *file, set, s)
	}
	cfg, code := loadForRun(*file, s, set...)
	if cfg == nil {
		return code
	}
	var kept lines.Ring
	log, levels, calm := newLogger(cfg.Log, s.err, &kept)
	defer calm()
	if cfg.File == "" {
		log.Info("no configuration found: serving this machine only; 'sudo dunlin init' opens it to others", "bind", cfg.MQTT.Listeners[0].Bind)
	}
	g, err := wire(cfg, deps{log: log, lines: &kept, levels: levels, control: true, memory: limitMemory(cfg.Memory, log)})
	if err != nil {
		return startError(err, s)
	}
	stop := reloadOnHangup(g, log)
	defer stop()
	log.Info("dunlin starts", "version", readVersion().Version, "node", cfg.Node, "devices", len(cfg.Devices), "bridges", len(cfg.Bridges))
	if err := g.Run(ctx); err != nil {
		log.Error("dunlin failed", "err", err)
		return exitFailed
	}
	log.Info("dunlin stopped")
	return exitDone
}

// testRun checks what run would carry out.
func testRun(ctx context.Context, flag string, set []string, s streams) int {
	path, found := configPath(flag)
	if !found {
		return runCheck(ctx, nil, s) // which says where it looked
	}
	r := checkFile(path, set...)
	if err := r.print(s, false); err != nil {
		return exitFailed
	}
	if !r.Valid {
		return exitConfig
	}
	return exitDone
}

func helpRun(fs *flags.Set) func(io.Writer) {
	return func(w io.Writer) {
		fmt.Fprint(w, `Usage: dunlin run [-c FILE] [-t] [--set KEY=VALUE]...

Runs the gateway in the foreground and logs to standard error. SIGTERM stops
it: outputs go to their on_stop state, devices offline, bridges get up to two
seconds to send what waits. SIGHUP reloads the configuration, as 'dunlin
reload'. Without -c, $DUNLIN_CONFIG, /etc/dunlin/dunlin.yaml and
./dunlin.yaml are tried; without any of them, only this machine is served.

Flags:
`, fs.FlagUsages(), `
Examples:
  dunlin run -c barn.yaml
  dunlin run -t -c barn.yaml     only check it, as 'dunlin check barn.yaml'
  dunlin run -c barn.yaml --set mqtt.limits.connections=50 --set log.level=debug

Exit codes: 0 stopped, 1 failed, or stopped while the disk refused to keep what
was in memory, 2 wrong usage, 3 invalid configuration.
`)
	}
}

// loadForRun loads and checks the configuration; nil with an exit code when
// it must not run.
func loadForRun(flag string, s streams, set ...string) (*config.Config, int) {
	path, found := configPath(flag)
	if !found {
		if len(set) > 0 {
			return nil, usageError(s, "run", "--set needs a configuration: -c FILE")
		}
		return config.Default(tables()), exitDone
	}
	r := checkFile(path, set...)
	for _, list := range []config.Errors{r.warnings, r.errors} {
		if err := list.Print(s.err); err != nil {
			return nil, exitFailed
		}
	}
	if !r.Valid {
		fmt.Fprintln(s.err, r.errors.Summary(r.File))
		return nil, exitConfig
	}
	return r.config, exitDone
}

// startError tells why the parts could not be made. Mistakes of the
// configuration are those that a restart cannot cure.
func startError(err error, s streams) int {
	var errs config.Errors
	if errors.As(err, &errs) {
		if errs.Print(s.err) == nil {
			return exitConfig
		}
	}
	fmt.Fprintf(s.err, "dunlin run: %v\n", err)
	return exitFailed
}
