package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const pubHelp = `Usage: dunlin pub [FLAGS] -t TOPIC (-m MESSAGE | -f FILE | -s | -l | -n)
       dunlin pub [FLAGS] TOPIC MESSAGE
       dunlin pub --clear FILTER [-y]

Publishes messages. The flags and the exit codes are those of mosquitto_pub.

Without -h, -p, --unix and -L the server is $DUNLIN_URL, else this machine:
/run/dunlin/mqtt.sock, if that is a listener, which asks root and the group
dunlin for no password, else localhost.

Examples:
  dunlin pub lamp/set on
  dunlin pub -t lamp/set -m on -q 1
  dunlin pub -t lamp/state -n -r               clear a retained message
  dunlin pub --clear 'old/#' -y                and all below a topic
  dunlin pub -t camera/picture -f picture.jpg -q 2
  journalctl -f | dunlin pub -t logs -l        a message a line
  dunlin pub -t tick -m now --repeat 10 --repeat-delay 0.5
  dunlin pub -V 5 -t a -m '{}' -D publish content-type application/json

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 cannot reach the server, 5 not
authorized, 7 connection lost, 130 interrupted; otherwise the CONNACK code.
`

// maxPayload is the largest Remaining Length less room for the header.
const maxPayload = 268435455 - 65535 - 8

var errTooLarge = fmt.Errorf("message longer than %d bytes", maxPayload)

// pubFlags are the flags of pub.
type pubFlags struct {
	mqttFlags
	message     string
	file        string
	stdin       bool
	lines       bool
	null        bool
	retain      bool
	repeat      int
	repeatDelay float64
	inflight    int
	clear       string
	yes         bool
}

func (f *pubFlags) register(fs *flags.Set) {
	fs.StringArrayVarP(&f.topics, "topic", "t", nil, "`TOPIC` to publish to")
	fs.StringVarP(&f.message, "message", "m", "", "`PAYLOAD` to send")
	fs.StringVarP(&f.file, "file", "f", "", "send the contents of `FILE`")
	fs.BoolVarP(&f.stdin, "stdin-file", "s", false, "send all of standard input as one message")
	fs.BoolVarP(&f.lines, "stdin-line", "l", false, "send each line of standard input as a message")
	fs.BoolVarP(&f.null, "null-message", "n", false, "send an empty message")
	fs.BoolVarP(&f.retain, "retain", "r", false, "make the message retained")
	fs.IntVar(&f.repeat, "repeat", 1, "send the message `N` times")
	fs.Float64Var(&f.repeatDelay, "repeat-delay", 0, "`SECONDS` between repetitions")
	fs.IntVarP(&f.inflight, "max-inflight", "M", 20, "at most `N` unacknowledged QoS 1 and 2 messages")
	fs.StringVar(&f.clear, "clear", "", "clear what this machine's gateway retains on topics that match `FILTER`, as 'dunlin topics clear'")
	fs.BoolVarP(&f.yes, "yes", "y", false, "clear without looking first")
	f.mqttFlags.register(fs)
}

// elsewhere reports whether the flags name a server.
func (f *pubFlags) elsewhere() bool {
	return slices.ContainsFunc([]string{"host", "port", "unix", "url"}, f.fs.Changed)
}

func (f *pubFlags) topic() string { return f.topics[len(f.topics)-1] }

// check completes what options does not know about.
func (f *pubFlags) check(args []string) error {
	if f.urlTopic != "" && len(f.topics) == 0 {
		f.topics = []string{f.urlTopic}
	}
	if len(f.topics) == 0 && len(args) > 0 {
		f.topics, args = args[:1], args[1:]
	}
	modes := 0
	for _, name := range []string{"message", "file", "stdin-file", "stdin-line", "null-message"} {
		if f.fs.Changed(name) {
			modes++
		}
	}
	if modes == 0 && len(args) > 0 {
		f.message, args, modes = args[0], args[1:], 1
	}
	clears := f.fs.Changed("clear")
	switch {
	case clears && (modes > 0 || len(f.topics) > 0 || f.elsewhere()):
		return errors.New("--clear asks the gateway of this machine and takes nothing but -y; of another server: dunlin sub -t FILTER --remove-retained -W 1")
	case clears:
		return nil
	case len(args) > 0:
		return fmt.Errorf("unexpected argument %q; quote a message that holds spaces", args[0])
	case len(f.topics) == 0:
		return errors.New("both topic and message must be supplied: -t TOPIC")
	case modes == 0:
		return errors.New("both topic and message must be supplied: one of -m, -f, -s, -l and -n")
	case modes > 1:
		return errors.New("only one type of message can be sent at once: one of -m, -f, -s, -l and -n")
	case f.repeat < 1:
		return errors.New("--repeat must be 1 or more")
	case !(f.repeatDelay >= 0 && f.repeatDelay <= 1e9):
		return errors.New("--repeat-delay must be 0 or more seconds")
	case f.inflight < 1 || f.inflight > 65535:
		return errors.New("-M must be 1 to 65535")
	}
	if err := topic.ValidName(f.topic()); err != nil {
		return fmt.Errorf("topic %q: %w", f.topic(), err)
	}
	return nil
}

// parsePub makes a publisher of the arguments; done is true when the command
// is over already, with code.
func parsePub(args []string, s streams) (pub *publisher, code int, done bool) {
	f := &pubFlags{}
	fs := flags.New("pub")
	f.register(fs)
	code, done = parseFlags(fs, joinProperties(fs, args), s, func(w io.Writer) { printHelp(w, pubHelp, fs) })
	if done {
		return nil, code, true
	}
	o, err := f.options()
	if err == nil {
		err = f.check(fs.Args())
	}
	if err != nil {
		return nil, usageError(s, "pub", err.Error()), true
	}
	p := &publisher{flags: f, err: newSerialWriter(onTerminal(s.err))}
	if f.quiet {
		p.err = io.Discard
	}
	if f.debug {
		o.Trace = tracer(newSerialWriter(s.out), s.out)
	}
	o.MaxInflight, o.Ignore, o.Published = f.inflight, true, p.published
	p.options = o
	return p, 0, false
}

// load reads the payload that -m, -f, -s or -n mean.
func (p *publisher) load(in io.Reader) error {
	switch f := p.flags; {
	case f.fs.Changed("file"):
		file, err := os.Open(f.file)
		if err != nil {
			return err
		}
		defer file.Close()
		return p.read(file)
	case f.stdin:
		if err := p.read(in); err != nil {
			return err
		}
		if len(p.payload) == 0 {
			return errors.New("zero length input; use -n for an empty message")
		}
	case !f.null:
		p.payload = []byte(f.message)
	}
	return nil
}

func (p *publisher) read(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, maxPayload+1))
	if err != nil {
		return err
	}
	if len(data) > maxPayload {
		return errTooLarge
	}
	p.payload = data
	return nil
}
