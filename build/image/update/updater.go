package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// Socket is where "dunlin update" finds the updater.
const Socket = "/run/dunlin/update.sock"

// TryBoot is the argument of reboot(2) with which the firmware starts the
// other slot once.
const TryBoot = "0 tryboot"

// Updater takes updates, and tries the one that was started for it.
type Updater struct {
	Card    *slots.Card
	Slot    int // that runs; 0 when nobody knows
	Keys    []PublicKey
	Record  string   // file for the Record, on the card's /data
	Socket  string   // to listen at
	Users   []uint32 // who may ask, besides root
	Gateway Gateway
	// Volatile says that the card gives no /data and everything is kept in
	// memory: no update is taken, and no trial passed.
	Volatile func() bool
	// Deadline is how long a gateway may take until it passes its trial, and
	// Steady how long it must do so without a break; default 3 minutes and a minute.
	Deadline, Steady time.Duration
	// Restart ends the machine, with reboot(2)'s argument: TryBoot or "". It
	// returns at once.
	Restart func(argument string)
	Logf    func(format string, args ...any)

	running string // version

	busy    chan struct{} // one slot: who holds it may write to the card
	news    chan struct{} // one slot: the gateway is to be told
	crashes chan string   // one slot: its last words
	now     struct {
		sync.Mutex
		doing string
	}
}

// New is an updater of what u says.
func New(u *Updater) *Updater {
	u.busy, u.news, u.crashes = make(chan struct{}, 1), make(chan struct{}, 1), make(chan string, 1)
	return u
}

// Gateway is the dunlin that runs. An error means that it is not up.
type Gateway interface {
	// Health is how a trial sees it. It fails, too, when the gateway has ended
	// since it was asked last.
	Health(ctx context.Context) (Health, error)
	// Publish has it retain a value below Topics.
	Publish(ctx context.Context, topic, value string) error
}

// Run tries the version that runs, if it is on trial, and takes updates and
// looks at crashes until ctx ends. A card with one slot has neither: its updates are refused with the
// reason.
func (u *Updater) Run(ctx context.Context) error {
	u.running = u.version()
	u.busy <- struct{}{} // nothing is written during a trial
	served, told := make(chan error, 1), make(chan struct{})
	go func() { served <- u.serve(ctx) }()
	telling, stop := context.WithCancel(ctx)
	go func() {
		defer close(told)
		u.tell(telling)
	}()
	u.Tell()
	u.trial(ctx)
	select {
	case <-u.crashes: // before or in the trial, which saw it too
	default:
	}
	lasted := u.begun()
	<-u.busy
	err := u.watch(served, lasted)
	stop()
	<-told
	return err
}

// watch looks at crashes, and whether this start lasts, until the server has
// ended.
func (u *Updater) watch(served <-chan error, lasts <-chan time.Time) error {
	for {
		select {
		case <-lasts:
			lasts = nil
			u.lasted()
		case words := <-u.crashes:
			u.regret(words)
		case err := <-served:
			if lasts != nil {
				u.lasted()
			}
			return err
		}
	}
}

var errVolatile = errors.New("the card's data partition cannot be used, everything is kept in memory: an update would not outlive its restart. Flash the card again, or take another one")

// idle is the slot that an update goes into, and what runs. The error is a
// sentence for whoever sent the update.
func (u *Updater) idle() (slot int, running *slots.Manifest, err error) {
	if u.Card.OneSlot {
		return 0, nil, errors.New("this card has one slot, and cannot be updated while it runs: write the new image to the card, and keep a backup of it ('dunlin backup') to restore")
	}
	if u.Volatile() {
		return 0, nil, errVolatile
	}
	choice, err := u.Card.Choice()
	if err != nil {
		return 0, nil, err
	}
	if u.Slot == 0 {
		return 0, nil, errors.New("the firmware did not say which slot runs")
	}
	if u.Slot != choice.Default {
		return 0, nil, fmt.Errorf("slot %d runs, but slot %d is the one that starts: restart first", u.Slot, choice.Default)
	}
	running, err = u.Card.Seal(u.Slot)
	return choice.Trial, running, err
}

// install writes an update into the idle slot and records it. Progress is told
// bytes done and all of them.
func (u *Updater) install(ctx context.Context, r io.Reader, older bool, progress func(done, all int64)) (rec Record, err error) {
	rec = Record{Phase: NotWritten}
	var running *slots.Manifest
	if rec.Slot, running, err = u.idle(); err != nil {
		return rec, err
	}
	rec.From = running.Version
	f, err := Read(r, u.Keys)
	if err != nil {
		return rec, err
	}
	rec.Version = f.Version
	switch {
	case f.Board != running.Board:
		return rec, fmt.Errorf("the update is for the board %q, this one is %q", f.Board, running.Board)
	case f.Date.Before(running.Date) && !older:
		return rec, fmt.Errorf("the update, %s of %s, is older than what runs, %s of %s: --downgrade installs it all the same",
			f.Version, f.Date.Format(time.DateOnly), running.Version, running.Date.Format(time.DateOnly))
	}
	if rec.Before, err = u.Gateway.Health(ctx); err != nil {
		u.Logf("update: the trial compares with nothing: %v", err) // an ill gateway is what an update may cure
	}
	progress(0, f.Size)
	if err := u.Card.Write(rec.Slot, f.Manifest, f.Contents, func(done int64) { progress(done, f.Size) }); err != nil {
		return rec, err
	}
	// A byte behind the contents is not in the file that was signed and packed.
	if n, err := io.Copy(io.Discard, io.LimitReader(f.Contents, 1)); n > 0 || err != nil {
		u.Logf("update: what follows the contents is not looked at")
	}
	rec.Phase = Written
	return rec, nil
}

// note saves a record with the time. A card that cannot keep it loses the
// history, not the update.
func (u *Updater) note(rec Record) {
	rec.Time = time.Now().UTC().Truncate(time.Second)
	if err := rec.save(u.Record); err != nil {
		u.Logf("update: keeping the record: %v", err)
	}
	u.doing("")
	u.Logf("update: %v", rec)
}
