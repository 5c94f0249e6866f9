//go:build !linux

package main

// releaseCode does nothing: how to give pages of the program back is known for
// Linux only.
func releaseCode() {}
