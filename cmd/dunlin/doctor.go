package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
)

const doctorHelp = `Usage: dunlin doctor [-c FILE] [--json] [--bundle FILE]

Looks at the configuration, this machine and the running gateway, and says for
everything that is wrong why it matters and what cures it. --bundle writes what
somebody who helps needs to know, without secrets and payloads.

Examples:
  dunlin doctor
  sudo dunlin doctor --bundle report.txt

Exit codes: 0 nothing found, 1 something found.
`

// doctor looks for trouble. It changes nothing but that it tries to write into
// data_dir.
type doctor struct {
	root   string // "/" but in tests: where /proc, /sys, /dev and /etc are
	cfg    *config.Config
	status *api.Status // nil: no gateway answers
	silent error       // why not
	found  []api.Finding
	nodes  []string // device files that were found missing, or not to be used
}

// add adds a finding; why may be "".
func (d *doctor) add(check, why, cure, what string, args ...any) {
	if strings.Contains(cure, "ctl") && !hasSystemd(d.root) {
		cure += "; systemd does not run this machine: use what does"
	}
	d.found = append(d.found, api.Finding{Check: check, What: fmt.Sprintf(what, args...), Why: why, Cure: cure})
}

// checkup is every check in order; each adds what it finds.
var checkup = []struct {
	name string
	look func(*doctor, context.Context)
}{
	{"clock", (*doctor).clock}, {"power", (*doctor).power}, {"memory", (*doctor).memory}, {"card", (*doctor).card},
	{"disk", (*doctor).disk}, {"files", (*doctor).files}, {"ports", (*doctor).ports}, {"brokers", (*doctor).brokers},
	{"hardware", (*doctor).hardware}, {"certificates", (*doctor).certificates}, {"bridges", (*doctor).bridges}, {"gateway", (*doctor).gateway},
}

func runDoctor(ctx context.Context, args []string, s streams) int {
	q := newAsker("doctor", doctorHelp, s)
	q.jsonFlag()
	bundle := q.flags.String("bundle", "", "write a report to this `file`")
	if code, done := q.parse(args); done {
		return code
	}
	if q.flags.NArg() > 0 {
		return q.usage("takes no arguments")
	}
	if ext := filepath.Ext(*bundle); ext != "" && strings.Contains(".gz .tgz .tar .zip .xz .zst", ext) {
		return q.usage("the report is plain text, not %s: --bundle report.txt", ext)
	}
	d := &doctor{root: "/"}
	d.configuration(q.config)
	asked := *q
	asked.json = false
	st := new(api.Status)
	if _, d.silent = asked.get(ctx, "GET", "/api/v1/status", st); d.silent == nil {
		d.status = st
	}
	if d.cfg != nil {
		for _, c := range checkup {
			c.look(d, ctx)
		}
	}
	var err error
	switch {
	case *bundle != "":
		err = d.writeBundle(ctx, &asked, *bundle)
	case q.json:
		err = json.NewEncoder(s.out).Encode(api.Diagnosis{API: "v1", Found: append([]api.Finding{}, d.found...)})
	default:
		err = d.write(s.out)
	}
	if err != nil {
		return q.fail(err)
	}
	if len(d.found) > 0 {
		return exitFailed
	}
	return exitDone
}

// examine is the checkup from within the gateway, with its rights: the file as it
// is now, what is carried out if that has mistakes.
func (g *gateway) examine(ctx context.Context) api.Diagnosis {
	d := &doctor{root: "/", status: g.api.Status()}
	running := g.config.Load()
	d.configuration(running.File)
	d.cfg = cmp.Or(d.cfg, running)
	for _, c := range checkup {
		c.look(d, ctx)
	}
	return api.Diagnosis{API: "v1", Found: append([]api.Finding{}, d.found...)}
}

// write tells people what was found, check by check.
func (d *doctor) write(w io.Writer) error {
	text := ""
	for _, f := range d.found {
		text += "✗ " + f.Check + ": " + printable(f.What) + "\n"
		if f.Why != "" {
			text += "  Why: " + f.Why + "\n"
		}
		text += "  Fix: " + f.Cure + "\n"
	}
	if d.cfg != nil {
		for _, c := range checkup {
			if !d.ill(c.name) {
				text += "✓ " + c.name + "\n"
			}
		}
	}
	_, err := io.WriteString(w, text)
	return err
}

func (d *doctor) ill(check string) bool {
	for _, f := range d.found {
		if f.Check == check {
			return true
		}
	}
	return false
}

// configuration loads and checks the file as run does.
func (d *doctor) configuration(flag string) {
	path, found := configPath(flag)
	if !found {
		d.add("configuration", "without one, only this machine is served", "sudo dunlin init", "there is no configuration")
		d.cfg = config.Default(tables())
		return
	}
	r := checkFile(path)
	for _, e := range r.errors {
		cure := e.Hint
		if cure == "" {
			cure = "edit the line, then 'dunlin check'"
		}
		place := e.File
		if e.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
		}
		d.add("configuration", "the gateway does not start, and a reload changes nothing", cure, "%s: %s", place, e.Msg)
	}
	d.cfg = r.config
}

// writeBundle writes a report for somebody who helps.
func (d *doctor) writeBundle(ctx context.Context, q *asker, file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintf(f, "%s\n\n== doctor\n", describe(readVersion()))
	if err := d.write(f); err != nil {
		return err
	}
	if d.cfg != nil {
		fmt.Fprintln(f, "\n== config show --origin")
		if err := showConfig(f, d.cfg, true); err != nil {
			return err
		}
	}
	for _, target := range []string{"/api/v1/status", "/metrics", "/api/v1/logs?limit=1000"} {
		fmt.Fprintf(f, "\n== %s\n", target)
		asked := *q
		asked.json, asked.s.out = true, f // as it comes
		if _, err := asked.get(ctx, "GET", target, nil); err != nil {
			fmt.Fprintln(f, err)
		}
	}
	for _, name := range []string{"/proc/meminfo", "/proc/mounts", "/etc/os-release"} {
		b, err := os.ReadFile(name)
		fmt.Fprintf(f, "\n== %s\n%s", name, b)
		if err != nil {
			fmt.Fprintln(f, err)
		}
	}
	fmt.Fprintf(q.s.err, "Wrote %s: secrets are left out, but read it before you send it\n", file)
	return f.Close()
}

// text is the content of a file below the root without its line end, "" if it
// cannot be read.
func (d *doctor) text(name string) string {
	b, _ := os.ReadFile(d.root + name) // what is not there cannot be wrong
	return strings.TrimSpace(string(b))
}
