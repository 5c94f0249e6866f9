package drivers

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

func init() {
	register("frames", sensors.DriverSpec{
		Doc:     "A serial device that talks in binary frames: microcontrollers, particle and gas sensors.",
		Options: func() any { return &framesOptions{Port: serial.DefaultConfig()} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newFrames(options.(*framesOptions), entities)
		},
	})
}

type framesOptions struct {
	Port         serial.Config          `yaml:"port" doc:"the serial port" req:"1"`
	Preset       string                 `yaml:"preset" doc:"a device whose frames are known, in place of framing and struct" enum:"pms5003|sds011|mhz19"`
	Framing      string                 `yaml:"framing" doc:"how frames are told apart" enum:"cobs|slip|length8|length16|fixed|stx_etx"`
	Sync         string                 `yaml:"sync" doc:"length8, length16, fixed: bytes that start every frame, in hexadecimal"`
	Tail         string                 `yaml:"tail" doc:"length8, length16, fixed: bytes that end every frame, in hexadecimal"`
	LengthCounts string                 `yaml:"length_counts" doc:"length8, length16: what the length field counts, payload when it is not given" enum:"payload|check|frame"`
	MaxLength    int                    `yaml:"max_length" doc:"longest payload in bytes, 1024 when it is not given"`
	CRC          string                 `yaml:"crc" doc:"the checksum, none when it is not given" enum:"none|crc8|crc8_maxim|crc8_nrsc5|crc16_ccitt_false|crc16_xmodem|crc16_kermit|crc16_x25|crc16_modbus|crc16_arc|crc32|crc32c|crc32_mpeg2|sum8|sum16|neg_sum8|xor8"`
	CRCOver      string                 `yaml:"crc_over" doc:"what the checksum covers: the payload, or sync and length too" enum:"payload|frame"`
	ByteOrder    string                 `yaml:"byte_order" doc:"of numbers, length and checksum, little when it is not given" enum:"little|big"`
	Struct       []frameField           `yaml:"struct" doc:"the fields of the payload, in their order"`
	Poll         framePoll              `yaml:"poll" doc:"a request that is sent every interval, for devices that speak only when asked"`
	Commands     map[string]lineCommand `yaml:"commands" doc:"what may be sent to the device, by entity"`
}

type framePoll struct {
	Send   string        `yaml:"send" doc:"payload of the request, in hexadecimal"`
	Within time.Duration `yaml:"within" doc:"how long the device may take to answer, 1s when it is not given"`
}

const (
	// lostFrames and rejectedFrames are the entities that count what the
	// sequence says is missing and what was no frame, published when they grew.
	lostFrames     = "lost_frames"
	rejectedFrames = "rejected_frames"
)

// frames is a serial device that talks in frames.
type frames struct {
	talking
	framing serial.Framing
	layout  frameLayout
	cut     *serial.Frames
	// mismatched counts frames that the struct does not describe; toldRejected
	// and toldLost are the counts as they were last published.
	mismatched, toldRejected, toldLost uint64
	// rejected is how many frames had been rejected when the last good one came.
	rejected atomic.Uint64
}

// framePusher publishes what the device says by itself.
type framePusher struct{ *frames }

// framePoller asks the device once an interval.
type framePoller struct {
	*frames
	request []byte
	within  time.Duration
}

var (
	_ sensors.Caller    = framePusher{}
	_ sensors.Commander = framePusher{}
	_ sensors.Commander = framePoller{}
)

func newFrames(o *framesOptions, entities map[string]any) (sensors.Driver, error) {
	if err := validated(o); err != nil {
		return nil, err
	}
	d, request, errs := o.build(entities)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	if request == nil {
		return framePusher{d}, nil
	}
	return framePoller{d, request, cmp.Or(o.Poll.Within, time.Second)}, nil
}

// Validate reports what no frame can be.
func (o *framesOptions) Validate(report func(path, msg string)) {
	if o.Preset != "" && (o.Framing+o.Sync+o.Tail+o.LengthCounts+o.CRC+o.CRCOver+o.ByteOrder != "" || len(o.Struct) > 0) {
		report("preset", "knows framing and struct: leave out what describes them")
		return
	}
	_, _, errs := o.build(nil)
	for _, e := range errs {
		report(e.key, e.msg)
	}
}

// known returns the options that describe the frames, which are the preset's
// where one is named, and the commands that a preset brings.
func (o *framesOptions) known() (f *framesOptions, commands map[string]lineCommand) {
	f, commands = o, map[string]lineCommand{}
	for i := range framePresets {
		p := &framePresets[i]
		if p.name != o.Preset {
			continue
		}
		f = &p.options
		for i, name := range p.command {
			if name != "" {
				commands[name] = lineCommand{Send: p.send[i], Raw: true}
			}
		}
	}
	return f, commands
}

// build makes the driver, and the request of a device that is asked, or says
// what is wrong with the options.
func (o *framesOptions) build(entities map[string]any) (d *frames, request []byte, errs []*lineOptionError) {
	report := func(path, msg string) { errs = append(errs, &lineOptionError{path, msg}) }
	f, commands := o.known()
	d = &frames{layout: frameLayout{fields: f.Struct, bigEndian: f.ByteOrder == "big"}}
	names := []string{lostFrames, rejectedFrames}
	for i := range f.Struct {
		if key, why := f.Struct[i].fault(); key != "" {
			report(fmt.Sprintf("struct[%d].%s", i, key), why)
			continue
		}
		names = append(names, f.Struct[i].names()...)
	}
	d.framing = f.wire(d.layout.size(), report)
	d.framing.Validate(report)
	if n := d.layout.size(); n == 0 || n > d.framing.Max {
		report("struct", fmt.Sprintf("has %d bytes: between 1 and max_length are a payload", n))
	}
	if len(errs) > 0 {
		return nil, nil, errs
	}
	d.cut = serial.NewFrames(nil, d.framing) // Open gives it the port
	d.self, d.conf, d.in, d.commands = d, &o.Port, d.cut, map[string]*command{}
	for name, c := range o.Commands {
		commands[name] = c
	}
	for name, c := range commands {
		var err error
		if d.commands[name], err = d.compile(name, &c); err != nil {
			report("commands."+name, err.Error())
		}
		names = append(names, name)
	}
	for _, name := range names {
		checkEntity(report, "struct", name)
	}
	if send := cmp.Or(o.Poll.Send, f.Poll.Send); send != "" {
		var err error
		if request, err = d.frame(&command{}, send); err != nil {
			report("poll.send", err.Error())
		}
	}
	for name := range entities {
		if !slices.Contains(names, name) {
			report("entities."+name, "the struct has no such field")
		}
	}
	return d, request, errs
}

// wire is how frames lie in the stream, with a payload of so many bytes where
// its length is fixed.
func (o *framesOptions) wire(payload int, report func(path, msg string)) serial.Framing {
	f := serial.Framing{Kind: o.Framing, Max: o.MaxLength, CheckAll: o.CRCOver == "frame", BigEndian: o.ByteOrder == "big"}
	if f.Max == 0 {
		f.Max = 1024
	}
	if f.Kind == "fixed" {
		f.Length = payload
	}
	var ok bool
	if f.Check, ok = serial.CheckNamed(o.CRC); !ok && o.CRC != "" {
		report("crc", "there is no such checksum")
	}
	var err error
	if f.Sync, err = unhexed(o.Sync); err != nil {
		report("sync", err.Error())
	}
	if f.Tail, err = unhexed(o.Tail); err != nil {
		report("tail", err.Error())
	}
	switch o.LengthCounts {
	case "check":
		f.Counted = f.Check.Size()
	case "frame":
		f.Counted = len(f.Sync) + 1 + f.Check.Size() + len(f.Tail)
		if f.Kind == "length16" {
			f.Counted++
		}
	}
	return f
}

// unhexed reads hexadecimal, with or without spaces.
func unhexed(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		return nil, fmt.Errorf("%q is not hexadecimal, as \"42 4d\"", text)
	}
	return b, nil
}

// Open implements sensors.Driver.
func (d *frames) Open(ctx context.Context, b sensors.Buses) error {
	d.layout.counted = false
	return d.talking.Open(ctx, b)
}

// hear implements dialect: it takes one frame.
func (d *frames) hear(ctx context.Context, c *command, want any) ([]sensors.Reading, bool, error) {
	payload, err := d.piece(ctx)
	if err != nil {
		return nil, false, err
	}
	list, err := d.layout.readings(payload, time.Now())
	other := err == errOtherFrame
	if other {
		err = nil
	}
	if d.heard("frame", "as struct says", len(list) > 0, err); err != nil {
		d.mismatched++
	}
	if other || err != nil {
		return nil, false, nil
	}
	confirmed := false
	for _, r := range list {
		confirmed = confirmed || c != nil && r.Entity == c.confirm && confirms(r.Value, want)
	}
	s := d.cut.Stats()
	d.rejected.Store(s.Rejected)
	list = grown(list, rejectedFrames, s.Rejected+s.Overlong+d.mismatched, &d.toldRejected)
	return grown(list, lostFrames, d.layout.lost, &d.toldLost), confirmed, nil
}

// OnSilence implements sensors.Pusher: a device that talks has gone quiet, or
// says only what is no frame.
func (d framePusher) OnSilence() error {
	if d.cut.Rejected() > d.rejected.Load() {
		return &sensors.Fault{Reason: sensors.CRC, Err: errors.New("bytes arrive, but no frame is right")}
	}
	return d.silence("frame")
}

// Read implements sensors.Driver: it sends the request and returns what the
// answer says.
func (p framePoller) Read(ctx context.Context) ([]sensors.Reading, error) {
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	// What came before the request answers nothing.
	if err := p.discard(); err != nil {
		return nil, err
	}
	if err := p.write(ctx, p.request); err != nil {
		return nil, err
	}
	before := p.cut.Stats()
	waiting, cancel := context.WithTimeout(ctx, p.within)
	defer cancel()
	list, err := p.frames.Read(waiting)
	if err == nil || waiting.Err() == nil || ctx.Err() != nil {
		return list, err
	}
	reason, s := sensors.Timeout, p.cut.Stats()
	switch {
	case s.Rejected > before.Rejected:
		reason = sensors.CRC
	case s.Bytes > before.Bytes:
		reason = sensors.Garbage
	}
	return nil, &sensors.Fault{Reason: reason, Err: fmt.Errorf("no answer within %v; %d bytes came", p.within, s.Bytes-before.Bytes)}
}
