package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/format"
)

const subHelp = `Usage: dunlin sub [FLAGS] -t FILTER...
       dunlin sub [FLAGS] FILTER...

Shows the messages that arrive. The flags, the output and the exit codes are
those of mosquitto_sub. On a terminal, without -v and -F, each line shows
time, topic and value.

Without -h, -p, --unix and -L the server is $DUNLIN_URL, else this machine:
/run/dunlin/mqtt.sock, if that is a listener, which asks root and the group
dunlin for no password, else localhost.

Examples:
  dunlin sub '#'                               everything
  dunlin sub -t 'dunlin/#' -v                  topic and payload
  dunlin sub -t 'dunlin/#' -w                  the newest value of each topic
  dunlin sub -t 'dunlin/+/status' -C 1 -W 5    one message, or exit code 27
  dunlin sub 'dunlin/#' --diff                 what is new in each message
  dunlin sub 'dunlin/+/tank/#' --since 10m     and what was before
  dunlin sub '#' --rate                        messages and bytes a second
  dunlin sub -t 'energy/#' -F '%j'             one JSON object a message
  dunlin sub -t 'energy/#' -F '@H:@M:@S %t %p'
  dunlin sub -h broker.example -p 8883 --cafile ca.pem -u me -P secret -t '#'
  DUNLIN_URL=mqtts://me@broker.example dunlin sub -t '#'

Format (-F): %t topic, %p payload, %x %X payload in hex, %l length, %q QoS,
%r retain, %m Packet Identifier, %j JSON, %J JSON with a JSON payload,
%I %U time, %A %C %D %E %F %P %R %S properties of MQTT 5, @H @M @S ... time as
in strftime(3), @N nanoseconds, \n \t \e ... escapes.

Exit codes: 0 done, 2 wrong usage, 4 cannot reach the server, 5 not
authorized, 27 timed out (-W), 130 interrupted; otherwise the CONNACK code.
`

// subFlags are the flags of sub.
type subFlags struct {
	mqttFlags
	unsubscribe, filterOut     []string
	count, timeout             int
	verbose, noEOL, watch      bool
	diff, rate                 bool
	output                     string
	since                      time.Duration
	format                     string
	pretty                     bool
	noRetained, retainedOnly   bool
	removeRetained, exitOnSub  bool
	retainAsPublished, noLocal bool
	random                     float64
}

func (f *subFlags) register(fs *flags.Set) {
	fs.StringArrayVarP(&f.topics, "topic", "t", nil, "subscribe to this Topic `FILTER`; may be repeated")
	fs.StringArrayVarP(&f.filterOut, "filter-out", "T", nil, "do not show topics that match `FILTER`; may be repeated")
	fs.StringArrayVarP(&f.unsubscribe, "unsubscribe", "U", nil, "unsubscribe from `FILTER`; may be repeated")
	fs.IntVarP(&f.count, "count", "C", 0, "exit after `N` messages")
	fs.IntVarP(&f.timeout, "timeout", "W", 0, "exit after `N` seconds, with code 27")
	fs.BoolVarP(&f.exitOnSub, "exit-after-sub", "E", false, "exit when the subscriptions are acknowledged")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show topic and payload")
	fs.BoolVarP(&f.watch, "watch", "w", false, "one line of the terminal for each of the first 100 topics")
	fs.StringVarP(&f.output, "output", "o", "auto", "show messages as auto, payload, topic (with payload), json (as -F %j), hex")
	fs.BoolVar(&f.diff, "diff", false, "show what is different from the topic's message before")
	fs.BoolVar(&f.rate, "rate", false, "show each second how many messages came, and bytes of payload")
	fs.BoolVar(&f.rate, "message-rate", false, "the same, as mosquitto_sub calls it")
	fs.DurationVar(&f.since, "since", 0, "first show numbers that devices of this machine's gateway had in the last `TIME`, where they changed")
	fs.StringVarP(&f.format, "format", "F", "", "show messages in this `FORMAT`")
	fs.BoolVar(&f.pretty, "pretty", false, "JSON over several lines")
	fs.BoolVarP(&f.noEOL, "no-eol", "N", false, "no line end after a payload")
	fs.BoolVarP(&f.noRetained, "no-retained", "R", false, "do not show retained messages")
	fs.BoolVar(&f.retainedOnly, "retained-only", false, "only retained messages; exit at the first other one")
	fs.BoolVar(&f.removeRetained, "remove-retained", false, "clear the retained messages that are shown")
	fs.BoolVar(&f.retainAsPublished, "retain-as-published", false, "keep the RETAIN flag as published (MQTT 5)")
	fs.BoolVar(&f.noLocal, "no-local", false, "not the messages of this client itself (MQTT 5)")
	fs.Float64Var(&f.random, "random-filter", 100, "show only `PERCENT` of the messages")
	f.mqttFlags.register(fs)
}

func (f *subFlags) positive(name string, n int) error {
	if f.fs.Changed(name) && n < 1 {
		return fmt.Errorf("--%s %d: must be 1 or more", name, n)
	}
	return nil
}

// check completes what options does not know about.
func (f *subFlags) check(args []string) error {
	f.topics = append(f.topics, args...)
	if f.urlTopic != "" {
		f.topics = append([]string{f.urlTopic}, f.topics...)
	}
	if len(f.topics) == 0 {
		return errors.New("name a topic to subscribe to: -t FILTER")
	}
	for _, list := range [][]string{f.topics, f.filterOut, f.unsubscribe} {
		for _, filter := range list {
			if err := topic.ValidFilter(filter); err != nil {
				return fmt.Errorf("topic filter %q: %w", filter, err)
			}
		}
	}
	ways := 0
	for _, name := range []string{"output", "diff", "rate", "message-rate", "watch", "format"} {
		if f.fs.Changed(name) {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("one of -o, -F, --watch, --diff and --rate: they say how messages are shown")
	}
	if f.noRetained && f.retainedOnly {
		return errors.New("-R and --retained-only together leave nothing to show")
	}
	if f.random < 0.1 || f.random > 100 {
		return errors.New("--random-filter must be 0.1 to 100")
	}
	return errors.Join(f.positive("count", f.count), f.positive("timeout", f.timeout))
}

func (f *subFlags) subscriptions() []mqtt.Subscription {
	var subs []mqtt.Subscription
	for _, filter := range f.topics {
		s := mqtt.Subscription{
			Filter: filter, QoS: mqtt.QoS(f.qos),
			NoLocal: f.noLocal, RetainAsPublished: f.retainAsPublished,
		}
		if f.noRetained {
			s.RetainHandling = mqtt.DoNotSendRetained
		}
		subs = append(subs, s)
	}
	return subs
}

// parseSub makes a subscriber of the arguments; done is true when the command
// is over already, with code.
func parseSub(args []string, s streams) (sub *subscriber, code int, done bool) {
	f := &subFlags{}
	fs := flags.New("sub")
	f.register(fs)
	code, done = parseFlags(fs, joinProperties(fs, args), s, func(w io.Writer) { printHelp(w, subHelp, fs) })
	if done {
		return nil, code, true
	}
	o, err := f.options()
	if err == nil {
		err = f.check(fs.Args())
	}
	if err == nil && f.since != 0 && (f.since < time.Second || !isLocalTarget(&o.Target)) {
		err = errors.New("--since takes a second or more, and the gateway of this machine: only it has a history")
	}
	if err != nil {
		return nil, usageError(s, "sub", err.Error()), true
	}
	out := newSerialWriter(s.out)
	if f.debug {
		o.Trace = tracer(out, s.out)
	}
	sub = &subscriber{flags: f, options: o, out: out, err: onTerminal(s.err)}
	if f.quiet {
		sub.err = io.Discard
	}
	if sub.print, err = f.printer(isTerminal(s.out), sub.err); err != nil {
		return nil, usageError(s, "sub", err.Error()), true
	}
	return sub, 0, false
}

// printer renders one message; nothing when it is not to be shown.
type printer func(dst []byte, m *client.Message, now time.Time) []byte

func (f *subFlags) printer(terminal bool, problems io.Writer) (printer, error) {
	text := f.format
	switch {
	case f.watch:
		if !terminal || f.verbose || f.noEOL {
			return nil, errors.New("--watch needs a terminal, and no other flag that says what is shown")
		}
		return (&watchView{newTerminalView(), map[string]int{}}).line, nil
	case f.diff:
		return newDiffView(terminal).line, nil
	case f.output == "json":
		text = "%j"
	case f.output == "hex" && f.verbose:
		text = "%t %x"
	case f.output == "hex":
		text = "%x"
	case f.output == "topic":
		return f.plain(f.withTopic, terminal), nil
	case f.output == "payload":
		return f.plain(f.payloadOnly, terminal), nil
	case f.output != "auto":
		return nil, fmt.Errorf("--output %s: auto, payload, topic, json or hex", f.output)
	}
	switch {
	case text != "" || f.fs.Changed("format"):
		parsed, err := format.Parse(text, f.pretty)
		if err != nil {
			return nil, err
		}
		parsed.Terminal = terminal
		return f.formatted(parsed, problems), nil
	case f.verbose:
		return f.plain(f.withTopic, terminal), nil
	case (terminal || forceColor()) && !f.noEOL:
		return newTerminalView().line, nil
	}
	return f.plain(f.payloadOnly, terminal), nil
}

// plain is p, whose messages a terminal shows but does not obey.
func (f *subFlags) plain(p printer, terminal bool) printer {
	if !terminal {
		return p
	}
	return func(dst []byte, m *client.Message, now time.Time) []byte {
		shown := *m
		shown.Topic, shown.Payload = printable(m.Topic), []byte(format.Visible(string(m.Payload), true))
		return p(dst, &shown, now)
	}
}

func (f *subFlags) formatted(parsed *format.Format, problems io.Writer) printer {
	return func(dst []byte, m *client.Message, now time.Time) []byte {
		dst, err := parsed.Append(dst, &format.Message{
			Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, ID: m.ID, Properties: m.Properties,
		}, now)
		if err != nil {
			fmt.Fprintf(problems, "Error: %v\n", err)
		}
		return f.eol(dst)
	}
}

func (f *subFlags) withTopic(dst []byte, m *client.Message, _ time.Time) []byte {
	if len(m.Payload) == 0 {
		if f.noEOL {
			return dst // as mosquitto_sub
		}
		return append(append(dst, m.Topic...), " (null)\n"...)
	}
	dst = append(append(dst, m.Topic...), ' ')
	return f.eol(append(dst, m.Payload...))
}

func (f *subFlags) payloadOnly(dst []byte, m *client.Message, _ time.Time) []byte {
	if len(m.Payload) == 0 {
		return dst
	}
	return f.eol(append(dst, m.Payload...))
}

func (f *subFlags) eol(dst []byte) []byte {
	if f.noEOL {
		return dst
	}
	return append(dst, '\n')
}
