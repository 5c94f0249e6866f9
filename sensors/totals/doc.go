// Package totals keeps numbers over restarts and power cuts: what a meter has
// counted, what an integral has summed up. FORMAT.md describes its one file.
//
// Save notes a number and returns; Run writes all of them as one new file, put
// in the place of the old, so that a power cut leaves one of the two. Flash
// wears out by writing: how often that happens is bounded by the day, however
// many totals there are and however fast they count. A crash loses what was
// counted since the last write, a clean end loses nothing.
//
//	Save -> numbers -> Run -> data_dir/totals
//
// Locks: one, around the numbers; it is never held while the disk works.
package totals
