package flags

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/config"
)

// ErrHelp is what Parse returns for --help, and for -h where that is no other
// flag.
var ErrHelp = errors.New("help requested")

// UnknownError is a flag that does not exist: its name without dashes.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string { return "unknown flag --" + e.Name }

// Value is a flag with a meaning of its own; each use sets it.
type Value interface {
	Set(text string) error
}

// Flag is one flag.
type Flag struct {
	Name, Short string
	// Alone flags need no value: --name is true.
	Alone   bool
	Changed bool // Parse has met it

	usage    string
	standard string // the default, as help shows it; "" is none
	value    any    // a pointer, or a Value
}

// Text is the flag's value as text.
func (f *Flag) Text() string {
	switch v := f.value.(type) {
	case *string:
		return *v
	case *bool:
		return strconv.FormatBool(*v)
	case *int:
		return strconv.Itoa(*v)
	case *float64:
		return strconv.FormatFloat(*v, 'g', -1, 64)
	case fmt.Stringer: // durations too
		return v.String()
	}
	return ""
}

// Set are the flags of one command.
type Set struct {
	name  string
	flags []*Flag
	args  []string
}

// New makes a Set of the command with this name.
func New(name string) *Set { return &Set{name: name} }

// Name is the command's.
func (s *Set) Name() string { return s.name }

// Args are the arguments that are no flags, in order.
func (s *Set) Args() []string { return s.args }

// NArg is the number of Args.
func (s *Set) NArg() int { return len(s.args) }

// Arg is the i-th of Args, "" when there are fewer.
func (s *Set) Arg(i int) string {
	if i >= len(s.args) {
		return ""
	}
	return s.args[i]
}

// Names are the names of all flags.
func (s *Set) Names() []string {
	var names []string
	for _, f := range s.flags {
		names = append(names, f.Name)
	}
	return names
}

// Lookup finds a flag by its name, nil when there is none.
func (s *Set) Lookup(name string) *Flag {
	for _, f := range s.flags {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// ShorthandLookup finds a flag by its letter, nil when there is none.
func (s *Set) ShorthandLookup(letter string) *Flag {
	for _, f := range s.flags {
		if f.Short == letter {
			return f
		}
	}
	return nil
}

// Changed reports whether Parse has met a flag.
func (s *Set) Changed(name string) bool {
	f := s.Lookup(name)
	return f != nil && f.Changed
}

// Parse reads args. The first error ends it: ErrHelp, *UnknownError, or what
// is wrong with a value.
func (s *Set) Parse(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case arg == "--":
			s.args = append(s.args, args...)
			return nil
		case strings.HasPrefix(arg, "--"):
			args, err = s.long(arg[2:], args)
		case len(arg) > 1 && arg[0] == '-':
			args, err = s.short(arg[1:], args)
		default:
			s.args = append(s.args, arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// long reads name or name=value; it returns the arguments that are left.
func (s *Set) long(arg string, args []string) ([]string, error) {
	name, value, given := strings.Cut(arg, "=")
	f := s.Lookup(name)
	switch {
	case f == nil && name == "help":
		return nil, ErrHelp
	case f == nil:
		return nil, &UnknownError{name}
	case given:
	case f.Alone:
		value = "true"
	case len(args) == 0:
		return nil, fmt.Errorf("flag needs an argument: --%s", name)
	default:
		value, args = args[0], args[1:]
	}
	return args, f.set(value)
}

// short reads letters, the last of which may have a value.
func (s *Set) short(letters string, args []string) ([]string, error) {
	for i := range letters {
		f, rest := s.ShorthandLookup(letters[i:i+1]), letters[i+1:]
		value := "true"
		switch {
		case f == nil && letters[i] == 'h':
			return nil, ErrHelp
		case f == nil:
			return nil, fmt.Errorf("unknown flag '%c' in -%s", []rune(letters[i:])[0], letters)
		case len(rest) > 1 && rest[0] == '=':
			value, rest = rest[1:], ""
		case f.Alone:
		case rest != "":
			value, rest = rest, ""
		case len(args) == 0:
			return nil, fmt.Errorf("flag needs an argument: -%s", f.Short)
		default:
			value, args = args[0], args[1:]
		}
		if err := f.set(value); err != nil || rest == "" {
			return args, err
		}
	}
	return args, nil
}

// set gives a flag its value.
func (f *Flag) set(text string) (err error) {
	switch v := f.value.(type) {
	case *string:
		*v = text
	case *bool:
		*v, err = strconv.ParseBool(text)
	case *int:
		var n int64
		n, err = strconv.ParseInt(text, 0, strconv.IntSize)
		*v = int(n)
	case *float64:
		*v, err = strconv.ParseFloat(text, 64)
	case *time.Duration:
		*v, err = config.ParseDuration(text)
	case *[]string:
		if !f.Changed {
			*v = nil // the default goes
		}
		*v = append(*v, text)
	case Value:
		err = v.Set(text)
	}
	f.Changed = true
	if err == nil {
		return nil
	}
	var number *strconv.NumError
	if errors.As(err, &number) {
		err = number.Err // without the name of the function
	}
	name := "--" + f.Name
	if f.Short != "" {
		name = "-" + f.Short + ", " + name
	}
	return fmt.Errorf("invalid argument %q for %s: %w", text, name, err)
}
