package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

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
		Gateway: trusted{update.Local{API: "/run/dunlin/dunlin.sock", MQTT: "127.0.0.1:1883"}, &b.emergency},
		Restart: b.restart, Logf: b.logf,
	})
	b.updater.Store(u)
	return u.Run(ctx)
}

// trusted is the gateway with the configuration it should have: a version that
// refuses that does not pass its trial by what init runs in its place.
type trusted struct {
	update.Gateway
	emergency *atomic.Bool
}

func (t trusted) Health(ctx context.Context) (update.Health, error) {
	if t.emergency.Load() {
		return update.Health{}, errors.New("the configuration is refused")
	}
	return t.Gateway.Health(ctx)
}
