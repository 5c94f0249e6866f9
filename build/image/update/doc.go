// Package update brings a signed update into the idle slot of a card, and
// tries it before it stays.
//
// An update file is three things one behind the other (file.go):
//
//	a signature as minisign writes it (minisign.go), over the next part
//	the manifest: board, version, date, size, a SHA-256 of every MiB (package slots)
//	the slot's contents, as gzip
//
// The signature is checked before anything is written, and every MiB against
// the signed manifest before it is: what no trusted key signed never reaches
// the card. "cat" makes such a file, and minisign can sign it.
//
// The way of an update:
//
//	"dunlin update FILE" -> socket (server.go) -> slots.Card.Write -> restart with "tryboot"
//	-> the new version's init finds itself in a slot that is not the default (trial.go)
//	-> proof, for a minute without a break: dunlin ready by its own test, its doors (doors.go) open, and as many
//	   devices seen online as before -> slots.Card.Choose
//	or a restart without "tryboot", which is the old version
//
// A crash, a panic of the kernel, a hang that the watchdog ends and a power
// cut all lead to the default slot too: only Choose changes that, and it is
// one sector. A version that crashes again and again in the first day after its
// Choose is given up for the one before (regret.go). What became of the last update lies in a file (record.go).
//
// One goroutine a connection, at most four; one update at a time, behind a
// one-slot channel that is held while the card is written.
package update
