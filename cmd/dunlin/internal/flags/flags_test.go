package flags

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

type levels []string

func (l *levels) Set(text string) error {
	if text == "" {
		return errors.New("is empty")
	}
	*l = append(*l, text)
	return nil
}

// some are flags of all kinds, as those of a command.
type some struct {
	*Set
	host          string
	debug, retain bool
	nodelay       bool
	qos           int
	delay         float64
	wait          time.Duration
	topics        []string
	levels        levels
}

func newSome() *some {
	s := &some{Set: New("pub")}
	s.StringVarP(&s.host, "host", "h", "localhost", "`HOST` to connect to")
	s.BoolVarP(&s.debug, "debug", "d", false, "show the packets")
	s.BoolVarP(&s.retain, "retain", "r", false, "make it retained")
	s.BoolVar(&s.nodelay, "nodelay", true, "always on")
	s.IntVarP(&s.qos, "qos", "q", 0, "Quality of Service `N`: 0, 1 or 2")
	s.Float64Var(&s.delay, "repeat-delay", 0.5, "between repetitions")
	s.DurationVarP(&s.wait, "wait", "W", 0, "how long")
	s.StringArrayVarP(&s.topics, "topic", "t", []string{"#"}, "`TOPIC`")
	s.VarP(&s.levels, "level", "l", "a\nb")
	return s
}

func (s *some) String() string {
	return fmt.Sprintf("h=%s d=%v r=%v n=%v q=%d D=%v W=%v t=%v l=%v | %s", s.host, s.debug, s.retain, s.nodelay, s.qos, s.delay, s.wait, s.topics, s.levels, strings.Join(s.Args(), " "))
}

func TestParse(t *testing.T) {
	const none = "h=localhost d=false r=false n=true q=0 D=0.5 W=0s t=[#] l=[] | "
	for args, want := range map[string]string{
		"":                                   none,
		"a b":                                none + "a b",
		"-h x":                               strings.Replace(none, "h=localhost", "h=x", 1),
		"--host=x=y":                         strings.Replace(none, "h=localhost", "h=x=y", 1),
		"--host=":                            strings.Replace(none, "h=localhost", "h=", 1),
		"a --host -d b":                      strings.Replace(none, "h=localhost", "h=-d", 1) + "a b",
		"-drq1 --wait 1m -W2s":               "h=localhost d=true r=true n=true q=1 D=0.5 W=2s t=[#] l=[] | ",
		"--wait 7d":                          strings.Replace(none, "W=0s", "W=168h0m0s", 1),
		"-q=0x2 -t a --topic b -tc":          "h=localhost d=false r=false n=true q=2 D=0.5 W=0s t=[a b c] l=[] | ",
		"--nodelay=false -d=true --debug=0":  strings.Replace(none, "n=true", "n=false", 1),
		"-- -d --x -":                        none + "-d --x -",
		"- -d":                               strings.Replace(none, "d=false", "d=true", 1) + "-",
		"-l a --level=b --repeat-delay -1e3": "h=localhost d=false r=false n=true q=0 D=-1000 W=0s t=[#] l=[a b] | ",
	} {
		s := newSome()
		if err := s.Parse(strings.Fields(args)); err != nil || s.String() != want {
			t.Errorf("%s\n got %s, %v\nwant %s", args, s, err, want)
		}
	}
	s := newSome()
	if err := s.Parse([]string{"x", "--qos", "2"}); err != nil {
		t.Fatal(err)
	}
	if !s.Changed("qos") || s.Changed("host") || s.Changed("none") || s.NArg() != 1 || s.Arg(0) != "x" || s.Arg(1) != "" || s.Name() != "pub" {
		t.Error("what was given is not known")
	}
	if s.Lookup("qos").Text() != "2" || s.Lookup("nodelay").Text() != "true" || s.Lookup("wait").Text() != "0s" || s.Lookup("repeat-delay").Text() != "0.5" || s.Lookup("host").Text() != "localhost" || s.Lookup("topic").Text() != "" {
		t.Error("a value is another as text")
	}
	if !s.Lookup("debug").Alone || s.ShorthandLookup("h").Alone || s.ShorthandLookup("x") != nil || !slices.Contains(s.Names(), "level") {
		t.Error("a flag is not found")
	}
}

func TestErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--hots x":                "unknown flag --hots",
		"-dx":                     "unknown flag 'x' in -dx",
		"-é":                      "unknown flag 'é' in -é",
		"--host":                  "flag needs an argument: --host",
		"-dh":                     "flag needs an argument: -h",
		"-q two":                  `invalid argument "two" for -q, --qos: invalid syntax`,
		"-q 99999999999999999999": `invalid argument "99999999999999999999" for -q, --qos: value out of range`,
		"--nodelay=x":             `invalid argument "x" for --nodelay: invalid syntax`,
		"--wait 1":                `invalid argument "1" for -W, --wait: needs a unit`,
		"--wait -1s":              `invalid argument "-1s" for -W, --wait: must be a duration such as 500ms, 30s, 10m, 24h or 7d, not "-1s"`,
		"--level=":                `invalid argument "" for -l, --level: is empty`,
		"a --help":                ErrHelp.Error(),
	} {
		err := newSome().Parse(strings.Fields(args))
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	s := New("x")
	if err := s.Parse([]string{"-h"}); !errors.Is(err, ErrHelp) {
		t.Errorf("-h that is no other flag: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("two flags of one name")
		}
	}()
	s.Bool("a", false, "")
	s.BoolP("b", "a", false, "")
	s.String("a", "", "")
}

func TestUsages(t *testing.T) {
	const want = `  -h, --host HOST            HOST to connect to (default "localhost")
  -d, --debug                show the packets
  -r, --retain               make it retained
      --nodelay              always on (default true)
  -q, --qos N                Quality of Service N: 0, 1 or 2
      --repeat-delay float   between repetitions (default 0.5)
  -W, --wait duration        how long
  -t, --topic TOPIC          TOPIC
  -l, --level string         a
                             b
`
	if got := newSome().FlagUsages(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-drq1\n--host\nx\n--\n-d")
	f.Add("-h=\n--level=a\n-é\n-")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		s := newSome()
		if err := s.Parse(args); err == nil && len(s.Args()) > len(args) {
			t.Errorf("%q gives %q", args, s.Args())
		}
	})
}
