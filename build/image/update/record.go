package update

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Phase is how far the last update came.
type Phase string

const (
	Written    Phase = "written"     // whole in its slot; the restart into it is next
	Committed  Phase = "committed"   // it proved itself and stays
	FellBack   Phase = "fell back"   // its trial failed; the version before it runs
	NotWritten Phase = "not written" // it was refused, or broke off on its way to the card
)

// Record is what became of the last update.
type Record struct {
	Phase   Phase       `json:"phase"`
	Version string      `json:"version,omitempty"` // of the update
	From    string      `json:"from,omitempty"`    // the version before it
	Slot    int         `json:"slot,omitempty"`    // the update's
	Before  Health      `json:"before"`
	Time    time.Time   `json:"time"`
	Reason  string      `json:"reason,omitempty"`  // why it fell back or was not written
	Crashes []time.Time `json:"crashes,omitempty"` // of late, after it was committed
	Starts  int         `json:"starts,omitempty"`  // of the board, after it was committed, that did not last; one after the other
}

// String is the record in one line.
func (r Record) String() string {
	if r.Phase == "" {
		return "there was no update yet"
	}
	line := fmt.Sprintf("%s %s", r.Time.Format(time.RFC3339), r.Phase)
	if r.Version != "" {
		line += ": " + r.Version
	}
	if r.From != "" {
		line += " in the place of " + r.From
	}
	if r.Reason != "" {
		line += ": " + r.Reason
	}
	return line
}

// load reads the record at name; none is no error.
func load(name string) (r Record, err error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// save replaces the record at name; it outlives a power cut.
func (r Record) save(name string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".update-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when all went well
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
