package main

import (
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

// tests is what of one package names a statement.
type tests struct {
	functions []string // that hold the number in a string
	scripts   bool     // a wire script does
}

// suite knows the tests of all packages.
type suite struct {
	runners map[string]map[string]string   // what plays wire scripts, by package: functions, and what of -run is above the sections
	strings map[string]map[string][]string // strings of test functions, by package and function
	headers map[string][]string            // of wire scripts, by package
}

// survey reads the tests below the folders given.
func survey(root string, folders ...string) (*suite, error) {
	s := &suite{make(map[string]map[string]string), make(map[string]map[string][]string), make(map[string][]string)}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			dir := filepath.ToSlash(filepath.Dir(rel))
			switch {
			case strings.HasSuffix(path, "_test.go"):
				return s.source(path, dir)
			case strings.HasSuffix(path, ".txt") && strings.Contains(dir, "/testdata/wire"):
				pkg, _, _ := strings.Cut(dir, "/testdata/")
				return s.script(path, pkg)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *suite) source(path, pkg string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if s.strings[pkg] == nil {
		s.strings[pkg], s.runners[pkg] = make(map[string][]string), make(map[string]string)
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(f.Name.Name, "Test") {
			continue
		}
		name := f.Name.Name
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if calls(n, "Run") && mentions(n, "RunScript") {
					s.runners[pkg][name] = "/.*/.*/" // the script, the version
				} else if calls(n, "RunScript") && s.runners[pkg][name] == "" {
					s.runners[pkg][name] = "/.*/" // the version
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					s.strings[pkg][name] = append(s.strings[pkg][name], text)
				}
			}
			return true
		})
	}
	return nil
}

// calls reports whether c calls a function or method of that name.
func calls(c *ast.CallExpr, name string) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == name
}

// mentions reports whether there is a selector of that name in n.
func mentions(n ast.Node, name string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		found = found || ok && sel.Sel.Name == name
		return !found
	})
	return found
}

func (s *suite) script(path, pkg string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for text := range strings.Lines(string(data)) {
		if about, ok := strings.CutPrefix(text, "=="); ok {
			s.headers[pkg] = append(s.headers[pkg], about)
		}
	}
	return nil
}

// bounded matches a number, and not a longer one that begins with it.
func bounded(statement string) *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[^0-9A-Za-z])` + regexp.QuoteMeta(statement) + `(?:[^0-9]|$)`)
}

// naming finds what names a statement, by package.
func (s *suite) naming(statement string) map[string]tests {
	is := func(text string) bool {
		return strings.Contains(text, statement) && bounded(statement).MatchString(text)
	}
	found := make(map[string]tests)
	for pkg, functions := range s.strings {
		for name, texts := range functions {
			if slices.ContainsFunc(texts, is) {
				t := found[pkg]
				t.functions = append(t.functions, name)
				found[pkg] = t
			}
		}
	}
	for pkg, headers := range s.headers {
		if slices.ContainsFunc(headers, is) {
			t := found[pkg]
			t.scripts = true
			found[pkg] = t
		}
	}
	return found
}

// pattern is what go test -run needs to run these tests, and of wire scripts
// only the sections that name the statement.
func (s *suite) pattern(pkg, statement string, t tests) string {
	var any []string
	for _, name := range t.functions {
		any = append(any, "^"+name+"$")
	}
	if t.scripts {
		section := `(^|_)` + regexp.QuoteMeta(statement) + `(_|$)`
		for name, above := range s.runners[pkg] {
			any = append(any, "^"+name+"$"+above+section)
		}
	}
	slices.Sort(any)
	return strings.Join(any, "|")
}
