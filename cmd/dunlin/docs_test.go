package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// blocks are the fenced blocks of a page in a language.
func blocks(page, language string) (found []string) {
	for {
		_, rest, ok := strings.Cut(page, "```"+language+"\n")
		if !ok {
			return found
		}
		block, after, _ := strings.Cut(rest, "```")
		found, page = append(found, block), after
	}
}

// Every configuration on the pages of docs runs with this version, without a
// warning, and every command line is one that the program's help knows.
func TestPagesOfDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 15 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	inline := regexp.MustCompile("`(dunlin [a-z][^`]*)`")
	for _, name := range pages {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, block := range blocks(string(text), "yaml") {
				checkRuns(t, []byte(block))
			}
			var lines []string
			for _, block := range blocks(string(text), "sh") {
				lines = append(lines, strings.Split(strings.TrimSpace(block), "\n")...)
			}
			for _, m := range inline.FindAllStringSubmatch(string(text), -1) {
				lines = append(lines, m[1])
			}
			for _, line := range lines {
				checkCommandLine(t, line)
			}
			for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(text), -1) {
				if _, err := os.Stat(filepath.Join("../../docs", m[1])); err != nil {
					t.Errorf("a link to nowhere: %v", err)
				}
			}
		})
	}
}

// checkCommandLine holds a line to the help of its command: the command is
// there, and so is every flag.
func checkCommandLine(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(strings.TrimPrefix(line, "sudo "))
	if len(words) < 2 || words[0] != "dunlin" {
		t.Errorf("%q is no command of dunlin", line)
		return
	}
	r := dunlin(t, "", words[1], "--help")
	if r.code != exitDone {
		t.Errorf("%q: there is no command %s", line, words[1])
		return
	}
	for i, word := range words[2:] {
		flag, _, _ := strings.Cut(word, "=")
		isFlag := strings.HasPrefix(flag, "-")
		known := regexp.MustCompile(`(^|[ ,\[|])` + regexp.QuoteMeta(flag) + `([ ,=\]|]|$)`)
		if (isFlag || i == 0 && (words[1] == "bridge" || words[1] == "service" || words[1] == "config" || words[1] == "store")) && !lineMatches(known, r.out) {
			t.Errorf("%q: the help of %s does not name %s", line, words[1], flag)
		}
	}
}

func lineMatches(r *regexp.Regexp, text string) bool {
	for line := range strings.Lines(text) {
		if r.MatchString(strings.TrimRight(line, "\n")) {
			return true
		}
	}
	return false
}
