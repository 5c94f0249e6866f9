package main

import (
	"context"

	"github.com/dunlin-mqtt/dunlin/build/image/network"
	"github.com/dunlin-mqtt/dunlin/build/image/network/sntp"
)

// network keeps the links' addresses and name servers, and the clock.
func (b *board) network(ctx context.Context) error {
	if behind, err := sntp.Restore(sntp.System{}, network.TimeFile(keptDir)); err != nil {
		b.logf("restore the time: %v", err)
	} else if behind > 0 {
		b.logf("the clock was %v behind the time kept", behind)
	}
	return network.Run(ctx, network.Options{
		Name:   b.name,
		Clock:  sntp.System{},
		State:  keptDir,
		Resolv: "/run/resolv.conf",
		Logf:   b.logf,
		Problem: func(part, text string) {
			if text != "" {
				b.logf("%s: %s", part, text)
			}
		},
	})
}
