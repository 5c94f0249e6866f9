// Package lines keeps the newest lines of the log in memory, for the page and
// the API: at most 1,000 of them and 256 KiB.
//
//	slog.Logger -> Ring.Handler -> Ring, and on to the handler behind it
//
// Beside it, Events keeps the last 20 events of each client, 4,000 in all.
//
// A line is the message and its attributes as text; payloads and secrets are
// not in it, because nothing logs them. Ring and Events
// have one lock each, both leaves.
package lines
