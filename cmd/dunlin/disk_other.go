//go:build !linux

package main

// diskSpace does not know.
func diskSpace(string) (free int64, kind string, ok bool) { return 0, "", false }
