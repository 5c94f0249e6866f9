package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
)

const bridgeHelp = `Usage: dunlin bridge status [NAME] [--json]
       dunlin bridge test NAME [--json]
       dunlin bridge pause|resume|reconnect NAME
       dunlin bridge spool list NAME [--limit N] [--json]
       dunlin bridge spool export NAME [--since TIME]
       dunlin bridge spool drain NAME [--rate N] [--wait] [--timeout TIME]
       dunlin bridge spool purge NAME [--older TIME] [-y]
       dunlin bridge dead list|export|purge NAME
       dunlin bridge dead show NAME NUMBER
       dunlin bridge dead requeue NAME NUMBER|all

Looks at a link of the running gateway to another server, and works on it.
test goes the whole way to the server as another client, so that the link does
not notice; if it gets there, a link that waits to try again does so at once.
pause lasts until resume, or until the gateway starts anew. reconnect makes
the link anew at once. spool is what waits to
be sent, dead what was given up because the server will never take it; export
writes one JSON object a line. drain sends what waited for the link at so many
messages a second, for as long as something waits; a second one takes the place
of the first. purge says how many it would delete, and with -y deletes them.

Examples:
  dunlin bridge status
  dunlin bridge test cloud
  dunlin bridge spool export cloud --since 1h > spool.jsonl
  dunlin bridge spool drain cloud --rate 50 --wait --timeout 10m
  dunlin bridge spool purge cloud --older 2d -y
  dunlin bridge dead requeue cloud all

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 no gateway runs or test does not
reach the server, 5 not allowed, 27 drain --timeout ran out.
`

// bridgeVerb is one thing to do: a request, and what becomes of the answer.
type bridgeVerb struct {
	words  string // how it is typed: "status", "spool list"
	method string
	below  string // its path, below that of the bridge
	query  string // its query parameter, from the flag of that name; seq comes from the last word
	done   string // what became of the messages that it counts
	run    func(*bridgeJob, context.Context) error
}

var bridgeVerbs = [...]bridgeVerb{
	{"status", "GET", "", "", "", (*bridgeJob).status},
	{"test", "POST", "/test", "", "", (*bridgeJob).test},
	{"pause", "POST", "/pause", "", "", (*bridgeJob).tell},
	{"resume", "POST", "/resume", "", "", (*bridgeJob).tell},
	{"reconnect", "POST", "/reconnect", "", "", (*bridgeJob).tell},
	{"spool list", "GET", "/spool", "limit", "", (*bridgeJob).list},
	{"spool export", "GET", "/spool/messages", "since", "", (*bridgeJob).export},
	{"spool drain", "POST", "/spool/drain", "rate", "", (*bridgeJob).drain},
	{"spool purge", "DELETE", "/spool", "older", "deleted", (*bridgeJob).purge},
	{"dead list", "GET", "/dead", "limit", "", (*bridgeJob).list},
	{"dead show", "GET", "/dead/message", "seq", "", (*bridgeJob).show},
	{"dead requeue", "POST", "/dead/requeue", "seq", "queued again", (*bridgeJob).tell},
	{"dead export", "GET", "/dead/messages", "since", "", (*bridgeJob).export},
	{"dead purge", "DELETE", "/dead", "older", "deleted", (*bridgeJob).purge},
}

// bridgeJob is one call of dunlin bridge.
type bridgeJob struct {
	*asker
	bridgeVerb
	target  string // of the request
	bridge  string // where the bridge itself is
	limit   *int
	rate    *float64
	wait    bool
	timeout time.Duration
	yes     bool
	code    int // when it fails, if not 0
}

// timeFlag is a time as the configuration has them; its text is in seconds, as
// the API wants it.
type timeFlag string

func (t *timeFlag) Set(text string) error {
	d, err := config.ParseDuration(text)
	*t = timeFlag(strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
	return err
}
func (t *timeFlag) String() string { return string(*t) }

func runBridge(ctx context.Context, args []string, s streams) int {
	j := &bridgeJob{asker: newAsker("bridge", bridgeHelp, s)}
	j.jsonFlag()
	f := j.flags
	j.limit = f.Int("limit", 100, "list so many messages, up to 1000")
	f.Var(new(timeFlag), "since", "export what is younger than this `time`")
	f.Var(new(timeFlag), "older", "purge what is older than this `time`")
	j.rate = f.Float64("rate", 0, "drain at so many messages/s; 0: at the bridge's own speed")
	f.BoolVar(&j.wait, "wait", false, "end when nothing waits")
	f.DurationVar(&j.timeout, "timeout", 0, "of --wait; 0: none")
	f.BoolVarP(&j.yes, "yes", "y", false, "purge without looking first")
	if code, done := j.parse(args); done {
		return code
	}
	if wrong := j.read(f.Args()); wrong != "" {
		return j.usage("%s", wrong)
	}
	err := j.run(j, ctx)
	if err == nil {
		return exitDone
	}
	code := j.fail(err)
	if j.code != 0 {
		return j.code
	}
	return code
}

// read finds the verb and the bridge; it says what is wrong with the words.
func (j *bridgeJob) read(words []string) string {
	verb := "status"
	if len(words) > 0 {
		verb, words = words[0], words[1:]
	}
	if verb == "spool" || verb == "dead" {
		if len(words) == 0 {
			return verb + " takes one of list, export and purge, or what else 'dunlin bridge --help' shows"
		}
		verb, words = verb+" "+words[0], words[1:]
	}
	var known []string
	for _, v := range bridgeVerbs {
		if known = append(known, v.words); v.words == verb {
			j.bridgeVerb = v
		}
	}
	takes, wanted := 1, "takes the name of a bridge"
	if j.query == "seq" {
		takes, wanted = 2, wanted+" and a number, which 'dead list' shows"
	}
	switch {
	case j.run == nil:
		return fmt.Sprintf("does not know %q%s", verb, didYouMean(verb, known, ""))
	case len(words) == 0 && verb == "status":
		j.target = "/api/v1/bridges"
		return ""
	case len(words) != takes:
		return verb + " " + wanted
	}
	if wrong := j.numbers(words); wrong != "" {
		return wrong
	}
	j.bridge = "/api/v1/bridges/" + url.PathEscape(words[0])
	j.target = j.bridge + j.below
	if j.query == "seq" {
		j.target += "?seq=" + url.QueryEscape(words[1])
	} else if j.query != "" {
		j.target += "?" + j.query + "=" + j.flags.Lookup(j.query).Text()
	}
	return ""
}

// numbers says what is wrong with the numbers among the words and flags.
func (j *bridgeJob) numbers(words []string) string {
	var err error
	if j.query == "seq" {
		_, err = strconv.ParseUint(words[1], 10, 64)
	}
	switch {
	case *j.limit < 1 || *j.limit > 1000:
		return "--limit is a number from 1 to 1000"
	case !(*j.rate >= 0) || math.IsInf(*j.rate, 0):
		return "--rate is messages a second, 0 or more"
	case err != nil && (words[1] != "all" || j.words != "dead requeue"):
		return fmt.Sprintf("%s takes a number, which 'dead list' shows, not %q", j.words, words[1])
	}
	return ""
}

// tell asks, and says how many messages it was about.
func (j *bridgeJob) tell(ctx context.Context) error {
	var c api.Counted
	doc := any(&c)
	if j.done == "" {
		doc = nil
	}
	if j.words == "dead requeue" {
		j.patience = longIn // each letter is on disk before the next
	}
	show, err := j.get(ctx, j.method, j.target, doc)
	if err == nil && show && j.done != "" {
		_, err = fmt.Fprintf(j.s.out, "%s %s\n", messages(c.Count), j.done)
	}
	return err
}

func (j *bridgeJob) purge(ctx context.Context) error {
	if !j.yes {
		j.target += "&dry_run=true"
		j.done = "would be deleted: add -y"
	}
	j.patience = longIn
	return j.tell(ctx)
}

func (j *bridgeJob) status(ctx context.Context) error {
	if j.bridge != "" {
		return j.show(ctx)
	}
	var all []api.Bridge
	show, err := j.get(ctx, "GET", j.target, &all)
	if err == nil && show {
		err = writeTable(j.s.out, bridgeRows(all))
	}
	return err
}

// show writes a document of the API, a field a line.
func (j *bridgeJob) show(ctx context.Context) error {
	var doc fields
	show, err := j.get(ctx, "GET", j.target, &doc)
	if err == nil && show {
		err = writeTable(j.s.out, doc)
	}
	return err
}

// list shows the first of the spool or of the dead letters.
func (j *bridgeJob) list(ctx context.Context) error {
	var page api.Letters
	show, err := j.get(ctx, "GET", j.target, &page)
	if err != nil || !show {
		return err
	}
	rows := [][]string{{"NUMBER", "WAITING", "QOS", "SIZE", "TOPIC", "PAYLOAD", ""}}
	for i := range page.Letters {
		l := &page.Letters[i]
		rows = append(rows, []string{
			strconv.FormatUint(l.Seq, 10), span(time.Since(l.Time).Seconds()), strconv.Itoa(l.QoS), size(int64(l.Size)),
			printable(l.Topic), printable(l.Payload), printable(l.Reason),
		})
	}
	if page.Cursor != "" {
		rows = append(rows, []string{count(page.Total) + " in all"})
	}
	return writeTable(j.s.out, rows)
}

// export copies the lines, and on a terminal tells how far it is.
func (j *bridgeJob) export(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := j.ask(ctx, "GET", j.target)
	if err != nil {
		return err
	}
	m := newMeter(j.s, size, 0)
	if isTerminal(j.s.out) {
		m.w = nil // the messages show how far it is
	}
	_, err = io.Copy(onTerminal(j.s.out), io.TeeReader(r.Body, m))
	if m.end(); err != nil {
		return fmt.Errorf("the export is not complete: %w", err)
	}
	return nil
}

// drainPoll is how often drain --wait looks.
const drainPoll = 250 * time.Millisecond

func (j *bridgeJob) drain(ctx context.Context) error {
	var d api.Drained
	show, err := j.get(ctx, j.method, j.target, &d)
	if err == nil && show {
		other := ""
		if d.InPlaceOf > 0 {
			other = "; another drain was under way, at " + rate(d.InPlaceOf) + ": this one counts"
		}
		_, err = fmt.Fprintf(j.s.out, "%s wait%s\n", messages(d.Count), other)
	}
	if err != nil || !j.wait {
		return err
	}
	j.json = false // it is said already
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	terminal, began := isTerminal(j.s.err), time.Now()
	var b api.Bridge
	for {
		if _, err = j.get(ctx, "GET", j.bridge, &b); err != nil {
			return err
		}
		took := time.Since(began)
		if terminal {
			text := "\r" + messages(b.Waiting) + " waiting, " + rate(b.Rate) + ", bridge " + b.State
			if b.Drain > 0 {
				text += ", " + span(b.Drain) + " left"
			}
			fmt.Fprint(j.s.err, text+"\x1b[K")
		}
		over := j.timeout > 0 && took > j.timeout
		if b.Waiting == 0 || over || ctx.Err() != nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	if terminal {
		fmt.Fprintln(j.s.err)
	}
	switch {
	case b.Waiting == 0:
		return nil
	case ctx.Err() != nil:
		return context.Canceled
	}
	j.code = exitTimeout
	return fmt.Errorf("%s waiting, bridge %s is %s", messages(b.Waiting), b.Name, b.State)
}

// cures say what to look at after a failure of a class.
var cures = [...]struct{ class, cure string }{
	{"dns", "look at the name, and at the DNS server in /etc/resolv.conf"},
	{"tcp", "look at the server, the port, mqtt or mqtts, and the firewalls on the way"},
	{"protocol", "look at the scheme of servers, the port and proxy: something else answers there"},
	{"timeout", "look at the server, the port and the firewalls on the way; if small packets pass and large ones do not ('ping -M do -s 1372'), lower the MTU of the link"},
	{"tls-expired", "the server needs a new certificate, or this machine the right time"},
	{"tls-not-yet-valid", "set the clock of this machine"},
	{"tls", "look at tls.ca, tls.server_name, the port, and cert of credentials"},
	{"auth", "look at client_id and credentials, those of proxy too, and at the rights there"},
	{"refused", "look at protocol, profile and proxy, and at the rights there"},
	{"quota", "the server has too much to do, or a quota is used up"},
}

// cureOf is what to look at, "" if nothing is known.
func cureOf(class string) string {
	for _, c := range cures {
		if c.class == class {
			return c.cure
		}
	}
	return ""
}

// longIn is how long a test, 45 s a server, a purge and a requeue may take.
const longIn = 10 * time.Minute

func (j *bridgeJob) test(ctx context.Context) error {
	j.patience = longIn
	var p api.Probe
	show, err := j.get(ctx, "POST", j.target, &p)
	if err != nil {
		return err
	}
	if show {
		err = writeProbe(j.s.out, &p)
	}
	if err != nil || p.OK {
		return err
	}
	j.code, err = probeFailed(&p)
	return err
}

func writeProbe(w io.Writer, p *api.Probe) error {
	rows := [][]string{}
	for _, s := range p.Steps {
		sign := "✓ "
		if s.Error != "" {
			sign = "✗ "
		}
		rows = append(rows, []string{sign + s.Name, printable(strings.TrimSpace(s.Detail + " " + s.Error))})
	}
	return writeTable(w, rows)
}

// probeFailed is the exit code of a probe that failed, and what to look at.
func probeFailed(p *api.Probe) (code int, cure error) {
	class := p.Steps[len(p.Steps)-1].Name
	if code = exitUnreachable; class == "auth" {
		code = exitRefused
	}
	return code, errors.New(cmp.Or(cureOf(class), "the bridge cannot work"))
}
