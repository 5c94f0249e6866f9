package bus

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// A recording is text, a line for each transfer with tabs between
//
//	milliseconds since the start, where, sent, received, reason
//
// where is the bus and the address on it, or the port; sent and received are
// hexadecimal; reason is empty for a transfer that succeeded. The first line is
// recordingHead.
const (
	recordingHead = "dunlin recording 1"
	// maxRecording ends a recording, so that it does not fill the disk.
	maxRecording = 64 << 20 // bytes
)

// Record has every transfer of everything that is opened from now on written
// to a new file at path, 64 MiB at most. The file is as good as its last whole
// line, and is never closed before the program ends.
func (b *Buses) Record(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, recordingHead); err != nil {
		return errors.Join(err, f.Close())
	}
	b.Trace(recorder(f), nil)
	return nil
}

// recorder writes down what it is told of.
func recorder(w io.Writer) sensors.Tracer {
	start, size := time.Now(), 0
	turn := make(chan struct{}, 1) // drivers run side by side
	return func(where string, sent, received []byte, err error) {
		line := fmt.Sprintf("%d\t%s\t%x\t%x\t%s\n", time.Since(start).Milliseconds(), where, sent, received, sensors.ReasonOf(err))
		turn <- struct{}{}
		defer func() { <-turn }()
		if size += len(line); size > maxRecording {
			return
		}
		if _, err := io.WriteString(w, line); err != nil {
			size = maxRecording // a full disk ends the recording, not the reading
		}
	}
}

// recorded is one line of a recording.
type recorded struct {
	at             time.Duration
	sent, received []byte
	reason         sensors.Reason
}

// tape is a recording that is played back.
type tape struct {
	start     time.Time
	turn      chan struct{} // guards transfers
	transfers map[string][]recorded
	// How many transfers were recorded at each place, and how many of them sent something.
	all, requests map[string]int
}

// Replay has everything that is opened from now on play back a recording in
// place of hardware. A transfer on I2C or SPI gets the answer to the next
// recorded one that sent the same, and so does a request to a device that speaks
// when it is asked, as long after it as then. Any other device on a port says
// everything as long after the start as then. Where a recording has nothing more
// to say, transfers fail with the reason no_data and ports are silent.
func (b *Buses) Replay(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	t := &tape{start: time.Now(), turn: make(chan struct{}, 1), transfers: map[string][]recorded{}, all: map[string]int{}, requests: map[string]int{}}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	in.Split(wholeLines)
	if !in.Scan() || in.Text() != recordingHead {
		return errors.Join(fmt.Errorf("%s: is no recording: its first line is not %q", path, recordingHead), in.Err())
	}
	for n := 2; in.Scan(); n++ {
		where, tr, err := parseTransfer(in.Text())
		if err != nil {
			return fmt.Errorf("%s:%d: no line of a recording", path, n)
		}
		t.transfers[where] = append(t.transfers[where], tr)
		if t.all[where]++; len(tr.sent) > 0 {
			t.requests[where]++
		}
	}
	b.tape = t
	return in.Err()
}

// wholeLines splits off lines, without the last one if it has no end: the power
// went, or the disk was full.
func wholeLines(data []byte, _ bool) (advance int, line []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}

func parseTransfer(line string) (where string, t recorded, err error) {
	f := strings.Split(line, "\t")
	if len(f) != 5 {
		return "", t, errors.New("not five columns")
	}
	ms, err := strconv.ParseUint(f[0], 10, 40)
	t.at, t.reason = time.Duration(ms)*time.Millisecond, sensors.Reason(f[4])
	var sentErr, receivedErr error
	t.sent, sentErr = hex.DecodeString(f[2])
	t.received, receivedErr = hex.DecodeString(f[3])
	return f[1], t, errors.Join(err, sentErr, receivedErr)
}

// tx answers a transfer on I2C or SPI with the next recorded one that sent the
// same, for as many bytes.
func (t *tape) tx(where string, w, r []byte) error {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	list := t.transfers[where]
	i := slices.IndexFunc(list, func(e recorded) bool { return string(e.sent) == string(w) && len(e.received) == len(r) })
	switch {
	case i < 0:
		return &sensors.Fault{Reason: sensors.NoData, Err: fmt.Errorf("%s: the recording has no such transfer", where)}
	case list[i].reason != "":
		t.transfers[where] = list[i+1:]
		return &sensors.Fault{Reason: list[i].reason, Err: errRecorded}
	}
	copy(r, list[i].received)
	t.transfers[where] = list[i+1:]
	return nil
}

var errRecorded = errors.New("recorded")

// asked reports whether the device on a port speaks when it is asked: to those
// that speak by themselves little is sent.
func (t *tape) asked(where string) bool { return 4*t.requests[where] >= t.all[where] }

// first returns the next transfer of a port, if there is one, and drop has it
// behind.
func (t *tape) first(where string) []recorded {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	list := t.transfers[where]
	return list[:min(len(list), 1)]
}

func (t *tape) drop(where string) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	t.transfers[where] = t.transfers[where][1:]
}

// answer takes out the next recorded request that was the same, but for its
// number, and returns what came in until the one after it, at the times since
// the start when it is due. Several devices on a port may be asked in another
// order than then.
func (t *tape) answer(where string, request []byte, number int) []recorded {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	list := t.transfers[where]
	i := slices.IndexFunc(list, func(e recorded) bool {
		return len(e.sent) == len(request) && len(request) > number && string(e.sent[number:]) == string(request[number:])
	})
	if i < 0 {
		return nil
	}
	asked, end := list[i], i+1
	late := time.Since(t.start) - asked.at
	var all []recorded
	for ; end < len(list) && len(list[end].sent) == 0; end++ {
		e := list[end]
		e.at += late
		if len(e.received) > number && string(e.received[:number]) == string(asked.sent[:number]) {
			e.received = slices.Concat(request[:number], e.received[number:])
		}
		all = append(all, e)
	}
	t.transfers[where] = append(list[:i:i], list[end:]...)
	return all
}
