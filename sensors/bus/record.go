package bus

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
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
	start, size := time.Now(), 0
	turn := make(chan struct{}, 1) // drivers run side by side
	b.Trace(func(where string, sent, received []byte, err error) {
		line := fmt.Sprintf("%d\t%s\t%x\t%x\t%s\n", time.Since(start).Milliseconds(), where, sent, received, sensors.ReasonOf(err))
		turn <- struct{}{}
		defer func() { <-turn }()
		if size += len(line); size <= maxRecording {
			_, _ = io.WriteString(f, line) // a full disk ends the recording, not the reading
		}
	}, nil)
	return nil
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
}

// Replay has everything that is opened from now on play back a recording in
// place of hardware. A transfer on I2C or SPI gets the answer to the next
// recorded one that sent the same. A port says what it said, as long after the
// start or after what was sent to it as then. Where a recording has nothing
// more to say, transfers fail with the reason no_data and ports are silent.
func (b *Buses) Replay(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	t := &tape{start: time.Now(), turn: make(chan struct{}, 1), transfers: map[string][]recorded{}}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		if n == 1 && in.Text() == recordingHead {
			continue
		}
		where, tr, err := parseTransfer(in.Text())
		if err != nil || n == 1 {
			return fmt.Errorf("%s:%d: no line of a recording", path, n)
		}
		t.transfers[where] = append(t.transfers[where], tr)
	}
	b.tape = t
	return in.Err()
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

// next takes the next transfer at a place for which is holds.
func (t *tape) next(where string, is func(*recorded) bool) (recorded, bool) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	list := t.transfers[where]
	for i := range list {
		if is(&list[i]) {
			t.transfers[where] = list[i+1:]
			return list[i], true
		}
	}
	return recorded{}, false
}

// tx answers a transfer on I2C or SPI.
func (t *tape) tx(where string, w, r []byte) error {
	got, ok := t.next(where, func(e *recorded) bool { return string(e.sent) == string(w) && len(e.received) == len(r) })
	switch {
	case !ok:
		return &sensors.Fault{Reason: sensors.NoData, Err: fmt.Errorf("%s: the recording has no such transfer", where)}
	case got.reason != "":
		return &sensors.Fault{Reason: got.reason, Err: errors.New("recorded")}
	}
	copy(r, got.received)
	return nil
}
