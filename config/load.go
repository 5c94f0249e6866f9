package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"weak"
)

// Load reads a configuration from src. name stands in messages, and relative
// paths start at its directory. env looks up environment variables, as
// os.LookupEnv does. include is checked but not followed. With any mistake
// the Config is nil.
func Load(name string, src []byte, t Tables, env func(string) (string, bool)) (*Config, Errors) {
	l := newLoader(t, env)
	root := l.parseSource(name, src, 0)
	return l.finish(name, root)
}

// LoadFile reads a file and the files it includes. Over them it lays what is
// set as "mqtt.limits.connections=50"; a value is YAML in one line.
func LoadFile(path string, t Tables, env func(string) (string, bool), set ...string) (*Config, Errors) {
	l := newLoader(t, env)
	root := l.parseFile(path, 0)
	if root != nil && root.kind == mapping {
		root = l.include(path, root)
		for i, s := range set {
			root = l.overlay(s, 1<<20+i, root)
		}
	}
	l.cfg.Set = set
	return l.finish(path, root)
}

// overlay lays one setting over a tree.
func (l *loader) overlay(set string, rank int, over *node) *node {
	path, value, _ := strings.Cut(set, "=")
	depth := strings.Count(path, ".")
	text := strings.ReplaceAll(path, ".", ": {") + ": " + value + strings.Repeat("}", depth)
	if root := l.parseSource("--set", []byte(text), rank); root != nil && root.kind == mapping {
		return merge(over, root)
	}
	return over
}

func newLoader(t Tables, env func(string) (string, bool)) *loader {
	l := &loader{tables: t, env: env, keys: map[string][]string{}, cfg: &Config{}}
	l.cfg.setDefaults()
	l.learn(reflect.TypeFor[Config](), "", 0)
	l.learnTables()
	return l
}

func (l *loader) parseFile(path string, rank int) *node {
	b, err := readAtMost(path, maxFile)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err // the file is named already
		}
		l.errs = append(l.errs, Error{File: path, Msg: "cannot read the file: " + err.Error(), rank: rank})
		return nil
	}
	return l.parseSource(path, b, rank)
}

func (l *loader) parseSource(name string, b []byte, rank int) *node {
	text := strings.ReplaceAll(strings.TrimPrefix(string(b), "\ufeff"), "\r\n", "\n")
	src := newSource(name, rank, text)
	l.sources = append(l.sources, src)
	root, errs := parse(src)
	l.errs = append(l.errs, errs...)
	return root
}

// include merges the files that the main file names over it, each pattern's
// in name order.
func (l *loader) include(path string, root *node) *node {
	patterns := root.lookup("include")
	if patterns == nil {
		return root
	}
	items := patterns.items
	if patterns.kind == scalar {
		items = []*node{patterns}
	}
	merged, rank := root, 0
	for _, it := range items {
		pattern, _, _ := expandEnv(it.text, l.env)
		files, err := filepath.Glob(resolve(filepath.Dir(path), pattern))
		switch {
		case err != nil:
			l.fail(it, "include", "for example conf.d/*.yaml", "include has a bad pattern %q", shorten(it.text))
		case len(files) == 0 && pattern != "" && !strings.ContainsAny(pattern, "*?["):
			l.fail(it, "include", "", "included file %q does not exist", shorten(pattern))
		}
		if st, err := os.Stat(resolve(filepath.Dir(path), pattern)); err == nil && st.IsDir() {
			l.fail(it, "include", "name its files: "+filepath.Join(pattern, "*.yaml"), "included file %q is a directory", shorten(pattern))
			continue
		}
		slices.Sort(files)
		for _, f := range files {
			if same(f, path) {
				continue
			}
			rank++
			merged = l.includeFile(f, rank, merged)
		}
	}
	return merged
}

func (l *loader) includeFile(path string, rank int, over *node) *node {
	root := l.parseFile(path, rank)
	if root == nil || root.kind == null {
		return over
	}
	if root.kind != mapping {
		l.fail(root, "", "", "expected a mapping (key: value), found %s", root.is())
		return over
	}
	if e, ok := root.get("include"); ok {
		l.fail(e.key, "include", "name all files in the main file", "an included file cannot include others")
		root.entries = slices.DeleteFunc(root.entries, func(x entry) bool { return x.key == e.key })
	}
	return merge(over, root)
}

func same(a, b string) bool {
	sa, errA := os.Stat(a)
	sb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(sa, sb)
}

// finish binds and checks the merged tree.
func (l *loader) finish(name string, root *node) (*Config, Errors) {
	if root == nil {
		return nil, l.errs.sorted()
	}
	if root.kind == null {
		root = (&node{src: root.src, line: 1, col: 1, length: 1}).place(mapping)
	}
	if root.kind != mapping {
		l.fail(root, "", "the first line is most likely 'mqtt:' or 'node: NAME'", "expected a mapping (key: value), found %s", root.is())
		return nil, l.errs.sorted()
	}
	c := l.cfg
	l.root, c.root, c.File = root, &kept{sources: l.sources, root: weak.Make(root)}, name
	v := reflect.ValueOf(c).Elem()
	l.bindMapping(root, "", shared{}, v)
	c.fill(l)
	c.check(l)
	if len(l.errs) > 0 {
		return nil, l.errs.sorted()
	}
	return c, nil
}

// fill sets what a default takes from other values.
func (c *Config) fill(l *loader) {
	if c.DataDir == "" {
		c.DataDir = Path(defaultDataDir(l.env))
	}
	c.MQTT.fill(c)
	c.Gateway.Base = c.expand(c.Gateway.Base)
	for i := range c.Bridges {
		c.Bridges[i].fill(c)
	}
}

// defaultDataDir is systemd's StateDirectory, else the XDG state directory.
func defaultDataDir(env func(string) (string, bool)) string {
	if dir, _ := env("STATE_DIRECTORY"); dir != "" {
		dir, _, _ = strings.Cut(dir, ":")
		return dir
	}
	if dir, _ := env("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "dunlin")
	}
	if home, _ := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "dunlin")
	}
	return "/var/lib/dunlin"
}

// failIf adds a finding at path unless fault is "" or something was found
// wrong there already.
func (l *loader) failIf(fault, path, hint, format string, args ...any) {
	if fault != "" && !l.failed(0, path) {
		l.failAt(path, hint, format, append(args, fault)...)
	}
}

// first returns where a path is in the file, for a message about a second.
func (l *loader) first(path string) string {
	n := l.root.find(path)
	return fmt.Sprintf("the first one is at %s:%d:%d", n.src.name, n.line, n.col)
}
