package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A joint file holds many mutants of one file: each function that mutants
// change is there once as it was and once for each of them, and a function of
// the old name and signature calls the one that the environment names. So the
// tests of a package are compiled and linked once and not once for each mutant.

// chosen is the variable of the environment that names a mutant by its line in
// the list.
const chosen = "SEEDED_BUG"

// chooser is added to each package that has a joint file.
const chooser = `package %s

import "os"

var seededBug = os.Getenv("` + chosen + `")
`

// function is one of a file's functions, with the changed forms of it.
type function struct {
	decl    *ast.FuncDecl
	changed map[int]string // by the mutant's line
}

// join returns the file with all the mutants that change the body of one
// function of it, and the lines of these mutants. What the others change is
// not of that kind.
func join(path string, mutants []*mutant) (text string, in []int, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, data, parser.ParseComments)
	if err != nil {
		return "", nil, err
	}
	functions := make(map[int]*function) // by their place among the declarations
	for _, m := range mutants {
		mutated, err := m.replace(string(data))
		if err != nil {
			continue // kill says so
		}
		i, decl := changedFunction(set, file, string(data), mutated)
		if decl == "" {
			continue
		}
		if functions[i] == nil {
			functions[i] = &function{file.Decls[i].(*ast.FuncDecl), make(map[int]string)}
		}
		functions[i].changed[m.line] = decl
		in = append(in, m.line)
	}
	return emit(set, file, string(data), functions), in, nil
}

// changedFunction finds the one declaration that differs, a function whose
// signature does not, and returns its place and its new text.
func changedFunction(set *token.FileSet, was *ast.File, old, text string) (int, string) {
	is, err := parser.ParseFile(set, "", text, parser.ParseComments)
	if err != nil || len(is.Decls) != len(was.Decls) {
		return 0, ""
	}
	place, changed := 0, ""
	for i, d := range is.Decls {
		before, after := source(set, was.Decls[i], old), source(set, d, text)
		if before == after {
			continue
		}
		f, ok := d.(*ast.FuncDecl)
		if !ok || changed != "" {
			return 0, ""
		}
		g, ok := was.Decls[i].(*ast.FuncDecl)
		if !ok || head(set, f, text) != head(set, g, old) {
			return 0, ""
		}
		place, changed = i, after
	}
	return place, changed
}

// source is the text of n.
func source(set *token.FileSet, n ast.Node, text string) string {
	return text[set.Position(n.Pos()).Offset:set.Position(n.End()).Offset]
}

// head is the text of a function without its documentation and its body.
func head(set *token.FileSet, f *ast.FuncDecl, text string) string {
	return text[set.Position(f.Type.Func).Offset:set.Position(f.Body.Pos()).Offset]
}

// emit writes the file with the functions given in all their forms.
func emit(set *token.FileSet, file *ast.File, text string, functions map[int]*function) string {
	var b strings.Builder
	at := 0
	for i, d := range file.Decls {
		f := functions[i]
		if f == nil {
			continue
		}
		from, end := set.Position(f.decl.Type.Func).Offset, set.Position(d.End()).Offset
		b.WriteString(text[at:from])
		b.WriteString(f.dispatch(set))
		b.WriteString(f.named(text[from:end], "_was"))
		for line, changed := range f.changed {
			_, changed, _ = strings.Cut("\n"+changed, "\nfunc ") // without its documentation
			b.WriteString(f.named("func "+changed, fmt.Sprint("_", line)))
		}
		at = end
	}
	b.WriteString(text[at:])
	return b.String()
}

// named is a form of the function under a name of its own.
func (f *function) named(text, suffix string) string {
	name := f.decl.Name.Name
	skip := 0
	if f.decl.Recv != nil {
		skip = strings.IndexByte(text, ')')
	}
	return text[:skip] + strings.Replace(text[skip:], name, name+suffix, 1) + "\n\n"
}

// dispatch is the function that calls one of the forms.
func (f *function) dispatch(set *token.FileSet) string {
	call := f.decl.Name.Name + "%s"
	if r := f.decl.Recv; r != nil {
		if len(r.List[0].Names) == 0 || r.List[0].Names[0].Name == "_" {
			r.List[0].Names = []*ast.Ident{ast.NewIdent("receiver")}
		}
		call = r.List[0].Names[0].Name + "." + call
	}
	var arguments []string
	for _, p := range f.decl.Type.Params.List {
		names := max(1, len(p.Names))
		p.Names = nil
		for range names {
			name := fmt.Sprint("argument", len(arguments))
			p.Names = append(p.Names, ast.NewIdent(name))
			if _, ok := p.Type.(*ast.Ellipsis); ok {
				name += "..."
			}
			arguments = append(arguments, name)
		}
	}
	call += "(" + strings.Join(arguments, ", ") + ")"
	last := ""
	if f.decl.Type.Results != nil {
		call = "return " + call
	} else {
		last = "; return"
	}
	var b bytes.Buffer
	printer.Fprint(&b, set, &ast.FuncDecl{Recv: f.decl.Recv, Name: f.decl.Name, Type: f.decl.Type})
	b.WriteString(" {\n\tswitch seededBug {\n")
	for line := range f.changed {
		fmt.Fprintf(&b, "\tcase \"%d\":\n\t\t"+call+last+"\n", line, fmt.Sprint("_", line))
	}
	fmt.Fprintf(&b, "\t}\n\t"+call+"\n}\n\n", "_was")
	return b.String()
}

// joint writes the joint files of the mutants and the overlay that has them
// all, and returns its path and the lines of the mutants that are in it.
func joint(root, dir string, all []mutant) (overlay string, in []int, err error) {
	byFile := make(map[string][]*mutant)
	for i := range all {
		byFile[all[i].file] = append(byFile[all[i].file], &all[i])
	}
	texts := make(map[string]string)
	for file, mutants := range byFile {
		text, lines, err := join(filepath.Join(root, file), mutants)
		if err != nil {
			return "", nil, err
		}
		if len(lines) == 0 {
			continue
		}
		in = append(in, lines...)
		texts[file] = text
		_, after, ok := strings.Cut("\n"+text, "\npackage ")
		if !ok {
			return "", nil, errors.New(file + ": no package")
		}
		name, _, _ := strings.Cut(after, "\n")
		texts[filepath.Join(filepath.Dir(file), "seeded_bug.go")] = fmt.Sprintf(chooser, name)
	}
	slices.Sort(in)
	overlay, err = writeOverlay(root, dir, texts)
	return overlay, in, err
}
