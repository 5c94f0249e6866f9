package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

// keysFile are the public keys that sign updates, a part of the image. With
// none, every update is refused.
const keysFile = "/etc/update-keys"

// updates tries the version that runs, if it is on trial, and takes new ones.
func (b *board) updates(ctx context.Context) error {
	if b.disk == "" {
		<-ctx.Done()
		return nil
	}
	text, err := os.ReadFile(keysFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	keys, err := update.ParsePublicKeys(string(text))
	if err != nil {
		return err
	}
	device, err := slots.OpenDevice("/dev/" + b.disk)
	if err != nil {
		return err
	}
	defer device.Close()
	card, err := slots.Open(device)
	if err != nil {
		return err
	}
	u := update.New(&update.Updater{
		Card: card, Slot: b.slot, Keys: keys, Volatile: b.volatile.Load,
		Record: filepath.Join(keptDir, "update.json"), Socket: update.Socket, Users: []uint32{gatewayUser},
		Gateway: &trusted{Gateway: gatewayAPI, board: b},
		Restart: b.restart, Logf: b.logf,
	})
	if _, err := card.Choice(); err != nil && !card.OneSlot {
		b.report("card", fmt.Sprintf("Which slot starts cannot be read (%v): there are no updates, and the board may not start again. Flash the card again, or take another one.", err))
	}
	b.updater.Store(u)
	return u.Run(ctx)
}

// gatewayAPI is dunlin.
var gatewayAPI = update.Local{API: "/run/dunlin/dunlin.sock"}

// trusted is the gateway that must do without help: a version passes its trial
// neither by what init runs in its place, nor by being started again and again.
type trusted struct {
	update.Gateway
	board *board
	ended int // runs, when it was asked last
}

func (t *trusted) Health(ctx context.Context) (update.Health, error) {
	if t.board.emergency.Load() {
		return update.Health{}, errors.New("the configuration is refused")
	}
	if err := t.fell(); err != nil {
		return update.Health{}, err
	}
	h, err := t.Gateway.Health(ctx)
	if err == nil {
		return h, nil
	}
	// Who does not answer may be about to end: why is more than that nobody answers.
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	if fell := t.fell(); fell != nil {
		err = fell
	} else if _, words := t.board.life.endings(); words != "" && !t.board.life.serves() {
		err = fmt.Errorf("the gateway ended: %s", words)
	}
	return h, err
}

// fell tells of the end of a run since the last call.
func (t *trusted) fell() error {
	runs, words := t.board.life.endings()
	if runs == t.ended {
		return nil
	}
	t.ended = runs
	return fmt.Errorf("the gateway ended: %s", words)
}
