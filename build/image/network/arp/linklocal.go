package arp

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// Times of RFC 3927, 9.
const (
	probeNum     = 3
	probePause   = 1500 * time.Millisecond // between PROBE_MIN and PROBE_MAX
	maxConflicts = 10
	rateLimit    = time.Minute
)

// LinkLocal is the network of addresses that nobody gives out.
var LinkLocal = netip.MustParsePrefix("169.254.0.0/16")

// candidates yields addresses of LinkLocal in an order of the hardware
// address' own, so that a board tends to get the same one each time.
func candidates(own net.HardwareAddr) func() netip.Addr {
	h := fnv.New64a()
	h.Write(own)
	random := rand.New(rand.NewPCG(h.Sum64(), 0))
	return func() netip.Addr {
		n := 256 + random.IntN(65024) // the first and the last 256 are reserved
		return netip.AddrFrom4([4]byte{169, 254, byte(n >> 8), byte(n)})
	}
}

// Hold finds an address of LinkLocal that nobody has, calls use with it, and
// defends it; if that fails, use is called with the zero address, and with
// the next one. It ends with ctx or an error of the socket.
func Hold(ctx context.Context, c Conn, own net.HardwareAddr, use func(netip.Addr)) error {
	next := candidates(own)
	for conflicts := 0; ; conflicts++ {
		if conflicts >= maxConflicts {
			if err := sleep(ctx, rateLimit); err != nil {
				return err
			}
		}
		addr := next()
		taken, err := Taken(ctx, c, own, addr, probeNum, probePause)
		if err != nil {
			return err
		}
		if taken {
			continue
		}
		use(addr)
		err = Defend(ctx, c, own, addr)
		use(netip.Addr{})
		if err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
