package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"regexp"
	"strings"
	"testing"
)

func plain(t *testing.T, f *File) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(f.Body))
	if err != nil {
		t.Fatalf("%s: %v", f.Path, err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("%s: %v", f.Path, err)
	}
	return string(b)
}

// The page is small, names its files by what they hold, needs nothing of
// another site and nothing that its policy forbids.
func TestPage(t *testing.T) {
	if Find("/index.html") != nil || Find("/../app.js") != nil {
		t.Error("a file that is not there is found")
	}
	html, size := plain(t, Find("/")), len(index)
	for _, name := range []string{"/app.js", "/app.css"} {
		f := Find(name)
		text := plain(t, f)
		sum := sha256.Sum256([]byte(text))
		if want := name[1:] + "?" + hex.EncodeToString(sum[:])[:12]; !strings.Contains(html, want) {
			t.Errorf("the page does not name %s: browsers would keep an old one", want)
		}
		size += len(f.Body)
		if at := regexp.MustCompile(`https?://[a-z0-9.-]+`).FindString(strings.ReplaceAll(text, "http://www.w3.org", "")); at != "" {
			t.Errorf("%s names %s", name, at)
		}
	}
	if size > 60_000 {
		t.Errorf("the page has %d bytes, 60,000 are allowed", size)
	}
	if regexp.MustCompile(`<script(?:[^>]*)>[^<]|<style|style=| on[a-z]+=`).MatchString(html) {
		t.Error("the page has a script or style in itself, which its policy forbids")
	}
}
