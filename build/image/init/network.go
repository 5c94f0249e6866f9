package main

import (
	"context"

	"github.com/dunlin-mqtt/dunlin/build/image/network"
)

// network keeps the links' addresses and name servers.
func (b *board) network(ctx context.Context) error {
	return network.Run(ctx, network.Options{
		Name:   b.name,
		Resolv: "/run/resolv.conf",
		Logf:   b.logf,
		Problem: func(part, text string) {
			if text != "" {
				b.logf("%s: %s", part, text)
			}
		},
	})
}
