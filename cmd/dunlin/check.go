package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

const checkHelp = `Usage: dunlin check [FILE...] [--connect | --json]

Tests configuration files and reports every problem at once, each with its
place and what to do, also in the files they name: users, rules, certificates.
No hardware, socket or data is touched, but --connect goes the way to the servers
of each bridge, as 'dunlin bridge test' does of a running gateway. Without FILE it tests the file that
'dunlin run' would use: -c, $DUNLIN_CONFIG, /etc/dunlin/dunlin.yaml,
./dunlin.yaml.

Problems go to standard error in the form file:line:col: error: message.

Examples:
  dunlin check
  dunlin check /etc/dunlin/dunlin.yaml
  dunlin check --connect barn.yaml
  dunlin check --json site-*.yaml

Exit codes: 0 valid, 2 wrong usage, 3 invalid; with --connect 4 if a server is
not reached, 5 if one refuses.
`

func runCheck(ctx context.Context, args []string, s streams) int {
	fs := flags.New("check")
	named := fs.StringP("config", "c", "", "configuration `FILE`")
	asJSON := fs.Bool("json", false, "print one JSON object a file")
	connect := fs.Bool("connect", false, "try the servers of bridges")
	code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, checkHelp, fs) })
	if done {
		return code
	}
	if *connect && *asJSON {
		return usageError(s, "check", "takes one of --connect and --json")
	}
	files := fs.Args()
	if *named != "" {
		files = append(files, *named)
	}
	if len(files) == 0 {
		path, found := configPath("")
		if !found {
			fmt.Fprintln(s.err, "dunlin check: no configuration: neither $DUNLIN_CONFIG nor /etc/dunlin/dunlin.yaml nor ./dunlin.yaml exists")
			return exitConfig
		}
		files = []string{path}
	}
	for _, file := range files {
		r := checkFile(file)
		if err := r.print(s, *asJSON); err != nil {
			fmt.Fprintln(s.err, "dunlin check:", err)
			return exitFailed
		}
		if !r.Valid {
			code = exitConfig
		} else if *connect {
			code = cmp.Or(code, connectBridges(ctx, r.config, s))
		}
	}
	return code
}

// connectBridges tries the way to the servers of each bridge, with nothing to
// carry.
func connectBridges(ctx context.Context, cfg *config.Config, s streams) (code int) {
	for i := range cfg.Bridges {
		bc := &cfg.Bridges[i]
		o := bridgeOptions(cfg, bc)
		o.Out, o.In, o.ClockSynced = nil, nil, sensors.ClockSynced
		o.Signer, _ = bridgeSigner(bc) // check has found that it can sign
		b, err := bridge.New(o)
		if err != nil {
			fmt.Fprintf(s.err, "dunlin check: bridge %s: %v\n", bc.Name, err)
			return exitFailed
		}
		p := api.TestBridge(ctx, b)
		p.Steps = p.Steps[1:] // the routes that it has not
		fmt.Fprintf(s.out, "bridge %s\n", bc.Name)
		if err := writeProbe(s.out, &p); err != nil {
			fmt.Fprintln(s.err, "dunlin check:", err)
			return exitFailed
		}
		if !p.OK {
			failed, cure := probeFailed(&p)
			fmt.Fprintf(s.err, "dunlin check: bridge %s: %v\n", bc.Name, cure)
			code = cmp.Or(code, failed)
		}
	}
	return code
}

// checkReport is the result for one file, and its JSON form.
type checkReport struct {
	File      string    `json:"file"`
	Valid     bool      `json:"valid"`
	Node      string    `json:"node,omitempty"`
	Listeners int       `json:"listeners"`
	Devices   int       `json:"devices"`
	Bridges   int       `json:"bridges"`
	Problems  []problem `json:"problems"`

	errors, warnings config.Errors
	config           *config.Config
}

// problem is one finding in JSON.
type problem struct {
	Severity string `json:"severity"` // error or warning
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Path     string `json:"path,omitempty"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

func checkFile(file string, set ...string) checkReport {
	cfg, errs := config.LoadFile(file, tables(), os.LookupEnv, set...)
	return checkLoaded(file, cfg, errs)
}

// checkText checks what would stand in the place of the running configuration.
func (g *gateway) checkText(text []byte) api.Checked {
	name := cmp.Or(g.started.File, "dunlin.yaml")
	cfg, errs := config.Load(name, text, tables(), os.LookupEnv)
	r := checkLoaded(name, cfg, errs)
	var b strings.Builder
	for _, list := range []config.Errors{r.warnings, r.errors} {
		list.Print(&b) // a Builder takes everything
	}
	if !r.Valid {
		b.WriteString(r.errors.Summary(name) + "\n")
	}
	return api.Checked{Valid: r.Valid, Text: b.String()}
}

func checkLoaded(file string, cfg *config.Config, errs config.Errors) checkReport {
	r := checkReport{File: file, Problems: []problem{}, errors: errs}
	if len(errs) == 0 {
		r.Node, r.Listeners = cfg.Node, len(cfg.MQTT.Listeners)
		r.Devices, r.Bridges = len(cfg.Devices), len(cfg.Bridges)
		r.warnings = slices.Concat(cfg.Loops(), cfg.Unreached(), cfg.Outdone(), cfg.Ports(), unfitClasses(cfg), openKeys(cfg), cfg.OpenFiles(), expired(cfg), cfg.Wills())
		_, r.errors = makeDevices(cfg)
		_, wrong := makeAuth(cfg, os.Geteuid() == 0)
		r.errors = append(append(append(r.errors, wrong...), tlsFaults(cfg)...), cfg.Runnable()...)
		r.errors = append(r.errors, checkProfiles(cfg)...)
		r.config = cfg
	}
	r.Valid = len(r.errors) == 0
	for _, list := range []config.Errors{r.errors, r.warnings} {
		for _, e := range list {
			severity := "error"
			if e.Warning {
				severity = "warning"
			}
			r.Problems = append(r.Problems, problem{severity, e.File, e.Line, e.Column, e.Path, e.Msg, e.Hint})
		}
	}
	return r
}

func (r *checkReport) print(s streams, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(s.out).Encode(r)
	}
	for _, list := range []config.Errors{r.warnings, r.errors} {
		if err := list.Print(s.err); err != nil {
			return err
		}
	}
	if !r.Valid {
		_, err := fmt.Fprintln(s.err, r.errors.Summary(r.File))
		return err
	}
	_, err := fmt.Fprintf(s.out, "%s is valid: node %s, %s\n", r.File, r.Node, r.digest())
	return err
}

// digest says what the file holds: "1 listener, 4 devices, 0 bridges".
func (r *checkReport) digest() string {
	count := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	parts := []string{count(r.Listeners, "listener"), count(r.Devices, "device"), count(r.Bridges, "bridge")}
	return strings.Join(parts, ", ")
}
