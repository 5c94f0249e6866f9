package drivers

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("exec", sensors.DriverSpec{
		Doc:     "A program of yours that writes a line for each reading and takes commands as lines: for everything that has no driver.",
		Options: func() any { return &execOptions{Format: "json", Separator: "=", MaxLength: 4096} },
		Entity:  func() any { return &lineEntity{} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			o := options.(*execOptions)
			if err := validated(o); err != nil {
				return nil, err
			}
			l := o.lines()
			parse, err := newLineParser(l)
			if err != nil {
				return nil, err
			}
			d, err := newText(l, &l.Port, parse, entities)
			if err != nil {
				return nil, err
			}
			return &program{d, o}, nil
		},
	})
}

type execOptions struct {
	Command   []string               `yaml:"command" doc:"the program's whole path, and its arguments; no shell" req:"1" ex:"[/usr/local/bin/wind, --json]"`
	Format    string                 `yaml:"format" doc:"what a line looks like" enum:"json|key_value"`
	Separator string                 `yaml:"separator" doc:"key_value: between key and value"`
	MaxLength int                    `yaml:"max_length" doc:"longest line in bytes"`
	Commands  map[string]lineCommand `yaml:"commands" doc:"what may be sent to the program, by entity"`
}

// lines are the options of the driver of lines that reads the program.
func (o *execOptions) lines() *linesOptions {
	return &linesOptions{
		Format: o.Format, Separator: o.Separator, MaxLength: o.MaxLength, Commands: o.Commands,
		Comment: "#", FirstLine: "keep", OnMismatch: "count",
	}
}

// Validate reports what cannot be run or read.
func (o *execOptions) Validate(report func(path, msg string)) {
	if len(o.Command) == 0 || !filepath.IsAbs(o.Command[0]) {
		report("command", "the whole path of a program comes first, as /usr/local/bin/wind")
	}
	checkWord("format", o.Format, []string{"json", "key_value"}, report)
	o.lines().Validate(report)
}

// program is the driver of a child process. The manager starts it again when
// it ends, with its back-off.
type program struct {
	*lines
	o *execOptions
}

// Open implements sensors.Driver: it starts the program, in a process group
// of its own.
func (p *program) Open(_ context.Context, b sensors.Buses) error {
	trace := tracerOf(b)
	if trace != nil {
		trace("exec", []byte(strings.Join(p.o.Command, " ")), nil, nil)
	}
	c, err := startChild(p.o.Command, trace)
	if err != nil {
		return kernelFault(err)
	}
	p.use(c)
	return nil
}

// OnSilence implements sensors.Pusher: what the program started may hold its
// output open when the program itself has ended.
func (p *program) OnSilence() error {
	if c, ok := p.port().(interface{ ended() (string, bool) }); ok {
		if how, done := c.ended(); done {
			return exited(how, "")
		}
	}
	return p.lines.OnSilence()
}

// exited is the fault of a program that ended by itself; how it did is "" when
// that is not known, last is what it wrote last on its standard error.
func exited(how, last string) error {
	said := "the program has ended"
	if how != "" {
		said += ", " + how
	}
	if last != "" {
		said += ", and said: " + last
	}
	return &sensors.Fault{Reason: sensors.Exited, Err: errors.New(said)}
}
