package flags

import (
	"fmt"
	"strings"
	"time"
)

// VarP adds a flag with a letter; value is a pointer of one of the types that
// this package knows, or a Value. In usage, a word in backquotes is what help
// calls the value.
func (s *Set) VarP(value any, name, letter, usage string) { s.define(value, name, letter, usage, "") }

// Var adds a flag as VarP does, without a letter.
func (s *Set) Var(value any, name, usage string) { s.define(value, name, "", usage, "") }

// define adds a flag. Two of one name are a mistake of the program.
func (s *Set) define(value any, name, letter, usage, standard string) {
	if s.Lookup(name) != nil || letter != "" && s.ShorthandLookup(letter) != nil {
		panic("flag " + name + " of " + s.name + " is there twice")
	}
	_, alone := value.(*bool)
	s.flags = append(s.flags, &Flag{Name: name, Short: letter, Alone: alone, usage: usage, standard: standard, value: value})
}

// StringVarP adds a text.
func (s *Set) StringVarP(p *string, name, letter, value, usage string) {
	*p = value
	if value != "" {
		value = fmt.Sprintf("%q", value)
	}
	s.define(p, name, letter, usage, value)
}

// StringVar adds a text.
func (s *Set) StringVar(p *string, name, value, usage string) {
	s.StringVarP(p, name, "", value, usage)
}

// StringP adds a text.
func (s *Set) StringP(name, letter, value, usage string) *string {
	p := new(string)
	s.StringVarP(p, name, letter, value, usage)
	return p
}

// String adds a text.
func (s *Set) String(name, value, usage string) *string { return s.StringP(name, "", value, usage) }

// BoolVarP adds a switch.
func (s *Set) BoolVarP(p *bool, name, letter string, value bool, usage string) {
	*p = value
	standard := ""
	if value {
		standard = "true"
	}
	s.define(p, name, letter, usage, standard)
}

// BoolVar adds a switch.
func (s *Set) BoolVar(p *bool, name string, value bool, usage string) {
	s.BoolVarP(p, name, "", value, usage)
}

// BoolP adds a switch.
func (s *Set) BoolP(name, letter string, value bool, usage string) *bool {
	p := new(bool)
	s.BoolVarP(p, name, letter, value, usage)
	return p
}

// Bool adds a switch.
func (s *Set) Bool(name string, value bool, usage string) *bool {
	return s.BoolP(name, "", value, usage)
}

// IntVarP adds a whole number.
func (s *Set) IntVarP(p *int, name, letter string, value int, usage string) {
	*p = value
	s.define(p, name, letter, usage, unlessZero(value))
}

// IntVar adds a whole number.
func (s *Set) IntVar(p *int, name string, value int, usage string) {
	s.IntVarP(p, name, "", value, usage)
}

// IntP adds a whole number.
func (s *Set) IntP(name, letter string, value int, usage string) *int {
	p := new(int)
	s.IntVarP(p, name, letter, value, usage)
	return p
}

// Int adds a whole number.
func (s *Set) Int(name string, value int, usage string) *int { return s.IntP(name, "", value, usage) }

// Float64Var adds a number.
func (s *Set) Float64Var(p *float64, name string, value float64, usage string) {
	*p = value
	s.define(p, name, "", usage, unlessZero(value))
}

// Float64 adds a number.
func (s *Set) Float64(name string, value float64, usage string) *float64 {
	p := new(float64)
	s.Float64Var(p, name, value, usage)
	return p
}

// DurationVarP adds a duration, as 1m30s.
func (s *Set) DurationVarP(p *time.Duration, name, letter string, value time.Duration, usage string) {
	*p = value
	s.define(p, name, letter, usage, unlessZero(value))
}

// DurationVar adds a duration.
func (s *Set) DurationVar(p *time.Duration, name string, value time.Duration, usage string) {
	s.DurationVarP(p, name, "", value, usage)
}

// DurationP adds a duration.
func (s *Set) DurationP(name, letter string, value time.Duration, usage string) *time.Duration {
	p := new(time.Duration)
	s.DurationVarP(p, name, letter, value, usage)
	return p
}

// Duration adds a duration.
func (s *Set) Duration(name string, value time.Duration, usage string) *time.Duration {
	return s.DurationP(name, "", value, usage)
}

// StringArrayVarP adds a list: each use of the flag adds a text to it.
func (s *Set) StringArrayVarP(p *[]string, name, letter string, value []string, usage string) {
	*p = value
	s.define(p, name, letter, usage, "")
}

// unlessZero is a default as help shows it.
func unlessZero(v any) string {
	if text := fmt.Sprint(v); text != "0" && text != "0s" {
		return text
	}
	return ""
}

// FlagUsages lists the flags, one a line, in the order in which they were
// added.
func (s *Set) FlagUsages() string {
	left := make([]string, len(s.flags))
	widest := 0
	for i, f := range s.flags {
		left[i] = "      --" + f.Name
		if f.Short != "" {
			left[i] = "  -" + f.Short + ", --" + f.Name
		}
		if word := f.word(); word != "" {
			left[i] += " " + word
		}
		widest = max(widest, len(left[i]))
	}
	var b strings.Builder
	for i, f := range s.flags {
		usage := strings.ReplaceAll(f.usage, "`", "")
		if f.standard != "" {
			usage += " (default " + f.standard + ")"
		}
		fmt.Fprintf(&b, "%-*s   %s\n", widest, left[i], strings.ReplaceAll(usage, "\n", "\n"+strings.Repeat(" ", widest+3)))
	}
	return b.String()
}

// word is what help calls the flag's value.
func (f *Flag) word() string {
	if parts := strings.Split(f.usage, "`"); len(parts) == 3 {
		return parts[1]
	}
	switch f.value.(type) {
	case *bool:
		return ""
	case *int:
		return "int"
	case *float64:
		return "float"
	case *time.Duration:
		return "duration"
	}
	return "string"
}
