package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/powercut/oracle"
)

// mayLack is how long ago a message of class interval may have been
// acknowledged that is lost: the interval of a second, and what a sync takes on
// a machine that is emulated beside others.
const mayLack = 3 * time.Second

// verdict is what was found on a disk.
type verdict struct {
	messages int      // that wait
	torn     int      // 1 if a part of the last group arrived and is not believed
	lost     [2]int   // acknowledged and not there, of class interval and always
	wrong    []string // what must not be
}

// judge repairs a disk, takes the files out and reads them with dunlin's tools.
// dir is its own.
func judge(s *state, offline, dir string) (v verdict, err error) {
	image, files := filepath.Join(dir, "disk"), filepath.Join(dir, "files")
	if err := s.write(image); err != nil {
		return v, err
	}
	if out, err := exec.Command("e2fsck", "-fy", image).CombinedOutput(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() >= 4 { // below: all was repaired
			return v, fmt.Errorf("e2fsck: %w: %s", err, out)
		}
	}
	if err := errors.Join(os.RemoveAll(files), os.Mkdir(files, 0o700)); err != nil {
		return v, err
	}
	if out, err := exec.Command("debugfs", "-R", "rdump /store "+files, image).CombinedOutput(); err != nil {
		return v, fmt.Errorf("debugfs: %w: %s", err, out)
	}
	store := filepath.Join(files, "store")
	if out, err := exec.Command(offline, "store", "check", store).CombinedOutput(); err != nil {
		v.wrong = append(v.wrong, fmt.Sprintf("dunlin store check: %v: %s", err, out))
	} else if bytes.Contains(out, []byte("cut off")) {
		v.torn = 1
	}
	var out, complaint bytes.Buffer
	cmd := exec.Command(offline, "store", "export", store)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		v.wrong = append(v.wrong, fmt.Sprintf("dunlin store export: %v: %s", err, complaint.Bytes()))
		return v, nil
	}
	return v, v.read(s, &out)
}

// read compares what is there with what was acknowledged.
func (v *verdict) read(s *state, export *bytes.Buffer) error {
	var there, kept [len(oracle.Publishers)]uint64
	lines := bufio.NewScanner(export)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m struct{ Kind, For, Topic, Payload string }
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("dunlin store export: %w: %s", err, lines.Bytes())
		}
		if m.Kind != "retained" && (m.Kind != "queued" || m.For != oracle.Away) || strings.HasPrefix(m.Topic, "dunlin/") { // the gateway's own
			continue
		}
		i, n := numbered(m.Topic, m.Payload)
		switch {
		case n == 0:
			v.wrong = append(v.wrong, fmt.Sprintf("nobody sent %q to %s", m.Payload, m.Topic))
		case m.Kind == "retained":
			kept[i] = n
		case n <= there[i]:
			v.wrong = append(v.wrong, fmt.Sprintf("message %d of %s comes after %d", n, m.Topic, there[i]))
		default:
			if n > there[i]+1 {
				v.wrong = append(v.wrong, fmt.Sprintf("message %d of %s is there, and %d to %d are not", n, m.Topic, there[i]+1, n-1))
			}
			there[i] = n
			v.messages++
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("dunlin store export: %w", err)
	}
	for i := range oracle.Publishers {
		v.missing(s, i, there[i]+1, s.last.Acked[i], "")
		if oracle.Publishers[i].Retain {
			v.missing(s, i, kept[i]+1, s.last.Acked[i], "retained ")
		}
	}
	return nil
}

// numbered finds who sent a message, and which it is; 0 if nobody did.
func numbered(topic, payload string) (i int, n uint64) {
	for i := range oracle.Publishers {
		if p := &oracle.Publishers[i]; p.Topic == topic {
			return i, p.Number(payload)
		}
	}
	return 0, 0
}

// missing judges that a publisher's messages from one to another are not there.
func (v *verdict) missing(s *state, i int, from, to uint64, what string) {
	p := &oracle.Publishers[i]
	if to = min(to, s.last.Acked[i]); from > to {
		return // or not acknowledged
	}
	switch old := s.old.Acked[i]; {
	case p.Always:
		v.lost[1] += int(to - from + 1)
		v.wrong = append(v.wrong, fmt.Sprintf("%smessages %d to %d of %s are lost, %d were acknowledged", what, from, to, p.Topic, s.last.Acked[i]))
	case from <= old:
		v.wrong = append(v.wrong, fmt.Sprintf("%smessages %d to %d of %s are lost, %d were acknowledged more than %v before", what, from, to, p.Topic, old, mayLack))
	default:
		v.lost[0] += int(to - from + 1)
	}
}
