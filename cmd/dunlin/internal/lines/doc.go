// Package lines keeps the newest lines of the log in memory, for the page and
// the API: at most 1,000 of them and 256 KiB.
//
//	slog.Logger -> Ring.Handler -> Ring, and on to the handler behind it
//
// A line is the message and its attributes as text; payloads and secrets are
// not in it, because nothing logs them. A Ring has one lock, a leaf.
package lines
