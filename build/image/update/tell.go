package update

import (
	"context"
	"strconv"
	"time"
)

// Topics is below which MQTT clients read how updates are, retained: state,
// slot and version.
const Topics = "$SYS/dunlin/update/"

// The states that are no Phase of the last update.
const (
	noUpdate = "none"
	writing  = "writing"
	onTrial  = "trial"
)

// doing says what is being done; empty when nothing is.
func (u *Updater) doing(what string) {
	u.now.Lock()
	u.now.doing = what
	u.now.Unlock()
	u.Tell()
}

// Tell has the gateway told anew how updates are, as after its start, when it
// knows nothing. It returns at once.
func (u *Updater) Tell() {
	select {
	case u.news <- struct{}{}:
	default: // it is told soon
	}
}

// tell tells the gateway of what changes until ctx ends, and again what it
// could not take.
func (u *Updater) tell(ctx context.Context) {
	var again <-chan time.Time
	for pause := time.Second; ; {
		select {
		case <-ctx.Done():
			return
		case <-u.news:
			pause = time.Second
		case <-again:
			pause = min(2*pause, time.Minute)
		}
		again = nil
		for _, v := range u.values() {
			if err := u.Gateway.Publish(ctx, Topics+v[0], v[1]); err != nil {
				again = time.After(pause)
				break
			}
		}
	}
}

// values are the topics and what they say; slot and version are those that run.
func (u *Updater) values() [][2]string {
	u.now.Lock()
	state := u.now.doing
	u.now.Unlock()
	if rec, err := load(u.Record); state == "" && err == nil {
		state = string(rec.Phase)
	}
	if state == "" {
		state = noUpdate
	}
	return [][2]string{{"state", state}, {"slot", strconv.Itoa(u.Slot)}, {"version", u.running}}
}

// version is what runs, as the slot's seal has it.
func (u *Updater) version() string {
	seal, err := u.Card.Seal(max(u.Slot, 2))
	if err != nil {
		return "unknown"
	}
	return seal.Version
}
