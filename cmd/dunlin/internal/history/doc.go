// Package history keeps numbers of the recent past in memory, for the plots of
// the page: one sample of every series at each step, the newest that fit into
// a hard limit.
//
//	Add(names, values) -> blocks of 64 samples -> Read(prefix, points)
//
// Samples of one block share their names, so that a sample costs four bytes a
// series. A new set of names begins a new block; the oldest block goes when the
// limit is reached. Nothing is on disk, and nothing outlives the process.
//
// A Ring has one lock, a leaf. It starts no goroutines and reads no clock.
package history
