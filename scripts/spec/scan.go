package main

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// naming is one place where a test names a statement.
type naming struct {
	place string // file:line
	name  string // the whole string
	wrong string // why it does not count, "" if it does
}

// Where tests of the server are. The tests of bridge and of the command-line
// client name statements too, as clients.
var trees = []string{"broker", "cmd/dunlin"}

const notServers = "cmd/dunlin/internal/client"

// A string names what stands at its beginning: one number or several.
var (
	leading = regexp.MustCompile(`^(MQTT(?:311|31)?-[0-9A][0-9.]*-[0-9]+[ ,]*)+`)
	number  = regexp.MustCompile(`MQTT(?:311|31)?-[0-9A][0-9.]*-[0-9]+`)
)

func names(text string) []string { return number.FindAllString(leading.FindString(text), -1) }

// scan finds all namings, by statement.
func scan(root string) (map[string][]naming, error) {
	found := make(map[string][]naming)
	for _, tree := range trees {
		err := filepath.WalkDir(filepath.Join(root, tree), func(path string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(root, path)
			switch {
			case err != nil:
				return err
			case d.IsDir() && filepath.ToSlash(rel) == notServers:
				return filepath.SkipDir
			case strings.HasSuffix(path, "_test.go"):
				return scanGo(path, rel, found)
			case strings.HasSuffix(path, ".txt") && strings.HasPrefix(filepath.Base(filepath.Dir(path)), "wire"):
				return scanScript(path, rel, found)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// scanGo looks at every string of a test file.
func scanGo(path, rel string, found map[string][]naming) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			return true
		}
		place := fmt.Sprintf("%s:%d", rel, set.Position(lit.Pos()).Line)
		for _, id := range names(text) {
			found[id] = append(found[id], naming{place: place, name: text})
		}
		return true
	})
	return nil
}

// scanScript looks at the sections of a wire script, which run for some
// versions.
func scanScript(path, rel string, found map[string][]naming) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	versions := versionNames("3 5")
	var about, place string
	in := versions
	flush := func() {
		for _, id := range names(about) {
			n := naming{place: place, name: about}
			if v := versionOf(id); !slices.Contains(in, v) {
				n.wrong = "this section does not run for " + v
			}
			found[id] = append(found[id], n)
		}
	}
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		text := strings.TrimSpace(s.Text())
		if rest, ok := strings.CutPrefix(text, "=="); ok {
			flush()
			about, place, in = strings.TrimSpace(rest), fmt.Sprintf("%s:%d", rel, n), versions
		}
		if rest, ok := strings.CutPrefix(text, "versions "); ok {
			in = versionNames(rest)
			if about == "" {
				versions = in
			}
		}
	}
	flush()
	return s.Err()
}

func versionOf(id string) string {
	switch {
	case strings.HasPrefix(id, "MQTT311-"):
		return "3.1.1"
	case strings.HasPrefix(id, "MQTT31-"):
		return "3.1"
	}
	return "5"
}

// versionNames reads "3.1.1 5"; 3 is 3.1 and 3.1.1.
func versionNames(text string) (all []string) {
	for name := range strings.FieldsSeq(text) {
		if name == "3" {
			all = append(all, "3.1", "3.1.1")
			continue
		}
		all = append(all, name)
	}
	return all
}
