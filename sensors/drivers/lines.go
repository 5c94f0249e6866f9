package drivers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

func init() {
	register("lines", sensors.DriverSpec{
		Doc: "A serial device that talks in lines of text: boards, scales, meters. JSON, CSV, key=value or a regular expression.",
		Options: func() any {
			return &linesOptions{
				Port: serial.DefaultConfig(), Format: "json", Separator: "=", Comment: "#", FirstLine: "auto", OnMismatch: "count", MaxLength: 1024,
			}
		},
		Entity: func() any { return &lineEntity{} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newLines(options.(*linesOptions), entities)
		},
	})
}

type linesOptions struct {
	Port       serial.Config          `yaml:"port" doc:"the serial port" req:"1"`
	Format     string                 `yaml:"format" doc:"what a line looks like" enum:"json|csv|key_value|regex"`
	Pattern    string                 `yaml:"pattern" doc:"regex: the expression, with named groups"`
	Delimiter  string                 `yaml:"delimiter" doc:"csv: between columns, a comma when it is not given; key_value: between pairs, commas, semicolons or spaces when it is not given"`
	Separator  string                 `yaml:"separator" doc:"key_value: between key and value"`
	Header     bool                   `yaml:"header" doc:"csv: a line of names only names the columns"`
	Columns    []string               `yaml:"columns" doc:"csv: names of the columns, for devices that send no header"`
	Comment    string                 `yaml:"comment" doc:"lines that start so are ignored; empty: none are"`
	MaxLength  int                    `yaml:"max_length" doc:"longest line in bytes"`
	Terminator string                 `yaml:"terminator" doc:"what ends a line, exactly; newline, carriage return and both when it is not given" ex:"\"\\r\\n\""`
	OnSilence  lineSilence            `yaml:"on_silence" doc:"what is done about a board that says nothing"`
	FirstLine  string                 `yaml:"first_line" doc:"the line that is under way when the port opens may lack its beginning: drop it, keep it, or auto, which keeps JSON and what comes after a tenth of a second of silence" enum:"auto|keep|drop"`
	OnMismatch string                 `yaml:"on_mismatch" doc:"a line that the format does not describe is only counted, or fails the device" enum:"count|fail"`
	Commands   map[string]lineCommand `yaml:"commands" doc:"what may be sent to the device, by entity"`
}

// lineEntity says where in a line an entity's value is.
type lineEntity struct {
	Path   string `yaml:"path" doc:"json: path of the value, as light.lux or list.0; the entity's name when it is not given"`
	Column string `yaml:"column" doc:"csv: name of the column, or its number from 1"`
	Key    string `yaml:"key" doc:"key_value: the key"`
	Group  string `yaml:"group" doc:"regex: name or number of the group"`
	Type   string `yaml:"type" doc:"what the text means; inferred when it is not given" enum:"number|bool|string"`
	When   string `yaml:"when" doc:"only lines in which another value is so, as stable == \"ST\"" ex:"'stable == \"ST\"'"`
}

// lineSilence is the last resort for a board that hangs.
type lineSilence struct {
	Reset string        `yaml:"reset" doc:"dtr: pull the line that resets many boards" enum:"dtr"`
	After time.Duration `yaml:"after" doc:"so long without any line; again after as long"`
}

const (
	maxLineLength = 64 << 10
	// rejectedLines is the entity that counts lines which gave no value,
	// published when the count has grown.
	rejectedLines = "rejected_lines"
)

// Validate reports what no line can be.
func (o *linesOptions) Validate(report func(path, msg string)) {
	only := func(key string, given bool, format string) {
		if given && o.Format != format {
			report(key, "belongs to format: "+format)
		}
	}
	only("pattern", o.Pattern != "", "regex")
	only("header", o.Header, "csv")
	only("columns", len(o.Columns) > 0, "csv")
	if o.Header && len(o.Columns) > 0 {
		report("columns", "not together with header: one of them names the columns")
	}
	if o.MaxLength < 1 || o.MaxLength > maxLineLength {
		report("max_length", fmt.Sprintf("%d is not between 1 and %d", o.MaxLength, maxLineLength))
	}
	if len(o.Terminator) > 8 {
		report("terminator", "is longer than 8 bytes")
	}
	if s := o.OnSilence; (s != lineSilence{}) && (s.Reset != "dtr" || s.After < time.Second) {
		report("on_silence", "needs reset: dtr and after: 1s or longer")
	}
	if !slices.Contains([]string{"count", "fail"}, o.OnMismatch) {
		report("on_mismatch", fmt.Sprintf("%q is not count or fail", o.OnMismatch))
	}
	if !slices.Contains([]string{"auto", "keep", "drop"}, o.FirstLine) {
		report("first_line", fmt.Sprintf("%q is not auto, keep or drop", o.FirstLine))
	}
	if _, err := newLineParser(o); err != nil {
		var bad *lineOptionError
		if errors.As(err, &bad) {
			report(bad.key, bad.msg)
		}
	}
	for name, c := range o.Commands {
		checkEntity(report, "commands."+name, name)
		if _, err := compileCommand(name, &c, o.Format); err != nil {
			report("commands."+name, err.Error())
		}
	}
}

// lines publishes what a serial device says. Its Read waits for lines.
type lines struct {
	talking
	o     *linesOptions
	parse lineParser
	pick  *picker
	// dropped counts what was no line, or no telegram.
	dropped func() uint64
	// mismatched counts lines without a value since the driver was made; told is
	// the count of rejected lines as it was last published.
	mismatched, told uint64
	lastLine         time.Time // when the last line came, or the board was reset
}

var (
	_ sensors.Caller  = (*lines)(nil)
	_ sensors.Guarded = (*lines)(nil)
)

func newLines(o *linesOptions, entities map[string]any) (*lines, error) {
	if err := validated(o); err != nil {
		return nil, err
	}
	parse, err := newLineParser(o)
	if err != nil {
		return nil, err
	}
	return newText(o, &o.Port, parse, entities)
}

// newText makes a driver of lines that parse understands, from the port conf. It
// changes nothing in o, which may be of many devices.
func newText(o *linesOptions, conf *serial.Config, parse lineParser, entities map[string]any) (*lines, error) {
	pick, err := newPicker(o, entities)
	if err != nil {
		return nil, err
	}
	d := &lines{o: o, parse: parse, pick: pick}
	d.conf = conf
	in := serial.NewLines(nil, d.cutting())
	d.self, d.in = d, in
	if len(o.Commands) > 0 {
		d.commands = map[string]*command{}
	}
	d.dropped = func() uint64 {
		s := in.Stats()
		return s.Overlong + s.Garbage + s.Partial
	}
	for name, c := range o.Commands {
		if d.commands[name], err = compileCommand(name, &c, o.Format); err != nil {
			return nil, fmt.Errorf("commands.%s: %w", name, err)
		}
	}
	return d, nil
}

// cutting is how the stream becomes lines. Whoever joins in the middle of a
// line may read 3.5 for 23.5. JSON tells by its brackets, and a board that dtr
// has just reset starts anew; all else must not trust a first line unless
// silence came before it.
func (d *lines) cutting() serial.LineOptions {
	o := serial.LineOptions{MaxLength: d.o.MaxLength, Terminator: d.o.Terminator}
	switch d.o.FirstLine {
	case "auto":
		o.Resync = d.o.Format != "json" && d.conf.DTR != "pulse"
	case "drop":
		o.Resync, o.Quiet = true, -1
	}
	return o
}

// hear implements dialect: it takes one line. A line that is ignored, or only
// counted, has no values.
func (d *lines) hear(ctx context.Context, c *command, want any) ([]sensors.Reading, bool, error) {
	line, err := d.line(ctx)
	if err != nil {
		return nil, false, err
	}
	fields, err := d.fields(line)
	var list []sensors.Reading
	if err == nil && fields != nil {
		list, err = d.pick.readings(fields, time.Now())
	}
	d.heard("line", d.o.Format, len(list) > 0, err)
	if err != nil {
		d.mismatched++
		if d.o.OnMismatch == "fail" {
			return nil, false, &sensors.Fault{Reason: sensors.Parse, Err: fmt.Errorf("line %.80q: %w", line, err)}
		}
		return nil, false, nil
	}
	if len(list) > 0 {
		list = grown(list, rejectedLines, d.mismatched+d.dropped(), &d.told)
	}
	if c != nil {
		for _, f := range fields {
			if (f.key == c.confirm || f.alias == c.confirm) && confirms(f.value, want) {
				return d.withState(list, c, f.value), true, nil
			}
		}
	}
	return list, false, nil
}

// line waits for a line, and resets a board that has said nothing for long,
// however often it was opened since.
func (d *lines) line(ctx context.Context) ([]byte, error) {
	after := d.o.OnSilence.After
	if after == 0 {
		return d.piece(ctx)
	}
	if d.lastLine.IsZero() {
		d.lastLine = time.Now()
	}
	for {
		// What has arrived while nobody listened is no silence.
		patience := max(time.Until(d.lastLine.Add(after)), dtrReset)
		patient, cancel := context.WithTimeout(ctx, patience)
		line, err := d.piece(patient)
		silent := patient.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil {
			d.lastLine = time.Now()
		}
		if err == nil || !silent {
			return line, err
		}
		if c, ok := d.port().(serial.Control); ok {
			if err := c.SetDTR(false); err != nil {
				return nil, sensors.PortFault(err)
			}
			_ = pause(ctx, dtrReset) // DTR goes up again whatever ended this
			if err := c.SetDTR(true); err != nil {
				return nil, sensors.PortFault(err)
			}
		}
		d.lastLine = time.Now()
	}
}

// dtrReset is how long DTR is off for a reset: as dtr: pulse at open.
const dtrReset = 100 * time.Millisecond

// Call implements sensors.Caller. A board that is to be reset when it is silent
// is waited for.
func (d *lines) Call(w *serial.Waiter, f func()) bool {
	return d.o.OnSilence.After == 0 && d.talking.Call(w, f)
}

// frame implements dialect.
func (d *lines) frame(_ *command, text string) ([]byte, error) { return []byte(text), nil }

// fields parses a line; nil for one that has nothing to say.
func (d *lines) fields(line []byte) ([]lineField, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("not UTF-8")
	}
	text := strings.TrimSpace(string(line))
	if text == "" || d.o.Comment != "" && strings.HasPrefix(text, d.o.Comment) {
		return nil, nil
	}
	return d.parse(text)
}

// OnSilence implements sensors.Pusher: a device that talks has gone quiet, or
// says only what its format does not describe.
func (d *lines) OnSilence() error {
	return d.silence("line of plain text")
}
