package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
)

// propertyFlag is -D. It takes three or four arguments, which pflag does not
// know of: joinProperties makes one of them first, separated by NUL, which no
// argument can hold.
type propertyFlag struct {
	sets  client.PropertySets
	given bool
}

func (p *propertyFlag) Set(joined string) error {
	parts := strings.Split(joined, "\x00")
	if len(parts) < 3 {
		return errors.New("needs a packet, a property and its value, as -D publish content-type text/plain")
	}
	p.given = true
	return p.sets.Add(parts[0], parts[1], parts[2:])
}

func (p *propertyFlag) String() string { return "" }

func (p *propertyFlag) Type() string { return "packet name value" }

// joinProperties joins the arguments of each -D. It walks args as pflag will,
// so that a "-D" which is another flag's value stays one.
func joinProperties(fs *pflag.FlagSet, args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(out, args[i:]...)
		case arg == "-D" || arg == "--property":
			n := min(3, len(args)-i-1)
			if n == 3 {
				n = min(2+client.PropertyValues(args[i+2]), len(args)-i-1)
			}
			out = append(out, "--property="+strings.Join(args[i+1:i+1+n], "\x00"))
			i += n
		case takesNext(fs, arg) && i+1 < len(args):
			out = append(out, arg, args[i+1])
			i++
		default:
			out = append(out, arg)
		}
	}
	return out
}

// takesNext reports whether the argument after arg is its value.
func takesNext(fs *pflag.FlagSet, arg string) bool {
	if long, ok := strings.CutPrefix(arg, "--"); ok {
		f := fs.Lookup(long)
		return f != nil && f.NoOptDefVal == ""
	}
	if len(arg) < 2 || arg[0] != '-' {
		return false
	}
	for i := 1; i < len(arg); i++ { // -vh: letters until one takes a value
		f := fs.ShorthandLookup(arg[i : i+1])
		if f == nil {
			return false
		}
		if f.NoOptDefVal == "" {
			return i == len(arg)-1
		}
	}
	return false
}
