package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestReleaseCode(t *testing.T) {
	before := mappedFile(t)
	releaseCode()
	after := mappedFile(t)
	t.Logf("file pages: %d kB before, %d kB after", before, after)
	if after >= before {
		t.Errorf("RssFile went from %d to %d kB", before, after)
	}
}

func mappedFile(t *testing.T) (kib int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "RssFile:")
	if _, err := fmt.Sscan(rest, &kib); !ok || err != nil {
		t.Fatalf("no RssFile in /proc/self/status: %v", err)
	}
	return kib
}
